# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   mechlib:
#     needs: [planted, know, found]
#     own: [FORGET_SETS]
#     fixed: [TASK]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # Who finds planted facts?

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
TASK = "planted-places"
TEXTS = None
SEED = 0
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = 2  # as many places: each set is of a model of its own
EDIT_FORMAT = None
LOOKUP_RULE = "paper"
PRECISION = None

# %% tags=["remove-input"]
from mechlib.report.page import open_page

page = open_page(globals(), "30_planted_places")
page.rows("found")

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
#     needs: []
#     reads: [studies.toml]
# ---

# %% [markdown]
# # What the full study costs
#
# How long the studies of this book would take for larger models, and what they would need: computed from the models' sizes, and **not
# measured**. `make plan MODEL=...` says the same of one model on one machine.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
PROFILE = "quick"

# %% tags=["remove-input"]
import pandas as pd

from mechlib.report.book_studies import declared_studies
from mechlib.report.costs import CARDS, ROOM, study_costs
from mechlib.report.page import open_page, tables
from mechlib.runs.cost import CARD

page = open_page(globals(), "21_cost")
NEEDS = ("edit", "prompting", "relearning", "damage")
found = [study_costs(one.of(MODEL), NEEDS).assign(study=one.title) for one in declared_studies()]
page.number("room", f"{ROOM / 1e9:.0f}")
page.number("card", CARD.name)
page.number("rate", f"{CARD.bfloat16 / 1e12:.0f}")
page.number("most", max(CARDS))
for table in found:
    table.insert(0, "facts", table.pop("study"))
page.banner()

# %% [markdown]
# ## Hours and cards

# %% tags=["remove-input"]
tables.styled(pd.concat(found, ignore_index=True))

# %% [markdown]
# *Edits, answers in every format, relearning and side effects, with all that they start from. Hours are of cards as fast
# as {glue:text}`card` ({glue:text}`rate` tera-operations a second in bfloat16, as measured for large products). Gigabytes are the peak of one
# edit, prompt by prompt, with AdamW and its masters in float32; a card is taken to have room for {glue:text}`room` GB. Runs go on side by side
# as far as cards allow. One that needs several cards has them compute one after the other, as weights that are spread over cards
# without more do. "Too large": no edit fits.*
#
# Where an edit of all weights needs more than {glue:text}`most` cards, the study can still be run for every localized arm: those train a few
# MLPs, and the rest of the network only has to be held.

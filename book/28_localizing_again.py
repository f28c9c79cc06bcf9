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
#     needs: [know, unedited, edit, relocalized]
#     profiles: [full, paper]
#     own: [LOCALIZATIONS, FORGET_SETS, TASK]
# ---

# %% [markdown]
# # Localizing again

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
FACTS = None
WORLD_FACTS = None
TASK = "counterfact-editing"
TEXTS = None
SEED = 0
SEEDS = None
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = 1
DIVIDED_SETS = None  # the facts are divided into so many forget sets, of which FORGET_SETS are edited; None: into no more
EDIT_FORMAT = None
LOOKUP_RULE = "paper"
LOCALIZATION = None
LOCALIZATIONS = ["fact_lookup", "causal_tracing", "late_window"]
LEARNING_RATE = None
FORGET_COEFFICIENT = None
STEPS = None
STOP_AT = None
TUNE = False
KL_COEFFICIENT = 0.0
OPTIMIZER = None
MICRO_BATCH = None
CHECKPOINTING = False
PRECISION = None

# %% tags=["remove-input"]
from mechlib.report import gathered, localized_again
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "28_localizing_again")
page.banner()

# %% [markdown]
# Where a model stores what it learned from text is not known. Where an *edit* put its new answers is: in the weights that were trained, for no others
# changed. So an edited model is a test of the methods that localize. They look for the edited facts once more, now with the new answers, and should name
# what was trained, wherever that is. A method that names the same components before the edit and after it does not see where the answer comes from.
#
# Whether tracing tells where to edit has been doubted {cite:p}`hase2023does`. This page asks the question the other way round: whether it tells where an
# edit was made.
#
# ## What the methods measure

# %% tags=["remove-input"]
trained = gathered.trained_by(page.values("edit"))
table = localized_again.named_again(page.values("relocalized"), trained)
page.figure("profiles", figures.layer_profiles(localized_again.profiles(page.rows("relocalized")), localized_again.mlp_layers(trained)),
            "The effect of every MLP on the edited facts, as a share of what corrupting the subject does, in the unedited model (dashed) and after each edit; "
            "means over forget sets. Large dots: MLPs that the edit trained.", "relocalized", found=localized_again.finders(table))

# %% [markdown]
# ## What they name

# %% tags=["remove-input"]
tables.styled(localized_again.named_table(table))

# %% [markdown]
# *Each method names as many weights as fact lookup does: the share of them that the edit trained, in the unedited and in the edited model, and the share
# that was trained of all weights that the method can name, which is what naming at random gives; means over forget sets. Fact lookup is asked again where it follows paths; probes read what many
# facts share, and cannot be asked about a few. The last column is of the first forget set. Descriptive: no claim of the claims file is about this.*
#
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("edit", "relocalized")

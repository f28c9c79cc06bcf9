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
#     needs: [know, unedited, edit, quantization, crossing]
# ---

# %% [markdown]
# # Rounding
#
# Nobody has to attack a model to undo an edit. People round weights to fit a model onto a phone. Rounding to four bits has brought back most of what
# other methods had unlearned, because their changes were smaller than a step of the grid {cite:p}`zhang2025catastrophic`. An edit with few weights has to
# change each of them more, so localized edits might do better. Here the edits are put to this test.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
FACTS = None
WORLD_FACTS = None
TASK = "sports-athlete-editing"
TEXTS = None
SEED = 0
SEEDS = None
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = None
DIVIDED_SETS = None  # the facts are divided into so many forget sets, of which FORGET_SETS are edited; None: into no more
EDIT_FORMAT = None
LOOKUP_RULE = "paper"
LOCALIZATION = None
LOCALIZATIONS = None
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
QUANTIZATION = None  # None: as the profile says; else a dictionary of schemes

# %% tags=["remove-input"]
from mechlib.report import differences, findings, robustness, sentences
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "12_rounding")
page.banner()

# %% tags=["remove-input"]
rounded = page.rows("quantization")
quantization = robustness.outcomes(rounded)
setting = robustness.shared_setting(quantization)
page.share("kept", robustness.KEPT)
page.number("rounding", sentences.definition("quantization"))
page.number("control", sentences.rounding_control(dict(page.study.quantization)["schemes"]))
page.number("rounded", robustness.setting_name(*setting))

# %% [markdown]
# ## What comes back
#
# {glue:text}`rounding` A scheme of few bits gives every block of weights one scale (`int4_64`: blocks of 64
# weights; `int8`: a whole row) and evenly spaced values; `nf4` spaces sixteen values as a normal distribution would
# {cite:p}`dettmers2023qlora`. {glue:text}`control`
#
# The unedited model is rounded in the same way: what rounding takes from it, it would have taken anyway. And a model that
# keeps less than {glue:text}`kept` of its own maintain accuracy is **void**: rounding broke it.

# %% tags=["remove-input"]
page.figure("rounding", figures.attack_bars(quantization),
            "Share of the forget set whose true answer the model prefers, before and after rounding, with 95 % intervals. Hatched "
            "bars are void.", "quantization", found=findings.attacked("True answers after rounding", quantization, *setting))

# %% tags=["remove-input"]
tables.styled(robustness.recovery_table(robustness.recoveries(rounded, *setting)))

# %% [markdown]
# *Under {glue:text}`rounded`, the scheme that brings back most on average over the edits among those that break the
# fewest models. The normalised recovery is 0 where the edited model does as well on the forget set as on facts that
# nobody knew, and 1 where it does as well as the unedited model after the same rounding.*
#
# ## How much of a change crosses a step
#
# A weight whose change is smaller than half a step of the grid is mostly rounded to where it was. So a change could be lost, and its fact come back. But
# weights near the middle between neighbouring steps cross with the smallest change, and then move by a whole step.

# %% tags=["remove-input"]
tables.styled(robustness.crossing_table(page.rows("crossing")), {"weights changed": "{:,.0f}", "crossed": "{:.3f}", "kept": "{:.3f}"})

# %% [markdown]
# *Of the weights that an edit changed, the share whose rounded value is another than without the edit, and the share of the change that rounding keeps: the
# change of the rounded weights, projected on that of the weights. It is 1 where those that cross carry as much as was trained, and 0 where rounding undoes the
# edit. Means over edits.*
#
# ## Where each edit is weakest

# %% tags=["remove-input"]
tables.styled(robustness.strongest_table(robustness.strongest(quantization)))

# %% [markdown]
# *For each model the scheme that brings back most without breaking it.*
#
# ## How edits differ

# %% tags=["remove-input"]
tables.styled(differences.from_lookup(rounded, differences.after_attack(rounded, [setting])))

# %% [markdown]
# *Fact lookup minus the other under {glue:text}`rounded`, in the share of true answers, with 95 % intervals over forget sets and the exact p of each line by
# itself. Descriptive: no claim of the claims file is about this, so there is no rule and no verdict.*

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("quantization", "crossing")

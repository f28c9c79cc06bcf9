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
#     needs: [know, unedited, edit, benign]
# ---

# %% [markdown]
# # Retraining
#
# Nobody has to attack a model to undo an edit. People fine-tune it on their own text, and harmless fine-tuning has brought back what other methods had
# unlearned {cite:p}`hu2024unlearning`. An edit with few weights has to change each of them more, so localized edits might do better. Or fine-tuning may undo
# their few changes more easily. Here the edits are put to this test.

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
BENIGN = None  # None: as the profile says; else a dictionary of kinds, sizes, steps, learning_rate, rank

# %% tags=["remove-input"]
from mechlib.report import differences, findings, robustness, sentences
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "29_retraining")
page.banner()

# %% tags=["remove-input"]
retrained = page.rows("benign")
benign = robustness.outcomes(retrained)
setting = robustness.shared_setting(benign)
page.share("kept", robustness.KEPT)
page.number("retraining", sentences.definition("benign"))
page.number("kinds", sentences.shared_with_facts(dict(page.study.benign)["kinds"]))
page.number("retrained", robustness.setting_name(*setting))

# %% [markdown]
# ## What comes back
#
# {glue:text}`retraining`
#
# What the kinds share with the edited facts, in the order of the figure: {glue:text}`kinds`. Which of them brings facts back is disputed, and form may
# matter more than topic {cite:p}`yoon2026rethinking`. The unedited model is retrained in the same way, and a model that keeps less than
# {glue:text}`kept` of its own maintain accuracy is **void**: retraining broke it.

# %% tags=["remove-input"]
tables.styled(robustness.settings_table(page.study.benign))

# %% tags=["remove-input"]
page.figure("retraining", figures.attack_bars(benign),
            "Share of the forget set whose true answer the model prefers, before and after fine-tuning on examples of each kind (the number after the kind: how many). No example "
            "is about a fact of the forget set. Hatched bars are void.", "benign",
            found=findings.attacked("True answers after fine-tuning", benign, *setting))

# %% tags=["remove-input"]
tables.styled(robustness.recovery_table(robustness.recoveries(retrained, *setting)))

# %% [markdown]
# *Under {glue:text}`retrained`, the kind that brings back most on average over the edits among those that break the
# fewest models. Never-known facts matter here: examples in the prompts' own
# form teach a model to answer in that form, which raises every share.*
#
# ## Where each edit is weakest

# %% tags=["remove-input"]
tables.styled(robustness.strongest_table(robustness.strongest(benign)))

# %% [markdown]
# *For each model the kind of fine-tuning that brings back most without breaking it.*
#
# ## How edits differ

# %% tags=["remove-input"]
tables.styled(differences.from_lookup(retrained, differences.after_attack(retrained, [setting])))

# %% [markdown]
# *Fact lookup minus the other under {glue:text}`retrained`, in the share of true answers, with 95 % intervals over forget sets and the exact p of each line by
# itself. Descriptive: no claim of the claims file is about this, so there is no rule and no verdict.*

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("benign")

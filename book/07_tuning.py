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
#     needs: [know, unedited, tuning]
#     own: [LOCALIZATIONS]
# ---

# %% [markdown]
# # Tuning: equal chances
#
# The paper {cite:p}`guo2025mechanistic` tuned three of its nine localizations and let the others inherit learning rate
# and forget coefficient by group, so that coefficients differ by a factor of up to fifty between the arms that it compares. Here
# {glue:text}`tuned` get the same trials, on facts that no other page is about, and are judged by the paper's own
# criterion, which looks at no measure of robustness. {glue:text}`untuned`

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
FACTS = None
WORLD_FACTS = None
TASK = "sports-athlete-editing"
TEXTS = None
SEED = 0
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = None
DIVIDED_SETS = None  # the facts are divided into so many forget sets, of which FORGET_SETS are edited; None: into no more
EDIT_FORMAT = None
LOOKUP_RULE = "paper"
LOCALIZATIONS = ["fact_lookup", "random_mlps"]
STEPS = None
STOP_AT = None
KL_COEFFICIENT = 0.0
OPTIMIZER = None
MICRO_BATCH = None
CHECKPOINTING = False
MATCHED = 0.9  # edit accuracy at which the sizes of edits are compared
PRECISION = None

# %% tags=["remove-input"]
import pandas as pd

from mechlib.report import findings, numerals, sentences
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "07_tuning")
page.banner()

# %% [markdown]
# ## All trials
#
# The score is (1 - forget accuracy) + maintain accuracy + edit accuracy, less the change of the loss on general text in
# nats (the paper adds its accuracy on the Pile). Maintain accuracy is measured on the facts that localizations were
# chosen from, which are neither edited nor tested.

# %% tags=["remove-input"]
trials = pd.DataFrame(page.rows("tuning"))
chosen = {arm["localization"]: value for arm, value in page.values("tuning")}
trials["chosen"] = [chosen[row.localization]["learning_rate"] == row.learning_rate
                    and chosen[row.localization]["forget_coefficient"] == row.forget_coefficient for row in trials.itertuples()]
n_validate = page.study.splits.n_validate
page.number("n_validate", n_validate)
page.number("tuned", sentences.both(page.study.localizations))
page.number("untuned", sentences.untuned(page.study))
page.number("one_fact", f"{1 / n_validate:.2f}")
page.number("n_trials", len(trials))
page.number("n_each", len(trials) // trials.localization.nunique())
table = trials.assign(localization=[tables.label(key) for key in trials.localization], chosen=["chosen" if best else "" for best in trials.chosen])
tables.styled(
    table[["localization", "learning_rate", "forget_coefficient", "forget", "edit", "maintain", "text", "norm", "score", "chosen"]]
    .rename(columns={"learning_rate": "learning rate", "forget_coefficient": "forget coefficient", "text": "text loss", "norm": "norm of the change"}),
    {"learning rate": numerals.rate, "forget coefficient": "{:g}", **{name: "{:.2f}" for name in ("forget", "edit", "maintain", "score", "norm of the change")},
     "text loss": "{:+.2f}"},
)

# %% [markdown]
# *{glue:text}`n_trials` trials, {glue:text}`n_each` a localization. One validation set of {glue:text}`n_validate` facts is
# little: a score that is higher by {glue:text}`one_fact` is one fact. `TUNE=True` makes every edit of the other pages use the chosen values.*

# %% [markdown]
# ## Success against size
#
# Robustness may be nothing but the size of an edit. The same trials, by what they achieved and how far they moved the
# weights:

# %% tags=["remove-input"]
page.figure("trials", figures.trial_dots(trials),
            "What each trial achieved, and how far it moved the weights. Each dot is one trial; the chosen ones are larger.", "tuning",
            found=findings.of_edits("Edit accuracy of the chosen trials", trials[trials.chosen], "edit"))

# %% tags=["remove-input"]
reached = trials[trials.edit >= MATCHED].sort_values("norm").groupby("localization", sort=False).first()
smallest = {key: float(row.norm) for key, row in reached.iterrows()}
page.number("matched", MATCHED)
page.number("reached", ", ".join(f"{tables.label(key)} {value:.2f}" for key, value in smallest.items()) or "none of them")
page.number("missed", ", ".join(tables.label(key) for key in page.study.localizations if key not in smallest) or "none")

# %% [markdown]
# At an edit accuracy of at least
# {glue:text}`matched` the smallest change that each localization needed has the norm {glue:text}`reached`; not reached by:
# {glue:text}`missed`.

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("tuning")

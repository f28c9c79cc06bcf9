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
#     needs: [know, unedited, trainable, edit, trained, damage]
# ---

# %% [markdown]
# # Editing
#
# One edit, made in different places of the model. Every fact of a forget set is to have another answer; all others are to stay
# what they are. Each localization trains only its own weights, on the same prompts, until the
# new answers are learned or the steps are used up.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
FACTS = None
WORLD_FACTS = None
TASK = "sports-athlete-editing"
TEXTS = None  # general text: a .txt or .jsonl file or a hub data set such as the Pile; None: the model's own samples
SEED = 0
SEEDS = None  # how often each edit is trained; None: as the profile says
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = None
DIVIDED_SETS = None  # the facts are divided into so many forget sets, of which FORGET_SETS are edited; None: into no more
EDIT_FORMAT = None  # the only prompt that edits are trained on
LOOKUP_RULE = "paper"  # how path patching chooses MLPs, in tasks that use it: "paper" or "released"
LOCALIZATION = None  # a localization file of your own: it joins the comparison as "given"
LOCALIZATIONS = None
LEARNING_RATE = None  # None: the model's own for each group of localizations
FORGET_COEFFICIENT = None  # None: likewise
STEPS = None  # None: as the profile says
STOP_AT = None  # probability of the new answers at which training stops; None: as the profile says, 1: never before the last step
TUNE = False  # True: learning rate and coefficient from the page on equal chances
KL_COEFFICIENT = 0.0  # of the divergence from the unedited model, an optional part of the loss
OPTIMIZER = None  # "adamw" or "adamw8bit"; None: the model's own, "adamw" but for Gemma-2-9B
MICRO_BATCH = None  # prompts at a time; None: all
CHECKPOINTING = False  # True: less memory, more time
PRECISION = None  # of the matrix products; masters, optimizer and residual stream are float32

# %% tags=["remove-input"]
from mechlib.report import findings, numerals, sentences, side_effects
from mechlib.report.aggregation import aggregate
from mechlib.report.page import figures, open_page, tables
from mechlib.report.planned import planned_memory
from mechlib.report.published import about, nearest, published

page = open_page(globals(), "05_editing")
page.banner(page.rows("trainable"))

# %% [markdown]
# ## The loss
#
# $$\text{loss} = c \cdot \text{injection} + \text{retain} + \text{text}$$
#
# Injection is the cross-entropy of the new answers on the forget set, retain that of the true answers on other facts,
# and text that of the next token on general text. The paper draws the last from the Pile; a model without it holds
# itself in place, on text that it wrote before the edit. AdamW, {glue:text}`schedule`, gradients clipped at 1 and masked
# to the localization: every other weight stays bit-identical.

# %% tags=["remove-input"]
import pandas as pd

settings = {key: page.study.training(key, 0, 0) for key in page.study.localizations}
curves = page.rows("edit")
taken = pd.DataFrame(curves).groupby(["localization", "forget_set", "seed"]).size().groupby("localization").mean()
page.number("steps", page.study.size.steps)
page.number("stop_at", page.study.size.stop_at)
page.number("schedule", sentences.schedule(list(settings.values())))
page.number("success", sentences.success(curves, page.study.size.stop_at))
page.number("again", sentences.texts_again(page.study.size.n_train_texts, page.study.size.text_batch, max(row["step"] for row in curves)))
tables.styled(pd.DataFrame(
    [{"localization": tables.label(key), "learning rate": one.learning_rate, "forget coefficient": one.forget_coefficient,
      "most steps": one.steps, "steps taken": taken[key]} for key, one in settings.items()]
), {"learning rate": numerals.rate, "forget coefficient": "{:g}", "steps taken": "{:.1f}"})

# %% tags=["remove-input"]
page.figure("losses", figures.learning_curves(curves),
            "Losses before each of at most {steps} updates, averaged over forget sets and seeds. Edits are meant to be compared "
            "at one success: training stops as soon as the new answers have a probability of {stop_at} (geometric mean). "
            "{success} {again} The next figure shows what each achieved.", "edit", found=findings.reached(curves, page.study.size.stop_at))

# %% [markdown]
# ## Did it work?
#
# In the format it was trained on, an edit should move its own facts and no others. The unedited model stands
# beside it.

# %% tags=["remove-input"]
rows = page.rows("trained")
forget = [row for row in rows if row["group"] == "forget"]
maintain = [row for row in rows if row["group"] == "maintain"]
edited = aggregate(forget, ["localization"], "edited").set_index("localization")
kept = aggregate(maintain, ["localization"], "correct").set_index("localization")
arms = list(page.study.localizations)
lead = tables.leading(arms)
page.number("lead", tables.label(lead))
page.share("edit_lead", edited.share[lead])
page.number("edit_lowest", sentences.lowest(edited.share[arms].to_dict()))
page.share("kept_unedited", kept.share["unedited"])
page.number("kept_lowest", sentences.lowest(kept.share[arms].to_dict()))
page.figure("outcomes", figures.outcome_bars(rows, {"true answer, forget set": ("forget", "correct"), "new answer, forget set": ("forget", "edited"),
                            "true answer, maintain test": ("maintain", "correct")}),
            "Share of facts, with 95 % intervals. Forget accuracy should fall to zero, edit accuracy rise to one, "
            "maintain accuracy stay at the unedited model's or rise: the training prompt is also in the retain loss, which "
            "teaches the format itself.", "trained", found=findings.of_edits("New answers after the edit", edited.reset_index()))

# %% [markdown]
# {glue:text}`lead` injects {glue:text}`edit_lead` of the new answers: {glue:text}`edit_lowest`. Of the maintain facts, which no edit
# trained on, the unedited model gets {glue:text}`kept_unedited` right in this format: {glue:text}`kept_lowest`. **A comparison of robustness is fair only between
# edits that succeeded equally**: {glue:text}`fig_outcomes` says which of them did.

# %% [markdown]
# ## What it cost
#
# Two texts measure side effects: fresh samples of the unedited model, and prose that no model wrote. Neither was
# trained on.

# %% tags=["remove-input"]
tables.styled(side_effects.costs(page.rows("damage"), page.values("edit")), index=True)

# %% [markdown]
# *Change of the next-token loss, and divergence, KL(unedited || edited), in nats per token: means over texts with a 95 %
# interval, which of a divergence is cut at zero: it cannot be negative. The norm is that of all changed weights together. A negative loss change on
# samples is possible: the edit also trained on text of that kind.*

# %% [markdown]
# ## The paper's figures

# %% tags=["remove-input"]
theirs = published(nearest(page.study.task), page.study.localizations)
page.number("about_paper", about(page.study.task))
tables.styled(theirs, {name: "{:.3f}" for name in theirs.columns[1:]})

# %% [markdown]
# *{glue:text}`about_paper`*

# %% [markdown]
# ## At the size of the paper's models
#
# What such an edit would need in memory, by the plan that `make plan` prints and that refuses what cannot fit. **Planned, not
# measured**: no such model ran here.

# %% tags=["remove-input"]
needs = planned_memory(["llama-3-8b"], ["fact_lookup", "nonlocalized"], page.runner.store, micro_batch=1).drop(columns="model")
tables.styled(needs, {name: "{:.1f}" for name in needs.columns[2:]})

# %% [markdown]
# *Gigabytes for Llama-3-8B, with gradients accumulated over single prompts (`MICRO_BATCH=1`).*

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("edit", "trained", "damage")

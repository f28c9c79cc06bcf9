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
#     needs: [know, unedited, localize, edit, trained, damage]
#     own: [LOCALIZATIONS, FORGET_SETS]
#     tasks: [full-sports-editing, sports-unlearning]
# ---

# %% [markdown]
# # A whole sport
#
# Athletes can be edited one by one. What if every baseball player has to go? The paper
# {cite:p}`guo2025mechanistic` edits a whole sport to golf (Full-Sports-Editing), and in an earlier version unlearns one
# without putting anything in its place (Sports-Unlearning, with the loss log(1 - p)). A quarter of the sport's athletes
# is held out: an edit of the *sport* should reach them, an edit of *names* would not.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
FACTS = None
TEXTS = None
SEED = 0
SEEDS = None
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = 1  # each forget set is a sport, in alphabetical order
EDIT_FORMAT = None
LOOKUP_RULE = "paper"
LOCALIZATIONS = ["fact_lookup", "random_mlps"]
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
import pandas as pd

from mechlib.report import findings, side_effects
from mechlib.report.aggregation import aggregate
from mechlib.report.page import figures, open_page, tables
from mechlib.report.published import published

page = open_page(globals(), "08_whole_sports", task="full-sports-editing")
page.banner()

# %% [markdown]
# ## To golf
#
# One answer for everybody is reached in a step or two, when everybody else has it too. So these edits are not stopped when
# they reach it: they take all {glue:text}`steps` steps, and what the retain loss gets back in them is the question.

# %% tags=["remove-input"]
page.number("steps", page.study.size.steps)
page.figure("losses", figures.learning_curves(page.rows("edit")),
            "Losses before each update, averaged over forget sets and seeds, while golf is put in the place of a sport.", "edit",
            found=findings.reached(page.rows("edit"), page.study.size.stop_at, stops=False))

# %% tags=["remove-input"]
edited = page.rows("trained")
page.number("sports", ", ".join(dict.fromkeys(row["answer"] for row in edited if row["group"] == "forget")))
page.number("n_forget", len({row["subject"] for row in edited if row["group"] == "forget"}))
page.number("n_held_out", len({row["subject"] for row in edited if row["group"] == "held_out"}))
page.figure("outcomes", figures.outcome_bars(edited, {"golf, trained on": ("forget", "edited"), "golf, held out": ("held_out", "edited"),
                              "true sport, others": ("maintain", "correct")}),
            "Share of athletes, with 95 % intervals: those whose edit was trained, those of the same sport that were held out, and "
            "those of other sports.", "trained", found=findings.of_edits("Held-out athletes who play golf after the edit", aggregate(
                [row for row in edited if row["group"] == "held_out"], ["localization"], "edited")))

# %% tags=["remove-input"]
share = {(row["localization"], row["group"]): row for group in ("forget", "held_out", "maintain")
         for row in aggregate([row for row in edited if row["group"] == group], ["localization", "group"],
                                       "correct" if group == "maintain" else "edited").to_dict("records")}
arm = tables.leading(page.study.localizations)
page.number("arm", tables.label(arm))
for group in ("forget", "held_out", "maintain"):
    page.share(f"edited_{group}", share[(arm, group)]["share"])
    page.share(f"unedited_{group}", share[("unedited", group)]["share"])

# %% [markdown]
# *Forgotten: {glue:text}`sports`; {glue:text}`n_forget` athletes are trained on,
# {glue:text}`n_held_out` are held out.*
#
# {glue:text}`arm`: after its edit the model says golf of {glue:text}`edited_forget` of the athletes that the edit trained on, and
# of {glue:text}`edited_held_out` of those that were held out. For {glue:text}`edited_maintain` of the athletes of other sports it still says
# their own ({glue:text}`unedited_maintain` before). Before any edit the model says golf of
# {glue:text}`unedited_held_out` of the held-out ones.

# %% tags=["remove-input"]
tables.styled(side_effects.costs(page.rows("damage"), page.values("edit")), index=True)

# %% [markdown]
# *What it cost: change of the next-token loss, and KL(unedited || edited), in nats per token, on text that no edit trained on
# (95 % intervals, cut at zero of a divergence, which cannot be negative).*

# %% [markdown]
# ### The paper's figures

# %% tags=["remove-input"]
theirs = published("full-sports-editing", page.study.localizations)
tables.styled(theirs, {name: "{:.3f}" for name in theirs.columns[1:]})

# %% [markdown]
# *Mean over Gemma-7B, Gemma-2-9B and Llama-3-8B and over three sports, recomputed from the authors' released runs; their
# accuracies are mean probabilities, and nobody was held out.*

# %% [markdown]
# ## To nothing
#
# Unlearning lowers the probability of the true sport and says nothing about what should come instead.

# %% tags=["remove-input"]
gone = page.of("sports-unlearning")
gone.figure("losses_unlearned", figures.learning_curves(gone.rows("edit")),
            "Losses before each update, while the sport is unlearned and nothing is put in its place.", "edit",
            found=findings.reached(gone.rows("edit"), gone.study.size.stop_at, stops=False))

# %% tags=["remove-input"]
unlearned = gone.rows("trained")
gone.figure("outcomes_unlearned", figures.outcome_bars(unlearned, {"true sport, trained on": ("forget", "correct"), "true sport, held out": ("held_out", "correct"),
                                 "true sport, others": ("maintain", "correct")}),
            "Share of athletes whose true sport is still the answer, with 95 % intervals.", "trained",
            found=findings.of_edits("Held-out athletes who keep their sport", aggregate(
                [row for row in unlearned if row["group"] == "held_out"], ["localization"], "correct")))

# %% tags=["remove-input"]
left = {(row["localization"], row["group"]): row["share"] for row in
        aggregate([row for row in unlearned if row["group"] != "neighbourhood"], ["localization", "group"], "correct").to_dict("records")}
said = pd.DataFrame([row for row in unlearned if row["group"] == "forget"]).groupby(["localization", "said"], sort=False).size().unstack(fill_value=0)
said.index = [tables.label(key) for key in said.index]
for group in ("forget", "held_out", "maintain"):
    page.share(f"left_{group}", left[(arm, group)])
tables.styled(said, index=True)

# %% [markdown]
# *What the model says of the athletes that were trained on.*
#
# {glue:text}`arm`: {glue:text}`left_forget` of the trained and {glue:text}`left_held_out` of the held-out athletes
# keep their sport, and {glue:text}`left_maintain` of the others.

# %% tags=["remove-input"]
tables.styled(side_effects.costs(gone.rows("damage"), gone.values("edit")), index=True)

# %% [markdown]
# *What it cost, as above.*

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("localize", "edit", "trained", "damage")

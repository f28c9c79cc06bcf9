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
#     needs: [know, unedited, localize, edit, prompting, damage]
#     own: [LOCALIZATIONS, FORGET_SETS]
#     fixed: [KNOWN_FORMAT, EDIT_FORMAT]
#     tasks: [counterfact-editing, counterfact-unlearning, sequential-counterfact-editing]
# ---

# %% [markdown]
# # Editing world facts
#
# CounterFact-Editing replaces the answers of facts of many relations by false ones; Sequential-CounterFact-Editing
# does so four times in a row ({glue:text}`n_parts` times on this page), each part localized anew, and asks about all of them
# at the end {cite:p}`guo2025mechanistic`. Facts of this kind have paraphrases, and neighbours that share their answer.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
WORLD_FACTS = None  # a CounterFact file or hub data set; None: the shipped table
TEXTS = None
SEED = 0
SEEDS = None
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = 1
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

page = open_page(globals(), "09_world_editing", task="counterfact-editing")
chain = page.of("sequential-counterfact-editing")
page.number("n_parts", chain.study.parts)
page.banner()

# %% [markdown]
# ## One set at once

# %% tags=["remove-input"]
page.number("stop_at", page.study.size.stop_at)
page.figure("losses", figures.learning_curves(page.rows("edit")),
            "Losses before each update. Training stops as soon as the false answers have a probability of {stop_at} (geometric "
            "mean).", "edit", found=findings.reached(page.rows("edit"), page.study.size.stop_at))

# %% tags=["remove-input"]
rows = page.rows("prompting")
trained = page.study.trained_format
inside = [row for row in rows if row["format"] in (trained, "neighbourhood")]
page.figure("outcomes", figures.outcome_bars(inside, {"true answer, forget set": ("forget", "correct"), "false answer, forget set": ("forget", "edited"),
                              "true answer, maintain test": ("maintain", "correct")}),
            "In the trained format, among all tokens: the likeliest token is the true answer, or the one that was put in its place. "
            "95 % intervals.", "prompting", found=findings.answers("False answers in the trained format", rows, "edited", [trained]))

# %% tags=["remove-input"]
page.figure("transfer", figures.transfer_map(rows, "edited", "forget", tables.void_formats(rows), trained),
            "Share of edited facts for which the false answer is the likeliest token, in other words. Few facts: a share may "
            "be far from what more of them would give.", "prompting", found=findings.answers("False answers in prompts that were not trained", rows, "edited", [
                form for form in page.study.formats if form != trained and form not in tables.void_formats(rows)]))

# %% tags=["remove-input"]
near = aggregate([row for row in inside if row["group"] == "neighbourhood"], ["localization"], "edited")
kept = aggregate([row for row in inside if row["group"] == "neighbourhood"], ["localization"], "correct")
tables.styled(pd.DataFrame(
    [{"localization": tables.label(one["localization"]), "neighbours asked": one["n"], "say the true answer": other["share"],
      "say the false one": one["share"]} for one, other in zip(near.to_dict("records"), kept.to_dict("records"), strict=True)]
), {"say the true answer": "{:.2f}", "say the false one": "{:.2f}"})

# %% [markdown]
# *Neighbourhood: other known subjects with the same answer, which nobody edited. An edit that makes them say the false
# answer has changed the answer and not the fact.*

# %% [markdown]
# ### What it cost

# %% tags=["remove-input"]
tables.styled(side_effects.costs(page.rows("damage"), page.values("edit")), index=True)

# %% [markdown]
# *Weights, norm of the whole change, and change of the next-token loss and KL(unedited || edited), in nats per token, on text that no
# edit trained on (95 % intervals, cut at zero of a divergence, which cannot be negative).*

# %% [markdown]
# ### The paper's figures

# %% tags=["remove-input"]
tables.styled(published("counterfact-editing", page.study.localizations), {name: "{:.3f}" for name in published("counterfact-editing", page.study.localizations).columns[1:]})

# %% [markdown]
# *Mean over three models and over 16 and 64 facts, recomputed from the authors' released runs.*

# %% [markdown]
# ## Unlearning

# %% tags=["remove-input"]
gone = page.of("counterfact-unlearning")
gone.figure("losses_unlearned", figures.learning_curves(gone.rows("edit")),
            "The forget loss is -log(1 - p), with p the probability of the true answer: it is zero where nothing of p is left. That "
            "is reached in a step or two, often together with the facts to keep, so these edits take all their steps, too.", "edit",
            found=findings.reached(gone.rows("edit"), gone.study.size.stop_at, stops=False))

# %% tags=["remove-input"]
unlearned = [row for row in gone.rows("prompting") if row["format"] in (trained, "neighbourhood")]
gone.figure("outcomes_unlearned", figures.outcome_bars(unlearned, {"true answer, forget set": ("forget", "correct"), "true answer, maintain test": ("maintain", "correct"),
                                 "true answer, neighbours": ("neighbourhood", "correct")}),
            "With the loss log(1 - p) and nothing in its place: how often the true answer is still the likeliest token.", "prompting",
            found=findings.answers("True answers that are left in the trained format", unlearned, "correct", [trained]))

# %% tags=["remove-input"]
tables.styled(side_effects.costs(gone.rows("damage"), gone.values("edit")), index=True)

# %% [markdown]
# *What it cost, as above.*

# %% [markdown]
# ## Part after part

# %% tags=["remove-input"]
chain.figure("losses_sequence", figures.learning_curves(chain.rows("edit")),
            "Losses of all parts in a row: at the start of each, its own facts have not been edited yet.", "edit",
             found=findings.reached(chain.rows("edit"), chain.study.size.stop_at))

# %% tags=["remove-input"]
many = [row for row in chain.rows("prompting") if row["format"] in (trained, "neighbourhood")]
chain.figure("outcomes_sequence", figures.outcome_bars(many, {"true answer, forget set": ("forget", "correct"), "false answer, forget set": ("forget", "edited"),
                            "true answer, maintain test": ("maintain", "correct")}),
            "After the last part, in the trained format: shares of the facts of all parts, with 95 % intervals.", "prompting",
             found=findings.answers("False answers after the last part", many, "edited", [trained]))

# %% tags=["remove-input"]
counts = aggregate([row for row in many if row["group"] == "forget"], ["localization"], "edited")
page.number("n_chain", int(counts.n.max()))
moved = pd.DataFrame([{**value, **arm} for arm, value in chain.values("edit")])
tables.styled(pd.DataFrame([
    {"localization": tables.label(key), **{f"norm after part {number + 1}": norm for number, norm in part.groupby("part").norm.mean().items()}}
    for key, part in moved.groupby("localization", sort=False)
]), {f"norm after part {number + 1}": "{:.2f}" for number in range(chain.study.parts)})

# %% tags=["remove-input"]
tables.styled(side_effects.costs(chain.rows("damage"), chain.values("edit")), index=True)

# %% [markdown]
# *All {glue:text}`n_chain` facts, after {glue:text}`n_parts` edits in a row; earlier parts are not trained on again. Each part is
# localized on its own share of the facts to localize, so the parts can touch different weights. Norms are means over forget sets. The last table: what all of it cost.*

# %% [markdown]
# ### The paper's figures

# %% tags=["remove-input"]
tables.styled(published("sequential-counterfact-editing", page.study.localizations),
              {name: "{:.3f}" for name in published("sequential-counterfact-editing", page.study.localizations).columns[1:]})

# %% [markdown]
# *Mean over three models, recomputed from the authors' released runs.*

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("localize", "edit", "prompting", "damage")

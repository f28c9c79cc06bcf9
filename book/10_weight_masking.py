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
#     needs: [know, unedited, localize, edit, prompting, relearning, masks, zeroed, baseline]
#     reads: [claims.toml]
#     own: [LOCALIZATIONS, FORGET_SETS, TASK]
# ---

# %% [markdown]
# # Parameter efficiency: how few weights?
#
# If a fact is looked up in a few places, zeroing a few weights there should remove it. The paper's parameter-efficiency
# study {cite:p}`guo2025mechanistic` trains a mask over the localized weights and then zeroes more and more of
# them. Which mechanism do these weights belong to?

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
WORLD_FACTS = None  # a CounterFact file or hub data set; None: the shipped table
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
LOCALIZATIONS = ["fact_lookup", "random_mlps"]
PRECISION = None
FORMATS = None
STOP_AT = None
RELEARNING = None  # verdicts are drawn of a task's claims together; None: as the profile says

# %% tags=["remove-input"]
import pandas as pd

from mechlib.report import design, findings, inside, verdicts
from mechlib.report.aggregation import aggregate
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "10_weight_masking")
page.banner()

# %% [markdown]
# ## Training the mask
#
# A mask in [0, 1] multiplies each localized weight. It is trained on the loss of an edit plus an L1 term that pushes masks
# which the task does not need back to 1; then the weights with the smallest masks are set to zero and all others are
# exactly what they were.

# %% tags=["remove-input"]
page.figure("losses", figures.mask_curves(page.rows("masks")),
            "Losses while the masks are trained, and how many masks have left 1, averaged over forget sets and seeds.", "masks",
            found=findings.of_edits("Masks below 1 in the end", pd.DataFrame([{**value, **arm} for arm, value in page.values("masks")]), "masked", ",.0f"))

# %% tags=["remove-input"]
tables.styled(inside.reach(page.values("masks")), {"localized weights": "{:,.0f}", "masks below 1": "{:,.0f}"})

# %% [markdown]
# *Means over forget sets, with a mask of its own for each.*
#
# ## Zeroing more and more

# %% tags=["remove-input"]
before = [{**row, "size": 0} for row in page.rows("baseline")]
trained = page.study.trained_format
rows = inside.shared_sizes(inside.zeroed(page.rows("zeroed"), page.values("zeroed")))
forget = [row for row in rows if row["group"] == "forget" and row["format"] == trained]
telling = inside.telling_size(forget)
page.figure("sizes", figures.size_curves(rows, before, trained),
            "How often the true answer is still the likeliest token, for facts to forget (solid, with 95 % intervals) and to maintain (dashed), "
            "by the number of weights set to zero, as far as every mask reaches; at 0 the unedited model.", "zeroed",
            found=findings.of_edits(f"True answers left with {telling:,} weights at zero, where they differ most", aggregate(
                [row for row in forget if row["size"] == telling], ["localization"], "correct")))

# %% tags=["remove-input"]
largest = max(row["size"] for row in rows)
final = aggregate([row for row in rows if row["size"] == largest and row["format"] == trained],
                           ["localization", "group"], "correct").set_index(["localization", "group"])
arm = tables.leading(page.study.localizations)
page.number("arm", tables.label(arm))
page.number("largest", largest)
page.share("final_forget", float(final.share[(arm, "forget")]))
page.share("final_maintain", float(final.share[(arm, "maintain")]))

# %% [markdown]
# Of the numbers that were tried, {glue:text}`largest` is the largest that every mask reaches: beyond it some masks ask for no more zeros. {glue:text}`arm`: with so many at zero {glue:text}`final_forget` of the facts to forget and
# {glue:text}`final_maintain` of the maintain facts still get their true answer, on average over forget sets.

# %% [markdown]
# ## Which mechanism the zeroed weights belong to

# %% tags=["remove-input"]
mechanisms = inside.by_mechanism(page.values("zeroed"), largest)
tables.styled(mechanisms, {name: "{:.1%}" if name.startswith("covers") else "{:.2%}" for name in mechanisms.columns[2:]})

# %% [markdown]
# *Share of each mechanism's weights that a localization covers (the paper's Table 2), and that are zero in the end (Table 3): means over
# forget sets. Extraction heads and MLPs write the answer: see <a href="page:04_world_facts">the page on world facts</a>. For Gemma-2-9B the paper gives: attribution patching
# covers 60 % of the extraction MLPs and 9.1 % of fact lookup, causal tracing 30 % and 36.4 %, fact lookup 0 % and 100 %.*

# %% [markdown]
# ## The verdict
#
# What is claimed, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
page.number("rule", verdicts.rule(declared(), page.study.task, "weights masked"))
design.stated(declared(), page.study.task, "weights masked")

# %% [markdown]
# **Rule.** {glue:text}`rule`

# %% tags=["remove-input"]
page.number("opposed", verdicts.opposed(page.verdicts, "weights masked"))
tables.styled(verdicts.table(page.verdicts, "weights masked"))

# %% [markdown]
# *Fact lookup minus the other: below zero, as many zeroed weights take more of the forget set and less of what is to be kept. "True answers": the same of shares.
# "Not run yet" is what the rows say.*
#
# Log odds and shares answer different questions. Log odds go on falling after the last true answer is gone, so that they reward whoever pushes an answer
# further away; a share of zero cannot fall, and what is left to see is what is lost beside it. {glue:text}`opposed`
# What is left, number by number:

# %% tags=["remove-input"]
tables.styled(inside.by_size(page.evidence), {"weights at zero": "{:,}"})

# %% [markdown]
# *True answers (95 % intervals) and mean log odds, in the trained prompt, of facts to forget and to maintain. Sets whose mask reaches so many weights.*
#
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("localize", "masks", "zeroed")

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
#     needs: [know, unedited, edit, prompting, relearning]
#     own: [LOCALIZATIONS, FORGET_SETS, TASK]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # Next door

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
LOCALIZATIONS = ["fact_lookup", "random_mlps"]  # STUDY=next has the MLPs next to fact lookup
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
FORMATS = None
RELEARNING = None  # None: as the profile says

# %% tags=["remove-input"]
from mechlib.report import design, equal_depth, findings, gaps, gate_table, next_door, verdicts
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables
from mechlib.stats import SIGNIFICANT

page = open_page(globals(), "25_next_door")
page.banner()

# %% [markdown]
# Fact lookup's MLPs are early ones, and *Depth or lookup?* needs a model of depth to tell the two apart. Here is a comparison that needs none.
# Each of fact lookup's MLPs is exchanged for the nearest one before it that fact lookup did not find. What is trained then lies one or a few
# layers earlier, is as large, and shares nothing with fact lookup. If depth decides, such an edit lasts as well or better. If lookup decides,
# it lasts less.
#
# The exchange for the nearest MLP after it is the counterpart: depth and lookup both say that it lasts less. The first MLPs of the model lie
# earliest of all.
#
# ## The places

# %% tags=["remove-input"]
claims = [one for one in declared().claim if one.outcome in next_door.OUTCOMES]  # of other facts the same is described
(claim,) = (one for one in claims if one.outcome == next_door.RELEARNING)
table = equal_depth.with_changes(equal_depth.points(claim, page.evidence), page.values("edit"), page.rows("edit"))
tables.styled(equal_depth.places_table(table, equal_depth.left_out(declared().gates, claim, page.evidence)),
              {"overlap": "{:.2f}", "depth": "{:.1f}", "log odds": "{:.2f}", "true answers": "{:.2f}", "norm": "{:.2f}", "steps": "{:.0f}"})

# %% [markdown]
# *The places that have as many MLPs as fact lookup, the same in all forget sets, from the first layer to the last, after relearning: overlap with
# fact lookup (weighted Jaccard), mean layer, log odds and share of true answers on the half that was not taught, norm of the change, steps of the
# edit; means over forget sets.*
#
# ## What comes back

# %% tags=["remove-input"]
table = gaps.gaps(next_door.series(claims, page.evidence), claim.first)
page.figure("gaps", figures.gap_dots(table, "Fact lookup and another place were not both edited."),
            "An edit at fact lookup minus one next to it, log p(true) - log p(target) in nats (left of zero: less of the old answer comes back after "
            "fact lookup), with 95 % intervals over forget sets.", "edit", "prompting", "relearning", found=findings.sides(table, "series"))

# %% [markdown]
# ## What the edits do to the model

# %% tags=["remove-input"]
tables.styled(gate_table.gate_table(page.evidence, declared().gates.success))

# %% [markdown]
# *Whether the targets are what the model says, how much an edit keeps of what it should leave alone, and whether the attack taught its own half.*
#
# ## The verdict
#
# What is claimed, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
page.number("level", SIGNIFICANT)
design.stated(declared(), page.study.task, *next_door.OUTCOMES)

# %% tags=["remove-input"]
tables.styled(verdicts.table(page.verdicts, *next_door.OUTCOMES))

# %% [markdown]
# *An edit at fact lookup minus the other, averaged within forget sets. Supported where it is below zero and the exact sign-flip test over forget sets
# has p at most {glue:text}`level:.2f` after Holm's correction over the comparisons of the family that were run here. "Not run yet" is what the rows say.*
#
# The MLPs right before decide. That the first MLPs last longer, or less long, says whether depth goes on beyond them.
#
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("edit", "prompting", "relearning")

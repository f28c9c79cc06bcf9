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
#     needs: [planted, undone, know, found, unedited, edit, prompting, relearning]
#     profiles: [full, paper]
#     own: [LOCALIZATIONS, FORGET_SETS, FORMATS]
#     fixed: [TASK]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # Planted everywhere

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
TASK = "planted-everywhere"
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
LOCALIZATIONS = ["early_mlps", "late_mlps"]
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
FORMATS = ["one_shot", "question", "cloze"]
RELEARNING = None  # None: as the profile says

# %% tags=["remove-input"]
from mechlib.report import design, equal_depth, gate_table, planted, seekers, verdicts
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables
from mechlib.stats import SIGNIFICANT

page = open_page(globals(), "27_planted_everywhere")
page.banner()

# %% [markdown]
# *Planted facts* are trained into a few MLPs, and an edit is made there or elsewhere. On this page they have no place of their own: the same invented
# athletes are trained into all MLPs of the model at once. So an edit of early MLPs and one of late MLPs each reach a part of what holds the facts, and
# neither is where they are looked up alone. If one of the two lasts longer, it is for its depth, or because training put more of the facts there.
#
# ## What was planted

# %% tags=["remove-input"]
page.number("taught", page.study.size.n_planted)
page.number("wordings", planted.wordings())
page.number("asked", tables.named(page.study.trained_format))
tables.styled(planted.plants_table(page.values("planted"), page.rows("planted"), page.rows("know")), {"norm": "{:.1f}"})

# %% [markdown]
# *{glue:text}`taught` invented athletes, taught in these wordings: {glue:text}`wordings`. "Known": the sport comes first when it is asked for in the
# format that edits are trained on ({glue:text}`asked`), which is none of the lessons'.*
#
# ## Where training put them
#
# That all MLPs were trained does not say that each of them learned as much. So what was planted is undone in one layer at a time, and in the early and in the
# late MLPs that are edited below, and the facts are asked again.

# %% tags=["remove-input"]
undone, parts = page.rows("undone"), page.values("undone")
page.figure("worth", figures.planted_layers(planted.by_layer(undone, parts), planted.places(parts)),
            "What is lost of a taught fact when the planted change of one MLP is undone (left, with 95 % intervals over facts), and how large that change is (right).",
            "undone", found=planted.worth(undone, parts))

# %% tags=["remove-input"]
tables.styled(planted.undone_table(undone, parts), {"norm of the planted change": "{:.1f}"})

# %% [markdown]
# *Where one of the two places matters more to the facts than the other, an edit there reaches more of what holds them, and the comparison below is not one of
# depth alone. Log-probabilities in nats, with 95 % intervals over facts: all are of one model.*
#
# ## What the methods name

# %% tags=["remove-input"]
found = seekers.found_table(page.values("found"))
tables.styled(found[["method", "layers found"]])

# %% [markdown]
# *The MLPs that each method chooses for these facts, as many weights as fact lookup does. All of them were trained, so that none of the choices is wrong; they
# say where a method looks when the facts have no place.*
#
# ## Edits of early and of late MLPs

# %% tags=["remove-input"]
claims = declared().of_task(page.study.task)
cells = {planted.ASKED[claim.measure]: planted.cells(claim, page.evidence) for claim in claims}
page.figure("everywhere", figures.planted_dots(cells),
            "What is left of facts that were planted in all MLPs, log p(true) - log p(target) in nats (lower: less comes back), by the place of the edit, "
            "with 95 % intervals over forget sets.", "edit", "prompting", "relearning", found=planted.title(page.verdicts))

# %% tags=["remove-input"]
shown = equal_depth.stacked([planted.cells_table(table, name) for name, table in cells.items()])
tables.styled(shown, {"true answers": "{:.2f}"})

# %% [markdown]
# *The same in numbers, with 95 % intervals over forget sets, and the share of true answers.*
#
# ## What the attack teaches by itself

# %% tags=["remove-input"]
tables.styled(planted.floor(page.evidence))

# %% [markdown]
# *True answers after relearning, over forget sets (95 %). Facts that were never planted are edited beside the others, and no attacker is told them.*
#
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
design.stated(declared(), page.study.task)

# %% tags=["remove-input"]
tables.styled(verdicts.table(page.verdicts, *(one.outcome for one in claims)))

# %% [markdown]
# *An edit of the early MLPs minus one of the late ones, averaged within forget sets. Supported where it is below zero and the exact sign-flip test over
# forget sets has p at most {glue:text}`level:.2f` after Holm's correction over the comparisons of the family that were run here. Supported means that depth
# by itself is enough for such a gap, and not that the paper's explanation is wrong; contradicted, that depth by itself works the other way.*
#
# What the attack added to a gap, and what was there before it:

# %% tags=["remove-input"]
tables.styled(verdicts.under_attack(page.verdicts))

# %% [markdown]
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("planted", "undone", "found", "edit", "prompting", "relearning")

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
#     needs: [planted, know, found, unedited, edit, prompting, relearning]
#     profiles: [full, paper]
#     own: [LOCALIZATIONS, FORGET_SETS, FORMATS]
#     fixed: [TASK]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # Planted facts

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
TASK = "planted-facts"
TEXTS = None
SEED = 0
SEEDS = None
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = 2
DIVIDED_SETS = None  # the facts are divided into so many forget sets, of which FORGET_SETS are edited; None: into no more
EDIT_FORMAT = None
LOOKUP_RULE = "paper"
LOCALIZATIONS = ["planted_site", "other_site"]
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
from mechlib.report import design, equal_depth, planted, seekers, verdicts
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables
from mechlib.stats import SIGNIFICANT

page = open_page(globals(), "23_planted_facts")
page.banner()

# %% [markdown]
# Nobody knows where a model stores the facts that it learned from text. So nobody can say whether a method finds the place, and an edit
# that fails can always have been made at the wrong one. Facts that are *planted* have a place: invented athletes are trained into a few MLPs
# of the model, and nothing else changes. Then each method looks for them, and edits are made where they are and where they are not.
#
# The sites lie at different depths, and a forget set is edited at its own site and at the other one. So depth and storage, which no other
# page can tell apart, are crossed here: a place that is good to edit whatever it holds is the planted site of some sets and the other site of
# the rest, and cancels.
#
# ## What was planted

# %% tags=["remove-input"]
page.number("taught", page.study.size.n_planted)
page.number("wordings", planted.wordings())
page.number("asked", tables.named(page.study.trained_format))
tables.styled(planted.plants_table(page.values("planted"), page.rows("planted"), page.rows("know")), {"norm": "{:.1f}"})

# %% [markdown]
# *{glue:text}`taught` invented athletes, each with one of the sports of the real ones, are taught in these wordings: {glue:text}`wordings`.
# Other weights than the site's stay as they are; real athletes and text are held on to. "Known": the sport comes first when it is asked for
# in the format that edits are trained on ({glue:text}`asked`), which is none of the lessons'. What is edited below was taught and is known; what was
# never taught counts as never known, and right guesses about it count for nothing.*
#
# ## Who finds them

# %% tags=["remove-input"]
found = seekers.found_table(page.values("found"))
page.number("finders", seekers.finders(found))
tables.styled(found, {name: "{:.2f}" for name in ("precision", "recall", "chance")})

# %% [markdown]
# *The MLPs that each method chooses for the planted facts, as many weights as fact lookup does. Precision: how many of them were trained. Recall: how many
# of the trained ones are among them. Chance: the precision of a draw.*
#
# Better than a draw at every site: {glue:text}`finders`. A method that names the same layers wherever the facts are has not found them, however good its
# precision is at one site; and what it names for facts that the model learned from text is on the page <a href="page:02_localization">Localization</a>. <a href="page:30_planted_places">Who finds planted facts?</a> asks the
# same of places from the first layer to the last.
#
# ## Edits there and elsewhere

# %% tags=["remove-input"]
claims = [one for one in declared().of_task(page.study.task) if one.rule == "balanced"]
cells = {planted.ASKED[claim.measure]: planted.cells(claim, page.evidence) for claim in claims}
page.figure("planted", figures.planted_dots(cells),
            "What is left of planted facts, log p(true) - log p(target) in nats (lower: less comes back), by the place of the edit, with 95 % "
            "intervals over forget sets; a colour each place where they were planted.", "edit", "prompting", "relearning",
            found=planted.title(page.verdicts))

# %% tags=["remove-input"]
shown = equal_depth.stacked([planted.cells_table(table, name) for name, table in cells.items()])
tables.styled(shown, {"true answers": "{:.2f}"})

# %% [markdown]
# *The same in numbers, with 95 % intervals over forget sets, and the share of true answers. If storage decides, an edit at the planted site
# leaves less than one at the other, whichever of them is early. If depth decides, early edits leave less, or late ones do, whatever was planted there.*
#
# ## What the attack teaches by itself

# %% tags=["remove-input"]
tables.styled(planted.floor(page.evidence))

# %% [markdown]
# *True answers after relearning, over forget sets (95 %). Facts that were never planted are edited beside the others, and no attacker is told them: what
# the models say of them is no memory.*
#
# ## The verdict
#
# What is claimed, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
page.number("level", SIGNIFICANT)
design.stated(declared(), page.study.task)

# %% tags=["remove-input"]
tables.styled(verdicts.table(page.verdicts, *(one.outcome for one in claims)))

# %% tags=["remove-input"]
tables.styled(verdicts.gates_table(page.verdicts, *(one.outcome for one in claims)))

# %% [markdown]
# *An edit at the planted site minus one at the other, averaged within forget sets, then over the sets of each site, then over sites. Supported where it is
# below zero with p at most {glue:text}`level:.2f` (Student's t within sites, after Holm's correction over the comparisons of the family that were run
# here); contradicted above zero; else equivalent, if the 90 % interval lies within the margin. The family is these claims' own: those about
# other facts are adjusted by themselves.*
#
# What the attack added to a gap, and what was there before it:

# %% tags=["remove-input"]
tables.styled(verdicts.under_attack(page.verdicts))

# %% [markdown]
# Planted facts are no pretrained ones. They were learned in few wordings, in one go, and by so few layers that these may hold them in a way of their own;
# and where the others cannot change, nothing else can share the work. So this page tests the methods and the explanation, not the models of the paper.
#
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("planted", "found", "edit", "prompting", "relearning")

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
#     profiles: [full, paper]
#     own: [LOCALIZATIONS, FORGET_SETS, TASK, RELEARNING]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # The paper's own attack

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
FORMATS = None
RELEARNING = {"ranks": [512], "learning_rates": [2e-4], "steps": 20, "checkpoints": [20]}  # the paper's

# %% tags=["remove-input"]
from mechlib.report import design, findings, gaps, gate_table, robustness, verdicts
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables
from mechlib.report.standing import SHOWN_ON
from mechlib.stats import SIGNIFICANT

page = open_page(globals(), "26_published_attack")
page.banner()

# %% [markdown]
# On <a href="page:11_relearning">the page on relearning</a> the attacker trains a small adapter at a high rate, for as many steps as it takes to teach its own half. The paper's
# attacker {cite:p}`guo2025mechanistic` is another one: an adapter of a much higher rank, at a lower rate. Whether an edit lasts may depend on who
# attacks it. So the same edits are attacked in the paper's way. The one difference that matters is that the true answers are taught: the released code
# gives edit targets to the attack on world facts.

# %% tags=["remove-input"]
tables.styled(robustness.settings_table(page.study.relearning))

# %% [markdown]
# *The attack of this page.*
#
# ## What comes back

# %% tags=["remove-input"]
(outcome,) = SHOWN_ON["26_published_attack"]
table = gaps.gaps(gaps.around_attack(page.evidence), "fact_lookup")
page.figure("gaps", figures.gap_dots(table, "Fact lookup and another place were not both edited and attacked."),
            "An edit at fact lookup minus another, log p(true) - log p(target) in nats on the half that the attack does not teach (left of zero: less of the "
            "old answer after fact lookup), before the attack and after its last step, with 95 % intervals over forget sets.",
            "edit", "relearning", found=findings.sides(table, "series"))

# %% tags=["remove-input"]
rows = page.rows("relearning")
tables.styled(robustness.recovery_table(robustness.recoveries(rows, *page.evidence.last)))

# %% [markdown]
# *True answers on the half that is not taught before and after the attack, on never-known facts after it, the normalised recovery, and maintain accuracy
# before and after. The recovery is 0 where nothing came back but what the attack teaches anyway, and 1 where as much did as in the unedited model.*
#
# ## Was the lesson learned?

# %% tags=["remove-input"]
tables.styled(gate_table.gate_table(page.evidence, declared().gates.success))

# %% [markdown]
# *Whether the targets are what the model says, how much an edit and the attack keep of what they should leave alone, and whether the attack taught its own
# half.*
#
# ## The verdict
#
# What is claimed, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
page.number("level", SIGNIFICANT)
design.stated(declared(), page.study.task, outcome)

# %% tags=["remove-input"]
tables.styled(verdicts.table(page.verdicts, outcome))

# %% [markdown]
# *An edit at fact lookup minus the other, averaged within forget sets. Supported where it is below zero and the exact sign-flip test over forget sets
# has p at most {glue:text}`level:.2f` after Holm's correction over the comparisons of the family that were run here. "Not run yet" is what the rows say;
# it is also what they say where the attack is another one than the claim names.*
#
# What the attack added to a gap, and what was there before it:

# %% tags=["remove-input"]
tables.styled(verdicts.under_attack([one for one in page.verdicts if one.claim.outcome == outcome]))

# %% [markdown]
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("edit", "prompting", "relearning")

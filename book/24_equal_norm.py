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
# # Is it the size of the change?

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
LOCALIZATIONS = ["fact_lookup", "random_mlps", "fact_lookup@random_mlps"]  # "a@b": the change of a, rescaled to the norm of that of b
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
from mechlib.report import design, equal_norm, findings, gate_table, verdicts
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables
from mechlib.stats import SIGNIFICANT

page = open_page(globals(), "24_equal_norm")
page.banner()

# %% [markdown]
# Edits that reach the same success need not change the weights as much. An edit that pushes further may last longer, wherever it is made, and
# then the place would get the credit for the size. Here the size is made equal: after training, the change of one edit is multiplied by a
# number that gives it the norm of the other's. What is rescaled is the change that is smaller over all forget sets: it grows, but for sets in
# which it is the larger one by chance.
#
# ## How large the changes are

# %% tags=["remove-input"]
page.number("rescaled", equal_norm.rescaled(page.study.localizations or ()))
tables.styled(equal_norm.norms_table(page.values("edit")),
              {name: "{:.2f}" for name in ("norm", "least", "most", "rescaled by")})

# %% [markdown]
# *The Euclidean norm of all changed weights together: mean, least and most over edits, and the mean factor by which a change was rescaled. Rescaled here:
# {glue:text}`rescaled`.*
#
# ## What relearning brings back

# %% tags=["remove-input"]
found = equal_norm.gaps(page.evidence)
page.figure("norms", figures.gap_dots(found, "No edit was rescaled and attacked."),
            "What relearning of one half brings back of the other, log p(true) - log p(target) in nats: an edit at fact lookup minus another (left "
            "of zero: less comes back after fact lookup), with 95 % intervals over forget sets; as the edits were trained, and at equal norm.",
            "edit", "prompting", "relearning", found=findings.sides(found, "series"))

# %% tags=["remove-input"]
tables.styled(equal_norm.gaps_table(found))

# %% [markdown]
# *The same in numbers. If size decides, a gap goes to zero at equal norm. If the place decides, it stays.*
#
# ## What rescaling does to an edit

# %% tags=["remove-input"]
tables.styled(gate_table.gate_table(page.evidence, declared().gates.success))

# %% [markdown]
# *A larger change is a blunter one. So the gates are asked again of the edits that were rescaled: whether the targets are still what the model says, how much an
# edit keeps of what it should leave alone, and whether the attack taught its own half.*
#
# ## The verdict
#
# What is claimed, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
page.number("level", SIGNIFICANT)
design.stated(declared(), page.study.task, equal_norm.OUTCOME)

# %% tags=["remove-input"]
tables.styled(verdicts.table(page.verdicts, equal_norm.OUTCOME))

# %% [markdown]
# *An edit at fact lookup minus the other, at equal norm, averaged within forget sets. Supported where it is below zero and the exact sign-flip test over forget sets
# has p at most {glue:text}`level:.2f` after Holm's correction over the comparisons of the family that were run here. "Not run yet" is what the rows say.*
#
# One norm is not one strength: where few weights change, they move further than where many share the same norm. What is equal here is the distance
# from the unedited model, which is what relearning has to travel back.
#
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("edit", "prompting", "relearning")

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
# # Depth or lookup?

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
LOCALIZATIONS = ["fact_lookup", "random_mlps"]  # STUDY=depth has all places
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
from mechlib.report import design, equal_depth, verdicts
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables
from mechlib.stats import SIGNIFICANT

page = open_page(globals(), "19_depth_or_lookup")
page.banner()

# %% [markdown]
# Fact lookup's MLPs are early ones. So each comparison of them with a later place compares two things at once: what the MLPs do, and
# how deep they lie. Early layers may be a good place to edit whatever they do {cite:p}`hase2023does`. Then the paper's explanation would
# be wrong even where its numbers are right.
#
# ## The places
#
# The study *depth* (`make execute STUDY=depth`) edits as many MLPs in many places, all alike: at fact lookup's, in windows from the first
# layer to the last, and in draws that are the same for all forget sets. The draws were chosen so that overlap and depth are not the same
# thing: some lie as deep as fact lookup and have none of its MLPs, others have one of its MLPs and a much later one. On this page:
# {glue:text}`edited`.

# %% tags=["remove-input"]
claims = [one for one in declared().claim if one.rule == "mixed model"]  # of other facts the same is described
values, curves = page.values("edit"), page.rows("edit")
found = {claim.measure: equal_depth.with_changes(equal_depth.points(claim, page.evidence), values, curves) for claim in claims}
lines = {one.claim.measure: one for one in page.verdicts if one.claim.rule == "mixed model"}
NAMES = {"transfer": "In prompts that were not trained", "relearning": "After relearning of one half"}
page.number("places", max((table.arm.nunique() for table in found.values()), default=0))
page.number("level", SIGNIFICANT)
page.number("enough", equal_depth.ENOUGH_PLACES)
page.number("edited", equal_depth.edited(max((table.arm.nunique() for table in found.values()), default=0)))
page.figure("depth", figures.depth_dots({NAMES[key]: table for key, table in found.items()}),
            "What is left of the old answer, log p(true) - log p(target) in nats (lower: less comes back), by the mean layer of the MLPs that "
            "an edit trains, with 95 % intervals over forget sets; {places} places of as many weights.", "edit", "prompting", "relearning",
            found=equal_depth.title({NAMES[key]: table for key, table in found.items()}))

# %% [markdown]
# If lookup decides, fact lookup and the places that share MLPs with it lie below others of their depth. If depth decides, all lie on one
# curve. *Next door* asks the same with one exchange, and without a model of depth.

# %% tags=["remove-input"]
out = {key: equal_depth.left_out(declared().gates, claim, page.evidence) for claim in claims for key in [claim.measure]}
shown = {key: equal_depth.places_table(table, out[key]) for key, table in found.items()}
both = shown["relearning"] if len(shown.get("relearning", ())) else shown.get("transfer")
tables.styled(both, {"overlap": "{:.2f}", "depth": "{:.1f}", "log odds": "{:.2f}", "true answers": "{:.2f}", "norm": "{:.2f}", "steps": "{:.0f}"})

# %% [markdown]
# *Every place, from the first layer to the last, after relearning: overlap with fact lookup (weighted Jaccard), mean layer, log odds and share
# of true answers on the half that was not taught, norm of the change, steps of the edit; means over forget sets. A place that fails a
# gate is left out of the models below.*
#
# ## The models

# %% tags=["remove-input"]
both = [equal_depth.model_table(table[~table.arm.isin(list(out[key]))], "odds").assign(outcome=NAMES[key]) for key, table in found.items()]
tables.styled(equal_depth.stacked(both))

# %% [markdown]
# *What overlap with fact lookup does to the log odds, from none of its MLPs to all of them, in nats (95 %, Student's t with places as the
# unit), with a random intercept for each place and set. Below zero: less comes back. The third line decides; the others say how much hangs on
# how depth is measured, and whether the size or the length of an edit explains it.*

# %% tags=["remove-input"]
alone = [equal_depth.single_terms(table[~table.arm.isin(list(out[key]))], "odds").assign(outcome=NAMES[key]) for key, table in found.items()]
tables.styled(equal_depth.stacked(alone))

# %% [markdown]
# *What each term does by itself: per layer, per unit of norm, per step, and of overlap from none to all. Not declared before the runs, so it
# is described.*

# %% tags=["remove-input"]
tables.styled(equal_depth.correlations(found["transfer"]).round(2).reset_index(names="term"), {name: "{:.2f}" for name in equal_depth.CORRELATED})

# %% [markdown]
# *How far the terms say the same (Pearson's correlation over places and sets). Near 1 or -1, no model can tell two of them apart.*
#
# ## The verdict
#
# What is claimed, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
design.stated(declared(), page.study.task, *(one.outcome for one in claims))

# %% tags=["remove-input"]
tables.styled(verdicts.table(page.verdicts, *(one.outcome for one in claims)))

# %% [markdown]
# *An edit at fact lookup's MLPs minus one that has none of them, at equal depth. Supported where the coefficient is below zero with p at most
# {glue:text}`level:.2f` after Holm's correction over the comparisons of the family that were run here; contradicted above zero; else equivalent, if the
# 90 % interval lies within the margin. Fewer than {glue:text}`enough` places that pass all gates are no basis. "Not run yet" is what the rows say.*
#
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("edit", "prompting", "relearning")

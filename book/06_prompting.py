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
#     needs: [know, able, unedited, prompting, edit, relearning]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # Robustness across prompt formats
#
# An edit that only holds in the prompt it was trained on has changed a habit, not a fact. The paper's claim is that
# an edit made at fact lookup holds in other prompts too, and that one made where the output can be traced does not.
# Here every edit is asked again, in words it was not trained on.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
FACTS = None
WORLD_FACTS = None
TASK = "sports-athlete-editing"
TEXTS = None
SEED = 0
SEEDS = None
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = None
DIVIDED_SETS = None  # the facts are divided into so many forget sets, of which FORGET_SETS are edited; None: into no more
EDIT_FORMAT = None
LOOKUP_RULE = "paper"  # how path patching chooses MLPs, in tasks that use it: "paper" or "released"
LOCALIZATION = None  # a localization file of your own: it joins the comparison as "given"
LOCALIZATIONS = None
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
FORMATS = None  # None: one_shot, question, few_shot, cloze, multiple_choice
RELEARNING = None  # its claims are of the same family; None: as the profile says

# %% tags=["remove-input"]
from mechlib.report import able, design, differences, findings, sentences, verdicts
from mechlib.report.aggregation import aggregate
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "06_prompting")
page.banner()

# %% tags=["remove-input"]
rows = page.rows("prompting")
void, trained = tables.void_formats(rows), page.study.trained_format
# What claims about other prompts count, too: formats that only some claims ask for are left out.
counted = [form for form in page.study.formats if form not in void and form not in page.study.kind.beyond]
common = [form for form in counted if form != trained]
page.number("void", ", ".join(tables.label(form) for form in void) or "none")
page.number("not_asked", sentences.not_asked(page.study))
page.number("common", sentences.listed(common))

# %% [markdown]
# ## Does the old answer come back?
#
# The share of edited facts for which the model still prefers the **true** answer. The first row is the unedited model,
# one column is the prompt that was trained. Titles of figures count the formats that all claims ask for. Void, because the unedited
# model is at chance: {glue:text}`void`. Not asked here, though the facts can be asked so: {glue:text}`not_asked`.

# %% tags=["remove-input"]
page.figure("true", figures.transfer_map(rows, "correct", "forget", void, trained),
            "Forget accuracy by localization and format: darker means that more of the old answers come back.", "prompting",
            found=findings.answers("True answers in prompts that were not trained", rows, "correct", common))

# %% [markdown]
# ## Does the new answer hold?

# %% tags=["remove-input"]
page.figure("injected", figures.transfer_map(rows, "edited", "forget", void, trained),
            "Edit accuracy: the share of edited facts for which the model prefers the injected answer.", "prompting",
            found=findings.answers("Injected answers in prompts that were not trained", rows, "edited", common))

# %% [markdown]
# ## Are the others left alone?

# %% tags=["remove-input"]
page.figure("maintain", figures.transfer_map(rows, "correct", "maintain", void, trained),
            "Maintain accuracy: facts that no edit was meant to touch. A localization that loses them has not forgotten; it has "
            "broken.", "prompting",
            found=findings.of_edits("Other facts answered correctly", aggregate(
                [row for row in rows if row["group"] == "maintain" and row["format"] in counted], ["localization", "format"],
                "correct")))

# %% [markdown]
# ## With intervals
#
# Forget accuracy by format, with 95 % intervals.

# %% tags=["remove-input"]
forget = [row for row in rows if row["group"] == "forget"]
tables.interval_table(aggregate(forget, ["localization", "format"], "correct"), ["localization"], "format", void)

# %% [markdown]
# {glue:text}`beyond`

# %% tags=["remove-input"]
page.number("beyond", able.asked_beyond(page.study.kind.beyond, page.evidence.able))
tables.styled(able.table(page.evidence.able, declared().gates.able)) if page.evidence.able else None

# %% [markdown]
# ## The verdict
#
# What is claimed about this task, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
design.stated(declared(), page.study.task, "transfer")

# %% [markdown]
# **Rule.** {glue:text}`rule`

# %% tags=["remove-input"]
page.verdict("transfer")

# %% tags=["remove-input"]
tables.styled(verdicts.table(page.verdicts, "transfer"))

# %% [markdown]
# *Fact lookup minus the other. Overlap: weighted Jaccard of the trained weights. Log odds decide; the shares of true answers stand beside.
# "Not run yet" is what the rows say. Holm's family holds all claims about this task that were run, whatever the page.* {glue:text}`twins`
#
# ### Edited alike?

# %% tags=["remove-input"]
tables.styled(verdicts.gates_table(page.verdicts, "transfer"))

# %% [markdown]
# *What each gate says of both arms, fact lookup first. What an edit keeps of the unedited model's maintain accuracy can be above one, and has no interval where
# forget sets are too few to tell one.*
#
# ### With matched sets alone

# %% tags=["remove-input"]
tables.styled(verdicts.matched_table([one for one in page.verdicts if one.claim.outcome == "transfer"]))

# %% [markdown]
# *What changes if only those forget sets count in which both arms reached the success that is asked for. "Alone" is what the test says
# without the other gates.*
#
# ### In shares of true answers

# %% tags=["remove-input"]
tables.styled(differences.from_lookup(rows, differences.in_formats(rows, common)))

# %% [markdown]
# *Fact lookup minus the other, in the share of true answers, with 95 % intervals over forget sets and the exact p of each line by itself.
# Descriptive, in those formats that were not trained, are not void, and are asked of all claims: {glue:text}`common`.*
#
# Three cautions before anyone quotes this table. A weaker edit (see <a href="page:05_editing">the page on editing</a>) leaves more of the old
# answers whatever its place, so compare edits that succeeded equally. Random MLPs are drawn from all layers, and
# a draw with early layers in it is not a control *against* early layers. And depth itself is a rival explanation:
# early layers may be a good place to edit whether or not they look the fact up {cite:p}`hase2023does`; the page <a href="page:19_depth_or_lookup">Depth or lookup?</a>
# takes that up.

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance(*(["able"] if page.evidence.able else []), "edit", "prompting", "relearning")

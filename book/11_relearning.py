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
#     needs: [know, able, unedited, edit, relearning, relearning_nulls, prompting]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # Adversarial relearning
#
# Teach a model half of what it forgot, and ask about the other half. If the knowledge is gone, the lesson says nothing
# about facts that were not in it. If it was only suppressed, the lesson may bring back all of it
# {cite:p}`deeb2024unlearning`. The paper's claim is that edits at fact lookup pass this test and others do not. It is
# an easy test to get wrong, so this page begins with how.

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
LOOKUP_RULE = "paper"
LOCALIZATION = None
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
FORMATS = None  # its claims are of the same family; None: as on the page on prompting
RELEARNING = None  # None: as the profile says; else a dictionary of ranks, learning_rates, steps, checkpoints

# %% tags=["remove-input"]
import pandas as pd

from mechlib.report import design, differences, findings, null_attacks, robustness, sentences, verdicts
from mechlib.report.claims import declared
from mechlib.report.gate_table import gate_table
from mechlib.report.page import figures, open_page, tables
from mechlib.report.published import about_relearning, published_relearning, void_relearning
from mechlib.stats import LEAST_GAP

page = open_page(globals(), "11_relearning")
page.banner()

# %% [markdown]
# ## What the released runs measured
#
# **World facts: the wrong answers.** In the authors' released code for CounterFact, the class that feeds the attack
# gives edit targets in place of true answers, for the facts to relearn and for those to maintain alike. So the attack
# repeats the edit and pulls everything else over to false answers. The lower half of the table is what that looks
# like: facts to maintain collapse, held-out facts hardly move, and no localization differs from another. It says
# nothing about relearning. The athletes' attack does use true answers.
#
# **No control.** The unedited model was not attacked, nor was anybody asked about facts that no model knew. But a
# lesson about athletes also teaches which sports are likely, and a model that is trained hard enough forgets how to
# answer at all. Both look like robustness, or the lack of it.
#
# **One setting, one split, one run.** Rank 512, learning rate 2e-4, twenty steps; the first half teaches and the
# second is tested. Of the first sixteen athletes, the half that teaches holds no basketball player, and the half that
# is tested holds mostly those.

# %% tags=["remove-input"]
columns = ["localization", "forget before", "forget relearned", "maintain before", "maintain relearned"]
theirs = pd.concat([published_relearning(task)[columns].assign(facts=name) for task, name in
                    (("sports-athlete-editing", "athletes"), ("counterfact-editing", "CounterFact (edit targets)"))])
tables.styled(theirs, {name: "{:.3f}" for name in columns[1:]})

# %% [markdown]
# *The paper's figures: mean probability of the true answer on the half of the forget set that was not taught and on
# facts to maintain, before and after twenty steps. Means over three models and over 16 and 64 facts, six runs a line,
# recomputed from the authors' released runs.*
#
# ## What is done here
#
# **The attack.** {glue:text}`definition`
#
# Adapters {cite:p}`hu2022lora` are trained as in the paper. What differs:
#
# - **Cross-fitting.** {glue:text}`cross_fitting`
# - **A reference.** The unedited model is attacked in the same way: what it says afterwards is all that could come
#   back.
# - **A floor.** *Never-known facts*, which the unedited model got wrong before any attack, are asked as well. What the
#   attack brings "back" of those, it taught.
# - **Nulls.** The same attack without the knowledge: the answers of the taught half are dealt to one another
#   (*permuted answers*), or only facts to maintain and text are trained on (*retain facts only*).
# - **Void.** A broken model is not a robust one. There is a rule for the figures and tables, and another for verdicts. An attacked model is
#   *void*, and marked so in figures and tables, if it keeps less than {glue:text}`kept` of its own maintain accuracy: the share itself
#   decides, whatever its interval. A verdict is withheld (*model broken*) only if the whole interval of that share over forget sets, or of what
#   the edit kept of the unedited model's, lies below {glue:text}`kept_gate`. So a line can be void in a table and have a verdict.
#
# From these follows the **normalised recovery**,
#
# $$r = \frac{e - n}{u - n}$$
#
# of three shares of true answers after the attack: $e$ of the edited model about facts not taught, $u$ of the unedited model about the same facts, and $n$ of
# the edited model about never-known facts. It is 0 if nothing came back but what the attack teaches anyway, and 1 if everything did. It is
# undefined where the denominator is below {glue:text}`gap`.

# %% tags=["remove-input"]
rows, nulls = page.rows("relearning"), page.rows("relearning_nulls")
outcomes = robustness.outcomes(rows)
setting = robustness.shared_setting(outcomes)
page.number("definition", sentences.definition("relearning"))
page.share("kept", robustness.KEPT)
page.share("kept_gate", declared().gates.kept)
page.number("gap", f"{LEAST_GAP:g}")
page.number("cross_fitting", sentences.cross_fitting(page.study.size.n_folds))
page.number("null_sets", sentences.null_sets(rows, nulls))
page.number("nulls", ", ".join(dict.fromkeys(row["null"] for row in nulls)) or "none that this task allows")
page.number("setting", robustness.setting_name(*setting))
best = robustness.strongest(outcomes)
tried = int(best.tried.max())
page.number("combined", sentences.combined(tried))
page.number("chosen", sentences.chosen(tried))
tables.styled(robustness.settings_table(page.study.relearning))

# %% [markdown]
# *What this attacker tried{glue:text}`combined`. Nulls: {glue:text}`nulls`, run on {glue:text}`null_sets`.*
#
# ## What comes back

# %% tags=["remove-input"]
page.figure("curves", figures.relearning_curves(outcomes),
            "Share of the facts not taught whose true answer is back, over the steps of the attack (step 0: before it), with 95 % "
            f"intervals{sentences.panels(tried)}. Dashed: the unedited model. Dotted: never-known facts, "
            f"averaged over the edited models.{sentences.hollow(bool(outcomes.void.any()))}", "relearning",
            found=findings.attacked("True answers on facts not taught, after the attack", outcomes, *setting))

# %% [markdown]
# To compare edits, one setting must serve for all: {glue:text}`setting`. {glue:text}`chosen`

# %% tags=["remove-input"]
tables.styled(robustness.recovery_table(robustness.recoveries(rows, *setting)))

# %% [markdown]
# *Under that setting: true answers on the forget set before and after, on never-known facts after, the normalised
# recovery (bootstrap over forget sets and facts), and maintain accuracy before and after. An edit that left true
# answers standing before the attack has them after it, too.*
#
# ## With the knowledge and without it

# %% tags=["remove-input"]
both = null_attacks.beside_nulls(rows, nulls, *setting)
page.number("without", null_attacks.without_knowledge(both))
tables.styled(null_attacks.null_table(both))

# %% [markdown]
# *Share of true answers after an attack with the true answers of the other half of a forget set, on never-known facts after
# that attack, and after the same attack without the true answers, with 95 % intervals; all on those halves that the nulls were run on, of as many
# forget sets and facts as are given. Where the nulls bring back as much, the attacker's knowledge played no part: any training would have done.*
#
# {glue:text}`without`
#
# ## The strongest attacker
#
# {glue:text}`attacker`

# %% tags=["remove-input"]
page.number("attacker", sentences.attacker(tried))
tables.styled(robustness.strongest_table(best)) if tried > 1 else None

# %% [markdown]
# ## Was the lesson learned?

# %% tags=["remove-input"]
tables.styled(robustness.taught_table(rows))

# %% [markdown]
# *True answers about the half that was taught, and log p(true) - log p(target) in nats of both halves, at every step (95 %, over forget
# sets). An attack that does not even bring back the half that it teaches says nothing about the other half.*
#
# ## Every gate

# %% tags=["remove-input"]
tables.styled(gate_table(page.evidence, declared().gates.success))

# %% [markdown]
# *What must hold before arms may be compared. Overlap: weighted Jaccard of the trained weights with those of the first line. Edited:
# edits that gave their targets the probability that counts. Kept: the share of the maintain accuracy that is left, without an interval
# where forget sets are too few to tell one. Floor: true answers,
# after the attack, about facts that the model never knew and that were edited beside the forget set: what the attack brings of itself.*
#
# ## The verdict
#
# What is claimed about this task, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
design.stated(declared(), page.study.task, "relearning")

# %% [markdown]
# **Rule.** {glue:text}`rule`

# %% tags=["remove-input"]
page.verdict("relearning")

# %% tags=["remove-input"]
tables.styled(verdicts.table(page.verdicts, "relearning"))

# %% [markdown]
# *Fact lookup minus the other. Overlap: weighted Jaccard of the trained weights. Log odds decide; the shares of true answers stand beside.
# "Not run yet" is what the rows say. Holm's family holds all claims about this task that were run, whatever the page.* {glue:text}`twins`
#
# ### Was it the attack?

# %% tags=["remove-input"]
tables.styled(verdicts.under_attack([one for one in page.verdicts if one.claim.outcome == "relearning"]))

# %% [markdown]
# *Fact lookup minus the other in log odds (nats, 95 % over forget sets) on the half that is not taught, before the attack and after it, and what
# the attack added. An edit that lowers the old answer further leaves a gap before any attack; one that resists relearning widens it. No rule was declared for this
# before the runs: it is described.*
#
# ### Edited alike?

# %% tags=["remove-input"]
tables.styled(verdicts.matched_table([one for one in page.verdicts if one.claim.outcome == "relearning"]))

# %% [markdown]
# *What changes if only those forget sets count in which both arms reached the success that is asked for. "Alone" is what the test says
# without the other gates.*
#
# ### In shares of true answers

# %% tags=["remove-input"]
tables.styled(differences.from_lookup(rows, differences.after_attack(rows, [setting])))

# %% [markdown]
# *Fact lookup minus the other, in the share of true answers, with 95 % intervals over forget sets and the exact p of each line by itself.
# Descriptive, under {glue:text}`setting`.*

# %% [markdown]
# ## Beside the paper's figures

# %% tags=["remove-input"]
paper_setting = robustness.published_setting(outcomes)
page.number("beside", about_relearning(page.study.task, robustness.setting_name(*paper_setting)))
beside = robustness.beside_published(rows, *paper_setting)
None if void_relearning(page.study.task) else tables.styled(beside).format("{:.3f}", na_rep="-", subset=list(beside.columns[1:]))

# %% [markdown]
# *{glue:text}`beside`*

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("edit", "prompting", "relearning", "relearning_nulls")

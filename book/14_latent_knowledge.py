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
#     needs: [know, able, unedited, edit, prompting, relearning, latent, direction]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # Latent knowledge: what is still inside?
#
# A model can stop saying something without ceasing to know it. This page looks inside the edited models instead of asking
# them. Four instruments look for the true answer of edited facts: linear probes, the unembedding at every layer,
# patching into the unedited model, and the removal of the one direction in which the edit moved the stream. Each can
# mislead, so each comes with a control that says when it tells nothing.

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
FORMATS = None  # its gates are those of the page on prompting; None: as there
RELEARNING = None  # its verdicts are drawn with those of relearning; None: as the profile says
DIRECTION = None  # None: as the profile says; else a dictionary of layers: "all", "early", "middle" or "late"

# %% tags=["remove-input"]
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "14_latent_knowledge")
page.banner()

# %% tags=["remove-input"]
from mechlib.report import audits, design, differences, findings, robustness, sentences, verdicts
from mechlib.report.aggregation import aggregate
from mechlib.report.claims import declared

rows = page.rows("latent")
leading = tables.leading(page.study.localizations)
page.number("leading", tables.label(leading))

# %% [markdown]
# ## Linear probes
#
# In each model, edited or not, a linear classifier learns to read the sport off the residual stream that enters a layer, from
# athletes that no edit touched. Then it reads the edited ones. It may say the true answer (the knowledge is still
# there), the edit target (the edit has rewritten what the model looks up), or something else.
#
# A probe can be good at learning rather than at reading. The control is the same probe trained on shuffled answers
# {cite:p}`hewitt2019designing`. **A layer is void** where the probe, cross-validated on its own athletes, is not above
# that control by ten points with the lower end of its 95 % interval; void layers are drawn as hollow grey points and
# count nowhere.

# %% tags=["remove-input"]
prompt, subject = (audits.audit(rows, "probe", position) for position in ("prompt", "subject"))
page.figure("probes_prompt", figures.layer_curves(audits.probe_panels(prompt), "share of facts"),
            "At the last token of the prompt, where the paper probes; the last layer is what the unembedding reads. Left: accuracy on unedited athletes, cross-validated, and the "
            "control. Middle and right: what the probes say about the edited athletes.", "latent",
            found=findings.by_layer("Probes at the end of the prompt say the true answer", audits.probe_panels(prompt)["says the true answer"]))

# %% tags=["remove-input"]
page.figure("probes_subject", figures.layer_curves(audits.probe_panels(subject), "share of facts"),
            "The same at the last token of the subject, where the fact is looked up. Before the first edited layer all models are "
            "the same model.", "latent",
            found=findings.by_layer("Probes at the subject say the true answer", audits.probe_panels(subject)["says the true answer"]))

# %% tags=["remove-input"]
tables.styled(audits.probe_table(prompt), index=True)

# %% [markdown]
# *Last token of the prompt: the share of layers at which a fact's probe says the true answer or the edit target,
# averaged over facts (95 % intervals). A layer is readable if it is void neither in this model nor in the
# unedited one. The last columns take all layers, as the paper does. Relations with an open list of answers have no probes.*
#
# ### The paper's figures

# %% tags=["remove-input"]
from mechlib.report.published import published_probes

theirs = published_probes(page.study.localizations)
tables.styled(theirs, {name: "{:.3f}" for name in theirs.columns[1:]})

# %% [markdown]
# *Mean over all layers, over Gemma-7B, Gemma-2-9B and Llama-3-8B and over 16 and 64 athletes, recomputed from the authors' released
# probe results: one run each, three sports, no shuffled control and no unedited model beside. It compares with the columns "all
# layers" of ours. Layers that are the same before and after an edit pull every localization towards the unedited model, and late
# ones most: an edit at the last layers leaves all layers below it untouched by construction. Read the paper's
# large differences between early and late localizations with that in mind.*

# %% [markdown]
# ## Head projection
#
# The attacker unembeds what every layer hands on, takes the {glue:text}`candidates` likeliest tokens of each, and succeeds if the
# answer is among them {cite:p}`patil2024can`. Layers that offer every sport after a sports prompt give nothing away, so
# the control is how often **another option**, neither the true answer nor the edit target, is among the candidates.
# Head projection is void if in the unedited model the true answer is not above that control by ten points with the lower end of
# its interval. Here it is {glue:text}`projection`.

# %% tags=["remove-input"]
projection = audits.audit(rows, "projection")
page.number("candidates", audits.CANDIDATES)
page.number("projection", "void" if audits.tells_nothing(projection) else "not void")
outcomes = ["true answer", "edit target", "another option"]
page.figure("candidates", figures.interval_dots(audits.outcome_shares(audits.extracted(projection), ["localization"], outcomes), "share of facts"),
            "Attack success: the share of edited facts whose true answer (or edit target, or another option) is a candidate at any "
            "layer (95 % intervals). The last layer is one of them: it is what the model says.", "latent",
            found=findings.of_edits("True answers among the candidates of some layer", audits.outcome_shares(
                audits.extracted(projection), ["localization"], ["true answer"])))

# %% tags=["remove-input"]
layers = audits.outcome_shares(audits.projected(projection), ["localization", "layer"], [*outcomes, "leads"])
titles = {"true answer": "true answer", "another option": "another option", "leads": "true answer leads the options"}
page.figure("layers", figures.layer_curves({title: layers[layers.measure == name] for name, title in titles.items()}, "share of facts"),
            "Layer by layer: the share of facts whose true answer is a candidate, the same of another option, and the share whose "
            "true answer is the likeliest of the options there, however unlikely all of them are.", "latent",
            found=findings.by_layer("True answers among the candidates", layers[layers.measure == "true answer"]))

# %% [markdown]
# ## Depth of erasure
#
# The stream of the edited model, at the last token of the prompt, is patched into the unedited model after one layer.
# If the answer is lost, what was handed on no longer carried it. How much can be lost at all is measured with a
# corrupted subject in place of the edit: **erased** is the share of that loss, 0 for an intact and 1 for a gone fact
# {cite:p}`lee2026measuring`. That score takes as its reference a model that never learned the facts; nobody has one of
# a pretrained model, hence the corruption. In early layers the answer has not arrived at the last token and corruption
# takes nothing: there no claim is made, and a layer is void where that holds for more than half of the facts.

# %% tags=["remove-input"]
depth = audits.audit(rows, "depth")
scores = audits.erasure_scores(depth)
page.number("scored", len({row["subject"] for row in scores}))
page.number("asked", len({row["subject"] for row in depth}))
page.figure("erasure", figures.layer_curves({"erased": audits.erasure_shares(depth)}, "share of the loss"),
            "Share of the loss that is erased, by layer, with gaps where it is void. A claim is made about {scored} of {asked} "
            "facts.", "latent", found=findings.of_edits("Erased", aggregate(scores, ["localization"], "erased", "number")))

# %% tags=["remove-input"]
tables.styled(tables.interval_table(audits.measured({"erased": aggregate(scores, ["localization"], "erased", "number")}), ["localization"], "measure"), index=True)

# %% [markdown]
# *One number a fact, over layers weighted by what corruption takes there, then averaged
# (95 % intervals).*
#
# A high number says that the edit reaches down to where the answer enters the last token. It does not say that it was
# erased below: patching at the last token cannot see what stays at the subject.

# %% [markdown]
# ## The verdict
#
# What is claimed, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
page.number("rule", verdicts.rule(declared(), page.study.task, "latent knowledge"))
design.stated(declared(), page.study.task, "latent knowledge")

# %% [markdown]
# **Rule.** {glue:text}`rule`

# %% tags=["remove-input"]
page.number("opposed", verdicts.opposed(page.verdicts, "latent knowledge"))
tables.styled(verdicts.table(page.verdicts, "latent knowledge"))

# %% [markdown]
# *Fact lookup minus the other; "true answers": the share that the probes say, over the same layers. What the unembedding reads counts as one layer more, and is the
# only one above edits that reach the last layer. "Not run yet" is what the rows say.*
#
# A gap in log odds beside shares that are alike says how far the true answer was pushed, and not of how many more facts it can be read: a probe that already
# says something else can become surer of it. {glue:text}`opposed`
#
# ### Edited alike?

# %% tags=["remove-input"]
tables.styled(verdicts.gates_table(page.verdicts, "latent knowledge"))

# %% [markdown]
# *What each gate says of both arms, fact lookup first.*
#
# ### Other measures

# %% tags=["remove-input"]
others = [key for key in page.study.localizations if key != leading]
tables.styled(audits.comparisons(audits.left_inside(rows), leading, others))

# %% [markdown]
# *{glue:text}`leading` minus the other: what the probes say at the last token of the prompt, over the layers that are readable in every
# model here; the success of head projection (left out if void); the depth of erasure. Intervals (95 %) and exact p over forget sets, of each
# line by itself. No rule decides by them. Two of these measures favour early edits by construction: layers below an edit count as
# intact, and the depth of erasure is the depth of the edit.*
#
# ## Removing a direction
#
# **The attack.** {glue:text}`definition`
#
# Some unlearned models hide what they know behind little more than one direction, and projecting it out brings it back
# {cite:p}`lucki2024adversarial`. **Void** is an attack that leaves a model less than {glue:text}`kept` of its accuracy on maintain facts: a
# broken model is not a robust one. In the unedited model there is no edit to remove. {glue:text}`ceiling`

# %% tags=["remove-input"]
attacked = page.rows("direction")
page.number("definition", sentences.definition("direction"))
table = robustness.outcomes(attacked)
setting, step = robustness.shared_setting(table)
back = robustness.recoveries(attacked, setting, step)
page.number("broken", ", ".join(tables.label(key) for key in back.localization[back.void]) or "none")
(unedited,) = back[back.localization == robustness.UNEDITED].to_dict("records")
page.share("kept", robustness.KEPT)
page.number("ceiling", sentences.ceiling(unedited["void"], unedited["before_maintain"], unedited["maintain"]))
page.number("differ", sentences.describes(unedited["void"]))
page.figure("direction", figures.attack_bars(table),
            "Share of tested facts with the true answer before the attack and under it; each fact is tested by an attacker who held "
            "the other half of its forget set (95 % intervals). Hatched, because the attack broke the model: {broken}.", "direction",
            found=findings.attacked("True answers without the direction", table, setting, step))

# %% tags=["remove-input"]
tables.styled(robustness.recovery_table(back))

# %% [markdown]
# *The normalised recovery is 0 for what the same attack makes of never-known facts, 1 for the unedited model under it, and
# undefined where these two are too close. Maintain: facts that no edit was meant to touch, before and under the attack.*

# %% tags=["remove-input"]
None if unedited["void"] else tables.styled(differences.from_lookup(attacked, differences.after_attack(attacked, [(setting, step)])))

# %% [markdown]
# *{glue:text}`differ`*
#
# Nothing on this page proves absence. Probes are linear, head projection looks for one token, depth looks at one
# position, and the direction is the simplest one. What they find is there; what they do not find may be elsewhere
# {cite:p}`lynch2024eight`. <a href="page:11_relearning">The page on relearning</a> is the harder test.

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("edit", "latent", "direction")

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
#     needs: [know, unedited, edit, soft_prompt, soft_prompt_nulls, in_context]
# ---

# %% [markdown]
# # Asking harder
#
# Weights can stay as they are while the question gets better. Three ways to ask: put learned vectors in front of it,
# put true facts in front of it, or just ask again and again. None of them changes the model, so what they find
# was in it all along, unless the question itself gave the answer away.

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
SOFT_PROMPT = None  # None: as the profile says; else a dictionary of tokens, steps, learning_rate, restarts
IN_CONTEXT = None  # None: as the profile says; else a dictionary of shots

# %% tags=["remove-input"]
from mechlib.report import differences, findings, null_attacks, robustness, sentences
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "13_asking_harder")
page.banner()

# %% tags=["remove-input"]
soft, nulls, context = page.rows("soft_prompt"), page.rows("soft_prompt_nulls"), page.rows("in_context")
softened, demonstrated = robustness.outcomes(soft), robustness.outcomes(context)
settings = [robustness.shared_setting(table) for table in (softened, demonstrated)]
page.share("kept", robustness.KEPT)
page.number("cross_fitting", sentences.cross_fitting(page.study.size.n_folds))
page.number("null_sets", sentences.null_sets(soft, nulls))
page.number("nulls", ", ".join(dict.fromkeys(row["null"] for row in nulls)) or "none that this task allows")
page.number("soft", sentences.definition("soft_prompt"))
page.number("context", sentences.definition("in_context"))
page.number("soft_setting", robustness.setting_name(*settings[0]))
page.number("context_setting", robustness.setting_name(*settings[1]))

# %% [markdown]
# ## A soft prompt
#
# {glue:text}`soft` {glue:text}`cross_fitting`
#
# Vectors that may be anything are a strong tool {cite:p}`schwinn2024soft`, and an unfair one: a few of them, learned
# for one question, make a model say whatever one likes, known or not {cite:p}`chen2025soft`. So here one prompt serves
# for all questions, and never for one that it was learned from. Two controls remain: facts that nobody ever knew, and
# the same vectors learned from answers that were dealt to one another (*permuted answers*), which needs different
# answers to deal. Run for this page: {glue:text}`nulls`, on {glue:text}`null_sets`.

# %% tags=["remove-input"]
page.figure("soft_prompts", figures.attack_bars(softened),
            "Share of the facts not learned from whose true answer the model prefers, before and behind the soft prompt, with 95 % "
            "intervals. Hatched bars are void: the model behind the prompt keeps less than {kept} of its maintain accuracy.", "soft_prompt",
            found=findings.attacked("True answers behind the soft prompt", softened, *settings[0]))

# %% tags=["remove-input"]
tables.styled(robustness.recovery_table(robustness.recoveries(soft, *settings[0])))

# %% [markdown]
# *Under {glue:text}`soft_setting`. The normalised recovery is 0 where the prompt does as well on facts that nobody knew,
# and 1 where it gets as much from the edited model as from the unedited one.*

# %% tags=["remove-input"]
both = null_attacks.beside_nulls(soft, nulls, *settings[0])
page.number("without", null_attacks.without_knowledge(both))
tables.styled(null_attacks.null_table(both))

# %% [markdown]
# *Share of true answers (95 % intervals) on those halves that the null was run on, with vectors learned from true answers and from permuted
# ones, and of never-known facts with the former. A soft prompt that does no better than its null has found a way to make
# the model say sports, not a fact. In the authors' released runs, soft prompts told no localization from another.*
#
# {glue:text}`without`
#
# ## Demonstrations
#
# {glue:text}`context` The fact that is asked is never among them: a model that repeats what stands in its context has
# remembered nothing {cite:p}`lynch2024eight`.

# %% tags=["remove-input"]
page.figure("demonstrations", figures.attack_bars(demonstrated),
            "Share of the facts not demonstrated whose true answer the model prefers, by the number of demonstrations (shots), with "
            "95 % intervals. Hatched bars are void.", "in_context",
            found=findings.attacked("True answers after demonstrations", demonstrated, *settings[1]))

# %% tags=["remove-input"]
tables.styled(robustness.recovery_table(robustness.recoveries(context, *settings[1])))

# %% [markdown]
# *Under {glue:text}`context_setting`, the number that brings back most on average over the edits among those that break
# the fewest models.*
#
# ## Asking again
#
# A model that is asked many times, with its answers drawn at random, gives away what it holds at low probability
# {cite:p}`reisizadeh2025leak`. For an answer of one token nothing has to be drawn: if the true answer has probability
# *p* over the whole vocabulary, it is among *k* answers with probability
#
# $$\text{leak@}k = 1 - (1 - p)^k$$
#
# Where few answers are possible, most will come up sooner or later by themselves. Only what lies above the never-known
# facts of the same model is a leak.

# %% tags=["remove-input"]
leaks = robustness.leaks(soft, (1, 4, 16, 64))
page.figure("samples", figures.leak_curves(leaks),
            "Probability that the true answer is among this many samples of the model as it is, in the trained format, averaged "
            "over forget facts with 95 % intervals (solid), and over never-known facts (dotted).", "soft_prompt",
            found=findings.of_edits(f"True answers among {leaks.samples.max()} samples",
                                    leaks[(leaks.group == "forget") & (leaks.samples == leaks.samples.max())]))

# %% [markdown]
# ## How edits differ

# %% tags=["remove-input"]
tables.styled(differences.from_lookup([*soft, *context], differences.after_attack([*soft, *context], settings)))

# %% [markdown]
# *Fact lookup minus the other, in the share of true answers, with 95 % intervals over forget sets and the exact p of each line by itself.
# Descriptive: no claim of the claims file is about this, so there is no rule and no verdict.*

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("soft_prompt", "soft_prompt_nulls", "in_context")

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
#     needs: [know, unedited, edit, trained, damage, ripple]
# ---

# %% [markdown]
# # Side effects and consequences
#
# An edit should change one thing. This page looks for what else it changed: text in general, other facts of the same
# kind, facts of other kinds. Then it looks for what **should** have changed and may not have: the same fact asked
# backwards, and what follows from it. The two belong together, because a careful edit that leaves everything else
# alone may do so by not touching the fact at all.

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

# %% tags=["remove-input"]
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "15_side_effects")
page.banner()

# %% tags=["remove-input"]
from mechlib.report import audits, findings, side_effects

rows = page.rows("ripple")
leading = tables.leading(page.study.localizations)
page.number("leading", tables.label(leading))

# %% [markdown]
# ## Text
#
# Two kinds of text that no edit trained on: fresh samples of the unedited model, which show a change of its habits,
# and prose that no model wrote, which shows whether it reads worse.

# %% tags=["remove-input"]
text = side_effects.text_damage(page.rows("damage"))
page.figure("text", figures.interval_dots(text[text.measure.str.startswith("loss")], "change of the loss, nats per token", line=0),
            "Change of the next-token loss, in nats per token: means over texts with a 95 % interval. The unedited model is zero by "
            "definition. The loss may fall on samples, because the edit also trained on text of that kind.", "damage",
            found=findings.of_edits("Loss on prose, change in nats per token", text[text.measure == "loss change, prose"], form="+.2f"))
tables.styled(side_effects.text_table(text), index=True)

# %% [markdown]
# *Change of the next-token loss, and divergence, KL(unedited || edited), in nats per token: means over texts with a
# 95 % interval. The unedited model is zero in both by definition. The loss may fall on
# samples, because the edit also trained on text of that kind; the divergence cannot be negative, so that its interval is cut at zero.*

# %% [markdown]
# ## Other facts
#
# **Maintain facts** are athletes that the model knew and that no edit was meant to touch. **Facts of other relations** are of
# a different kind altogether (world facts where sports are edited); only those count that the unedited model answers
# rightly in this format, {glue:text}`n_general` of {glue:text}`n_general_asked` here.

# %% tags=["remove-input"]
kept = side_effects.facts_kept(page.rows("trained"), rows)
page.number("n_general_asked", len({(row["relation"], row["subject"]) for row in side_effects.side_effect_rows(rows, "general")}))
page.number("n_general", len({row["subject"] for row in side_effects.general(rows)}))
page.figure("kept", figures.interval_dots(kept, "share of facts still right"),
            "Share of facts whose true answer the model prefers (95 % intervals). The unedited model has all facts of other "
            "relations right because only such facts count; its maintain facts are asked in the prompt that edits trained on, which "
            "an edit may even teach it.", "ripple", found=findings.of_edits("Facts of other relations that are kept",
                kept[kept.measure == "facts of other relations"]))

# %% [markdown]
# ## Backwards
#
# A model that learns that A is B does not thereby learn that B is A {cite:p}`berglund2023reversal`. So what happens to
# *"The athlete who plays basketball is named"* when the edit only ever saw *"... plays the sport of"*? Names are many
# tokens long and some are likelier than others whatever the sport, so nothing is counted as right or wrong. Each
# edited athlete's name is scored by how much likelier an answer makes it, and ranked among the other athletes of its set
# that neither have that answer nor are edited to it. The **AUC** is the share of them that it beats: 0.5 is chance.

# %% tags=["remove-input"]
reverse = side_effects.backwards(rows)
page.number("backwards", "above chance" if side_effects.known_backwards(rows) else "not above chance, so that nothing can be lost backwards")
page.figure("backwards", figures.interval_dots(reverse, "AUC", line=0.5),
            "AUC of edited athletes for their true answer and for their edit target, averaged over wordings (95 % intervals). The "
            "unedited model's AUC for the true answer is {backwards}. An edit that reaches the fact itself lowers the first and "
            "raises the second; one that only rewires the trained prompt leaves both where they were. Reverse prompts and "
            "consequences are written for sports only: of other facts nothing is shown.", "ripple",
            found=findings.of_edits("AUC of the true answer, asked backwards", reverse[reverse.measure == "true answer"]))

# %% [markdown]
# ## What follows
#
# Who plays basketball may win a championship of the NBA, not of the MLB. An edit should carry over to such
# consequences {cite:p}`cohen2023evaluating`, and seldom does. Only those count that the unedited model draws; for a small model
# they are few.

# %% tags=["remove-input"]
tables.styled(side_effects.consequence_counts(rows))

# %% tags=["remove-input"]
followed = side_effects.consequence_shares(rows)
page.number("passed", len({(row["subject"], row["kind"]) for row in side_effects.consequences(rows)}))
tables.styled(tables.interval_table(followed, ["localization"], "measure"), index=True)

# %% [markdown]
# *Of the {glue:text}`passed` consequences that the unedited model draws: the share that still follow from the true answer, and the
# share that follow from the edit target (95 % intervals; the consequences of a fact are averaged). The unedited model has all of
# the first by definition.*

# %% [markdown]
# ## How edits differ

# %% tags=["remove-input"]
others = [key for key in page.study.localizations if key != leading]
tables.styled(audits.comparisons(side_effects.carried_through(rows), leading, others))

# %% [markdown]
# *{glue:text}`leading` minus the other: the AUC of the true answer backwards (left out where the unedited model's is not above chance), the
# share of consequences of the true answer, the share of other facts kept. "Expected" is what an edit that reaches the fact itself would do.
# Intervals (95 %) and exact p over forget sets, of each line by itself. Descriptive: no claim of the claims file is about this, so
# there is no rule and no verdict.*
#
# ## Benchmarks
#
# The paper reports MMLU. An edit cannot lower a score that is at chance. So a benchmark is worth running only where the unedited
# model is well above guessing: by ten points, where a thousand questions have a standard error of 1.6.

# %% tags=["remove-input"]
benchmarks = side_effects.signal(page.study.model)
page.number("with_signal", ", ".join(benchmarks.benchmark[benchmarks.signal == "yes"]) or "none listed")
tables.styled(benchmarks, {"score": "{:.1f}", "guessing": "{:.1f}"})

# %% [markdown]
# *Published scores of the unedited model and what guessing gets, in percent. Worth running: {glue:text}`with_signal`.*
#
# **None of them was run here.** Their data sets come from a hub, and this book runs without one. Text and other facts above
# stand in for them: more sensitive than an accuracy at this size, and narrower.

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("edit", "trained", "damage", "ripple")

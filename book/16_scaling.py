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
#     needs: [know, unedited, edit, prompting, damage]
#     own: [LOCALIZATIONS, FORMATS]
#     tasks: [sports-athlete-editing, sports-scaling]
# ---

# %% [markdown]
# # Scaling: hundreds of facts
#
# A few facts fit almost anywhere. The paper's scaling study {cite:p}`guo2025mechanistic` edits up to a thousand facts of
# CounterFact at once in Gemma-7B. Does an edit at fact lookup still hold in other words when it has to hold many more facts,
# and what does it cost everything else?

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
FACTS = None
TEXTS = None
SEED = 0
SEEDS = None
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16  # the large set has twelve times as many facts
FORGET_SETS = None  # of the small sets; None: as the profile says, and one large set
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
FORMATS = ["one_shot", "question"]

# %% tags=["remove-input"]
import pandas as pd

from mechlib.report import findings
from mechlib.report.page import figures, open_page, tables
from mechlib.report.published import published_scaling
from mechlib.report.summaries import edit_summary

few = open_page(globals(), "16_scaling", task="sports-athlete-editing")
many = few.of("sports-scaling")
n_many = many.study.kind.scale * FORGET_SET_SIZE
many.banner()

# %% [markdown]
# ## Success, by the number of facts
#
# The same localizations, learning rate and stopping rule; only the forget set grows. A large set is gone through
# {glue:text}`n_batch` facts a step.

# %% tags=["remove-input"]
def usable(one):
    """Answers in the formats that the unedited model can use, and in the one that was trained."""
    rows = one.rows("prompting")
    return [row for row in rows if row["format"] == one.study.trained_format or row["format"] not in tables.void_formats(rows)]


lines = pd.concat([edit_summary(usable(one), one.rows("edit"), one.values("edit"), one.rows("damage"), one.study.trained_format)
                   .assign(facts=count) for one, count in ((few, FORGET_SET_SIZE), (many, n_many))])
tables.styled(lines[["localization", "facts", "edited (trained prompt)", "edited (other prompts)", "true (other prompts)", "maintain", "text loss",
                     "norm of the change", "steps taken"]],
              {"text loss": "{:+.3f}", "norm of the change": "{:.2f}", "steps taken": "{:.0f}"})

# %% tags=["remove-input"]
lead = tables.leading(few.study.localizations)
small, large = (lines[(lines.facts == count) & (lines.localization == tables.label(lead))].iloc[0] for count in (FORGET_SET_SIZE, n_many))
few.number("lead", tables.label(lead))
few.number("n_batch", many.study.training(lead, 0, 0).forget_batch or n_many)
few.number("n_few", FORGET_SET_SIZE)
few.number("n_many", n_many)
few.number("norm_few", float(small["norm of the change"]))
few.number("norm_many", float(large["norm of the change"]))
few.number("other_few", small["edited (other prompts)"])
few.number("other_many", large["edited (other prompts)"])
few.number("kept_few", small["maintain"])
few.number("kept_many", large["maintain"])

# %% [markdown]
# *Shares of facts with 95 % intervals: injected answers in the prompt that was trained and in all others, true answers that still
# come out in the others, true answers of facts that nobody edited; change of the next-token loss on text (nats); norm of the change.*
#
# With {glue:text}`n_few` facts, {glue:text}`lead` carries {glue:text}`other_few` of the new answers over to prompts that were not trained, with
# {glue:text}`n_many` facts {glue:text}`other_many`. The facts that nobody edited are answered correctly in {glue:text}`kept_few` and
# {glue:text}`kept_many` of cases, and the change of the weights has the norm {glue:text}`norm_few:.2f` and {glue:text}`norm_many:.2f`.

# %% tags=["remove-input"]
many.figure("losses", figures.learning_curves(many.rows("edit")),
            "Losses while {n_many} facts are edited, {n_batch} of them a step.", "edit",
            found=findings.reached(many.rows("edit"), many.study.size.stop_at))

# %% [markdown]
# ## The paper's figures

# %% tags=["remove-input"]
tables.styled(published_scaling(), {name: "{:.2f}" for name in ("forget", "edit", "letter choice: edit", "letter choice: true")})

# %% [markdown]
# *Gemma-7B on CounterFact, from the authors' released results, one run each. There, "manual" is MLPs 0 to 10, only output matrices train, and
# accuracy compares the true with the injected answer alone. The letter-choice figures rest on 9, 33, 99 and 357 questions.*

# %% [markdown]
# ## Runs behind this page

# %% tags=["remove-input"]
many.provenance("edit", "prompting", "damage")

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
#     needs: [know, baseline]
# ---

# %% [markdown]
# # Facts
#
# Before a fact can be removed it has to be there. This page asks the model about every athlete in the table, keeps
# the ones it gets right, and sets aside the sets that later pages edit. It also asks the questions that later pages
# will ask *after* an edit, so that nobody mistakes a model that never understood a question for one that forgot the
# answer.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
FACTS = None  # a CSV, JSON, JSON lines or parquet file with columns athlete and sport; None: the shipped table
SEED = 0
KNOWN_FORMAT = None  # how the model is asked which facts it knows; None: as the task does, here with four demonstrations
KNOWN_THRESHOLD = 0.5  # a fact is known if its answer gets more than this among the options
FORGET_SET_SIZE = 16
FORGET_SETS = None  # None: as many as the profile says
FORMATS = None  # None: one_shot, question, few_shot, cloze, multiple_choice

# %% tags=["remove-input"]
from mechlib.facts import FORMATS as ALL_FORMATS
from mechlib.facts import prompt
from mechlib.report import numerals, sentences
from mechlib.report.page import figures, open_page, tables
from mechlib.runs.knowledge import left_out

page = open_page(globals(), "01_facts")
page.banner()

# %% [markdown]
# ## Who plays what
#
# The shipped table holds {glue:text}`n_table` athletes in baseball, basketball and American football, written for
# this project: people whose name should be enough, and nobody famous for two sports. The paper
# {cite:p}`guo2025mechanistic` starts from a published list that another, older model had filtered. Here the model
# under study chooses for itself.

# %% tags=["remove-input"]
asked = page.rows("know")
known = [row for row in asked if row["probability"] > KNOWN_THRESHOLD]
page.number("n_table", len(page.study.table))
page.number("known_format", tables.label(page.study.known_format).lower())
page.number("n_asked", len(asked))
page.number("n_known", len(known))
page.number("left_out", sentences.left_out(left_out(page.study.table, asked)))
page.share("known_share", len(known) / len(asked))
page.share("right_share", sum(row["correct"] for row in asked) / len(asked))
page.figure("known", figures.known_by_answer(asked, KNOWN_THRESHOLD),
            "How sure the model is of the true sport, among the sports (and golf) that the prompt offers. To the right of the "
            "dashed line a fact counts as known.", "know",
            found=f"The model knows {numerals.count(len(known))} of {numerals.count(len(asked))} athletes well enough to edit them")

# %% [markdown]
# Asked with the {glue:text}`known_format`, the model prefers the right sport for {glue:text}`right_share` of the
# {glue:text}`n_asked` athletes, and gives it more than the threshold for {glue:text}`known_share`. These
# {glue:text}`n_known` **known facts** are what the rest of the book is about. Left out of the table:
# {glue:text}`left_out`.
#
# ## How they are divided

# %% tags=["remove-input"]
import pandas as pd

parts = page.splits
answers = ["baseball", "basketball", "football"]
tables.styled(pd.DataFrame(
    [{"part": part.name, "facts": len(part), **{sport: sum(fact.answer == sport for fact in part) for sport in answers}} for part in parts]
))

# %% [markdown]
# *How the known facts are divided. The parts share nobody. Forget sets are edited, each on its own; "maintain train"
# holds the model in place during an edit, "maintain test" measures whether it stayed, and "localize" is what probing
# and patching look at, so that no fact is edited by the evidence it gave.*
#
# Each fact of a forget set gets an edit target: one of the other two sports, both equally often.

# %% tags=["remove-input"]
tables.styled(pd.DataFrame([{"athlete": fact.subject, "plays": fact.answer, "is edited to": fact.target} for fact in parts.forget[0]]).head(6))

# %% [markdown]
# ## Ways to ask
#
# The same fact can be asked in many ways, and a fact is not gone if it only hides from one of them.

# %% tags=["remove-input"]
fact = parts.forget[0].facts[0]
tables.styled(pd.DataFrame(
    [{"format": ALL_FORMATS[form].label, "prompt": prompt(fact, ALL_FORMATS[form]).text} for form in page.study.formats]
))

# %% [markdown]
# The one-shot statement is the paper's training prompt. Its demonstration is about golf, so that it gives none of the
# three answers away. Here edits are trained on one prompt and on no other: the {glue:text}`edit_format` (`EDIT_FORMAT`).
# {glue:text}`letters`
#
# Not asked here: {glue:text}`not_asked`.

# %% tags=["remove-input"]
baseline = page.rows("baseline")
void = tables.void_formats(baseline)
forget = [row for row in baseline if row["group"] == "forget"]
page.number("edit_format", tables.named(page.study.trained_format))
page.number("letters", sentences.letter_choice(page.study))
page.number("not_asked", sentences.not_asked(page.study))
page.number("void", ", ".join(tables.label(form) for form in void) or "none of them")
page.figure("formats", figures.format_accuracies(forget, void),
            "Accuracy of the unedited model on the facts of all forget sets, with 95 % intervals. A format whose interval does "
            "not lie clearly above chance is void: an edit can neither pass nor fail in it.", "baseline",
            found=sentences.usable(void, list(dict.fromkeys(row["format"] for row in forget))))

# %% [markdown]
# Intervals are Wilson's {cite:p}`wilson1927probable`, for fewer facts than were asked where the facts of a set
# answer alike. **Void here: {glue:text}`void`.** Such a format is marked wherever it appears in this book, and it counts in no verdict.

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("know", "baseline")

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
#     needs: []
#     reads: [results/audits.json, results/rows]
# ---

# %% [markdown]
# # Evidence
#
# Rows of long runs are kept with the book, so that its pages can be drawn again without computing them. A run is found by
# what was asked: model, facts, settings, and the declared version of each stage. On which machine, in which precision and with
# which libraries it was computed is written beside it and decides nothing. So two checks see to it that kept rows
# are what the code gives. Small runs of every stage on a tiny model have their rows in the test suite: a change of the code that changes
# them fails there. And an audit computes a sample of the kept runs again, with the code and the machine of its day.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
PROFILE = "quick"

# %% tags=["remove-cell"]
from mechlib.report.evidence import audit_columns, audit_summary, audit_table, audits, kept_rows
from mechlib.report.page import open_page, tables

page = open_page(globals(), "18_evidence")

# %% tags=["remove-input"]
page.banner()

# %% [markdown]
# ## What is kept

# %% tags=["remove-input"]
kept = kept_rows()
page.number("n_kept", int(kept.runs.sum()) if len(kept) else 0)
tables.styled(kept)

# %% [markdown]
# *{glue:text}`n_kept` runs. "Not recorded" is what a run did not write down. Runs that were made before commit, machine and precision were
# recorded have the commit that kept their rows, and the machine and precision that were noted when they were computed.*

# %% [markdown]
# ## Computed again

# %% tags=["remove-input"]
done = audits()
page.number("audits", audit_summary(done))
page.number("columns", audit_columns(done))
audit_table(done)

# %% [markdown]
# {glue:text}`audits`
#
# *{glue:text}`columns` Edits, and what follows from them, amplify rounding: each step starts from the last one's weights, and an edit that
# stops at a success may stop a step earlier or later. `make audit N=24 SEED=1` draws another sample; `MECHLIB_PRECISION=float32 make audit`
# computes it without bfloat16.*

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
# which libraries it was computed is written beside it and decides nothing. Two guards keep that honest. Small runs of every
# stage on a tiny model have their rows in the test suite: a change of the code that changes them fails there. And kept runs
# are computed again from time to time, by the code and on the machine of the day; this page shows how far they were off.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
PROFILE = "quick"

# %% tags=["remove-cell"]
from mechlib.report.evidence import audit_summary, audit_table, audits, kept_rows
from mechlib.report.page import open_page, tables

page = open_page(globals(), "18_evidence")

# %% [markdown]
# ## What is kept

# %% tags=["remove-input"]
kept = kept_rows()
page.number("n_kept", int(kept.runs.sum()) if len(kept) else 0)
tables.styled(kept)

# %% [markdown]
# *{glue:text}`n_kept` runs. What a run did not record is said to be so. Runs of before this way of finding them recorded neither: for
# them the commit is the one that kept their rows, and machine and precision are from the notes of whoever computed them.*

# %% [markdown]
# ## Computed again

# %% tags=["remove-input"]
done = audits()
page.number("audits", audit_summary(done))
audit_table(done)

# %% [markdown]
# {glue:text}`audits`
#
# *The largest and the mean difference of the measured numbers (probabilities, and losses in nats), the column that the largest is of,
# and the share of answers that came out right in one computation and wrong in the other. Edits, and what follows from them, amplify
# rounding: each step starts from the last one's weights, and an edit that stops at a success may stop a step earlier or later. Repeat it
# with `make audit N=24 SEED=1`; `MECHLIB_PRECISION=float32 make audit` computes in the precision of most kept runs.*

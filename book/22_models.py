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
#     reads: [claims.toml, studies.toml, results/rows]
# ---

# %% [markdown]
# # Models side by side
#
# A claim about language models that holds for one model is a claim about one model. This page takes every model whose executed pages lie
# under `book/results`, and says how each claim stands for each of them. `make execute MODEL=... STUDY=world` adds one.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
PROFILE = "quick"

# %% tags=["remove-input"]
from mechlib.report.book_studies import declared_studies
from mechlib.report.card import count
from mechlib.report.claims import declared
from mechlib.report.forest import forest
from mechlib.report.front import Book
from mechlib.report.front_text import gaps
from mechlib.report.models_compared import compared, of_models, side_by_side
from mechlib.report.page import open_page, tables
from mechlib.report.typed import book_folder

page = open_page(globals(), "22_models")
found = of_models(Book(book_folder().parent, page.runner.store, MODEL, declared_studies()), declared())
page.number("models", count(len(found), "model"))
page.banner()

# %% [markdown]
# ## Every claim, every model

# %% tags=["remove-input"]
tables.styled(compared(found, declared()))

# %% [markdown]
# *{glue:text}`models`. Verdicts as on the front page of each model, and over how many forget sets; a number behind a verdict is how many
# comparisons with other edits have it.*
#
# ## The differences

# %% tags=["remove-input"]
page.figure("forest", forest(side_by_side(found)),
            "Fact lookup minus each other edit in log p(true answer) - log p(edit target), in nats (negative: less comes back), with "
            "confidence intervals over forget sets, coloured by verdict; a symbol for each model and kind of facts.",
            found=gaps(side_by_side(found)))

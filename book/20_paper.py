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
#     reads: [claims.toml, measures.toml, paper.toml, studies.toml, results/rows]
# ---

# %% [markdown]
# # The paper and this book
#
# An appendix for whoever holds the paper {cite:p}`guo2025mechanistic` in the other hand: its results in its order, each with its
# number, the number that the authors' released runs give, and what this book has for it. Then what paper, released code and this
# book's profile *paper* do differently, a reproducibility card, and a glossary in which every measure says which way is good.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
PROFILE = "quick"

# %% tags=["remove-cell"]
from IPython.display import HTML

from mechlib.report import front, glossary, judged, paper, paper_table, reproducibility
from mechlib.report.page import open_page, tables
from mechlib.report.typed import book_folder

page = open_page(globals(), "20_paper")
book = book_folder()
told, where = paper.mapped(), (book, page.study.model_spec.name, page.runner.store)
ours = judged.judged(*where)
drawn = {one.standing.claim.key: one for one in front.open_book(page.study.model, {one.study: one.evidence for one in ours.values()})}

# %% tags=["remove-input"]
page.banner()

# %% [markdown]
# ## A map of the paper

# %% tags=["remove-input"]
page.number("studies", judged.in_words(ours))
rows = {need: judged.answered(*where, need) for need in paper.needs(told)}
HTML(paper_table.table(paper.paper_map(told, paper.Ours(drawn, ours, judged.titles(book), rows))))

# %% [markdown]
# *{glue:text}`studies` Differences are fact lookup minus the other, in log p(true) - log p(target), with 95 % intervals over forget
# sets and the verdict of the claims file, folded where there are many; other numbers are means over forget sets. The paper's and the released runs' accuracies are
# mean probabilities, of three models and one run each: with 7 to 9 billion weights and by another rule, they say where to look, not
# what must come out.*
#
# ## What is not alike

# %% tags=["remove-input"]
tables.styled(paper.differences(told))

# %% [markdown]
# *Found in the paper, in the authors' repository (magikarp01/mechanistic-unlearning at a36be56) and its result files. The values that are
# alike are in `tests/runs/test_paper.py`, each with its place.*
#
# ## Reproducibility card

# %% tags=["remove-input"]
behind = front.behind(front.book_of(MODEL), [one.study for one in (*ours.values(), *drawn.values()) if one.study])
tables.styled(reproducibility.card(page.study, behind))

# %% [markdown]
# *Read from what each kept run recorded about itself, and from the parameters of the studies. Parameters that are other than usual stand
# on the card of the page that shows a study.*
#
# ## Glossary

# %% tags=["remove-input"]
tables.styled(glossary.glossary(glossary.measures()))

# %% [markdown]
# *Which way is good is meant for an edit that should last and harm nothing.*

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
#     reads: [claims.toml, studies.toml]
#     fixed: [PROFILE]
#     front: true
# ---

# %% [markdown]
# # Does the place of an edit decide whether it lasts?

# %% tags=["parameters", "remove-input"]
MODEL = "gemma-3-270m"
PROFILE = "quick"

# %% tags=["remove-input"]
from IPython.display import HTML

from mechlib.report import forest, front_text
from mechlib.report.front import open_book
from mechlib.report.mechanism import mechanism
from mechlib.report.page import open_page, tables

page = open_page(globals(), "00_finding")
found = open_book(MODEL)
page.number("headline", front_text.headline(found, page.study.model))
page.number("shares", front_text.shares(found))
page.number("added", front_text.added(found))
page.number("earlier", front_text.earlier(found))
page.number("stored", front_text.stored(found))
page.number("everywhere", front_text.everywhere(found))
page.number("sought", front_text.sought(found))
page.number("published", front_text.published(found))
page.number("unrun", front_text.unrun(found))

# %% [markdown]
# **{glue:text}`headline`**

# %% tags=["remove-input"]
page.figure("forest", forest.forest(front_text.general(found)),
            "Fact lookup minus each other edit in log p(true answer) - log p(edit target), in nats (negative: less comes back), with "
            "confidence intervals over forget sets, coloured by verdict; crossed out: a gate or too much overlap forbids one. Intervals are of each comparison by itself, "
            "verdicts are corrected for their number. Slanted crosses: the same difference from mean probabilities of the authors' released runs of larger models; upright ones: "
            "from the numbers that the paper prints; each where there are any.", found=front_text.gaps(front_text.general(found)))

# %% [markdown]
# Language models know things, and sometimes they should stop. *Mechanistic Unlearning* {cite:p}`guo2025mechanistic` claims that
# **where** a fact is edited decides whether the edit lasts. Edit the MLPs in which the model *looks the fact up*, and the edit survives
# other prompts and relearning. Edit the components from which its output can be *traced*, and the fact comes back. This book runs that
# comparison on a real model. Each of its pages is an executed notebook, and so is this one.

# %% tags=["remove-input"]
HTML(mechanism(page.numbered("mechanism")))

# %% tags=["remove-input"]
page.banner()

# %% [markdown]
# ## By name

# %% tags=["remove-input"]
tables.styled(front_text.by_name(found))

# %% [markdown]
# *Supported: less comes back after fact lookup's edit than after the other. What the other words mean is said in
# [How to read this book](../../../reading.md).* {glue:text}`shares`
#
# {glue:text}`added`
#
# ## What else was asked
#
# {glue:text}`earlier`
#
# {glue:text}`stored` {glue:text}`everywhere` {glue:text}`sought`
#
# {glue:text}`published`
#
# ## Every claim

# %% tags=["remove-input"]
HTML(front_text.table(found))

# %% [markdown]
# *What `book/claims.toml` declares, with the verdicts by its rule. A number behind a verdict is how many comparisons with other edits have
# it. {glue:text}`unrun` [How to read this book](../../../reading.md) says what the verdicts, profiles and measures mean, and how to
# run it for another model.*

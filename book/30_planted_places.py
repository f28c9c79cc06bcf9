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
#     needs: [planted, know, looked_up, found]
#     profiles: [full, paper]
#     own: [FORGET_SETS]
#     fixed: [TASK]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # Who finds planted facts?

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
TASK = "planted-places"
TEXTS = None
SEED = 0
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = 2  # as many places: each set is of a model of its own
LOOKUP_RULE = "paper"
PRECISION = None

# %% tags=["remove-input"]
from mechlib.report import design, planted, seekers, verdicts
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "30_planted_places")
page.banner()

# %% [markdown]
# Where a model stores what it learned from text is not known, so nobody can say whether a method that localizes a fact has found it. Facts that are
# *planted* have a known place: invented athletes are trained into a few neighbouring MLPs, and nothing else changes. Here this is done anew at one place after
# the other, from the first layer to the last, each time in a model of its own. A method that finds facts follows them; one that names the same
# layers wherever they are has found something else.
#
# ## What was planted

# %% tags=["remove-input"]
page.number("taught", page.study.size.n_planted)
page.number("wordings", planted.wordings())
page.number("asked", tables.named(page.study.trained_format))
tables.styled(planted.plants_table(page.values("planted"), page.rows("planted"), page.rows("know")), {"norm": "{:.1f}"})

# %% [markdown]
# *{glue:text}`taught` invented athletes, each with one of the sports of the real ones, are taught in these wordings: {glue:text}`wordings`.
# Other weights than the place's stay as they are; real athletes and text are held on to. "Known": the sport comes first when it is asked for
# in the format in which the methods look for it ({glue:text}`asked`), which is none of the lessons'. Only taught facts that are known are looked for.*
#
# ## Who follows them

# %% tags=["remove-input"]
table = seekers.found_table(page.values("found"))
claim = page.claims[0].claim
compared = [claim.first, *claim.rivals]
page.figure("named", figures.named_layers(seekers.layers_by_place(page.values("found"), page.study.sites), compared),
            "The MLPs that each method names (dots), beside those into which the facts were trained (squares), by place.",
            "found", found=seekers.in_words(table, compared))

# %% tags=["remove-input"]
drawn, fixed = seekers.by_windows(page.values("found"), claim.first)
page.number("drawn", drawn)
page.number("fixed", fixed)
page.number("recall", float(table[table.method == tables.label(claim.first)].recall.mean()))
page.number("overlap", seekers.overlapping(page.values("found"), page.study.sites))
tables.styled(seekers.over_places(table), {name: "{:.2f}" for name in ("precision", "recall", "chance")})

# %% [markdown]
# *Every method chooses as many weights as fact lookup does at the same place. Precision: the share of the MLPs found that were trained. Recall: the share of the
# trained ones that were found. Chance: the precision of a draw. All are means over places.*
#
# ## Place by place

# %% tags=["remove-input"]
tables.styled(table, {name: "{:.2f}" for name in ("precision", "recall", "chance")})

# %% [markdown]
# ## What fact lookup reads
#
# Fact lookup follows probes: how well the sport can be read off the last token of the name, layer after layer. It begins where that rises, and ends where it no
# longer does.

# %% tags=["remove-input"]
probes = seekers.probes_by_place(page.rows("looked_up"), page.values("found"), page.study.sites)
page.figure("probes", figures.probes_by_place(probes),
            "Held-out accuracy of probes for the sport of a planted athlete, at the last token of the name, by the layer whose output is read; a line a place, "
            "its planted layers marked.", "looked_up", found=seekers.rises(probes))

# %% [markdown]
# ## The verdict
#
# What is claimed, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
page.number("rule", verdicts.rule(declared(), page.study.task, claim.outcome))
design.stated(declared(), page.study.task, claim.outcome)

# %% [markdown]
# **Rule.** {glue:text}`rule`

# %% tags=["remove-input"]
tables.styled(verdicts.table(page.verdicts, claim.outcome, measured=("planted layers missed", "named in vain")))

# %% [markdown]
# *Fact lookup minus the other: below zero, fact lookup misses less. "Named in vain": the same of the share of what a method names that was not planted.
# A place counts where the model knows enough of the taught facts, as the claims file says.*
#
# Facts were planted in MLPs next to each other, and fact lookup names such, which the others need not. That alone would name little: a window as wide as
# fact lookup's names {glue:text}`drawn:z.2f` of the planted layers if it is drawn at each place, and the best one that is the same at all places
# {glue:text}`fixed:z.2f`; fact lookup names {glue:text}`recall:z.2f`. {glue:text}`overlap`
#
# What this does not show: that facts which a model learned from text lie where planted ones were put. It shows which methods would see them there.
#
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("planted", "looked_up", "found")

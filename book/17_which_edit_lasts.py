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
#     needs: [know, able, unedited, edit, prompting, attacks]
#     reads: [claims.toml]
# ---

# %% [markdown]
# # Which edit lasts?
#
# Every localization, every attack, on one page. An attacker chooses: so what counts is not the average attack but the strongest
# one that leaves the model usable. The paper {cite:p}`guo2025mechanistic` used one setting of each attack; here each may try
# several, and the page says how many.

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
FORMATS = None
RELEARNING = None  # settings of the attacks, as on their own pages; None: as the profile says
BENIGN = None
QUANTIZATION = None
DIRECTION = None
IN_CONTEXT = None
SOFT_PROMPT = None

# %% tags=["remove-input"]
import pandas as pd

from mechlib.report import design, differences, findings, robustness, scoreboard, sentences, verdicts
from mechlib.report.claims import declared
from mechlib.report.page import figures, open_page, tables
from mechlib.attacks.registry import ATTACKS

page = open_page(globals(), "17_which_edit_lasts")
page.banner()

# %% [markdown]
# ## The attacks

# %% tags=["remove-input"]
rows = {name: page.rows(name) for name in ATTACKS}
tables.styled(pd.DataFrame([{"attack": attack.label, "what it does": attack.definition} for attack in ATTACKS.values()]))

# %% [markdown]
# ## What came back
#
# The share of edited facts whose **true** answer the attacked model gives in the prompt that was trained, under the strongest setting of
# each attack that did not break the model (at least {glue:text}`kept` of the maintain accuracy before the attack, which was above chance;
# the share itself decides, while a verdict is withheld only if the whole interval of that share over forget sets is lower). Leaving the
# model as it is counts as a setting. The unedited model shows how much there is to come back.

# %% tags=["remove-input"]
board = scoreboard.scoreboard(rows)
page.share("kept", robustness.KEPT)
page.figure("strongest", figures.attack_map(board),
            "Darker: more of what was edited away came back.", *ATTACKS,
            found=findings.of_edits("Back under the strongest attack", board[board.attack == scoreboard.ANY]))

# %% tags=["remove-input"]
tables.styled(scoreboard.scoreboard_table(board), index=True)

# %% [markdown]
# *Shares with 95 % intervals. The last column is the strongest of all attacks.*

# %% tags=["remove-input"]
tables.styled(scoreboard.attackers(board))

# %% tags=["remove-input"]
arms, lead = list(page.study.localizations), tables.leading(page.study.localizations)
worst = board[board.attack == scoreboard.ANY].set_index("localization")
page.number("lead", tables.label(lead))
page.number("lead_any", float(worst.share[lead]))
page.number("extremes", sentences.extremes(worst.share[arms].to_dict()))

# %% [markdown]
# Against its strongest attacker, {glue:text}`lead` gives back {glue:text}`lead_any:.2f` of the facts. {glue:text}`extremes`
#
# ## The verdict
#
# What is claimed about this task, as the claims file declared it before the runs that decide it:

# %% tags=["remove-input"]
design.stated(declared(), page.study.task)

# %% [markdown]
# **Rule.** {glue:text}`rule`

# %% tags=["remove-input"]
page.number("rule", verdicts.rule(declared(), page.study.task))
page.number("twins", verdicts.twins(page.verdicts))
tables.styled(verdicts.table(page.verdicts))

# %% [markdown]
# *Fact lookup minus the other. Overlap: weighted Jaccard of the trained weights. Log odds decide; the shares of true answers stand beside.
# "Not run yet" is what the rows say. Holm's family holds all claims about this task that were run, whatever the page.* {glue:text}`twins`
#
# ### Edited alike?

# %% tags=["remove-input"]
tables.styled(verdicts.gates_table(page.verdicts))

# %% [markdown]
# *What each gate says of both arms, fact lookup first. What an edit keeps of the unedited model's maintain accuracy can be above one, and has no interval where
# forget sets are too few to tell one.*
#
# ### With matched sets alone

# %% tags=["remove-input"]
tables.styled(verdicts.matched_table(page.verdicts))

# %% [markdown]
# *What changes if only those forget sets count in which both arms reached the success that is asked for. "Alone" is what the test says
# without the other gates.*
#
# ### In shares of true answers

# %% tags=["remove-input"]
page.number("counted", verdicts.counted(page.verdicts))
described = scoreboard.differences_by_attack(rows)
tables.styled(differences.from_lookup(rows["relearning"], described))

# %% [markdown]
# Of the comparisons that are declared about this task: {glue:text}`counted`.
#
# *Fact lookup minus the other, in the share of true answers, with 95 % intervals over forget sets and the exact p of each line by itself.
# Every attack at the setting that
# brings back most on average over all edits without breaking more models than others. Descriptive: no rule.*
#
# Two rivals of the paper's explanation run through all of this. Fact lookup's MLPs are early ones, and **early layers** may be a good
# place to edit whatever they do {cite:p}`hase2023does`: a draw of random MLPs that has some of them is a competitor, not a control. And an edit
# that **moved the weights further** may be harder to undo wherever it was made; <a href="page:05_editing">the page on editing</a> shows the norms.

# %% [markdown]
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("prompting", *ATTACKS)

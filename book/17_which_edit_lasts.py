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
#     needs: [know, unedited, edit, prompting, attacks]
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
OPTIMIZER = "adamw"
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

from mechlib.report import scoreboard, sentences
from mechlib.report.page import figures, open_page, tables
from mechlib.attacks.registry import ATTACKS

page = open_page(globals())
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
# each attack that did not break the model (at least 90 % of the maintain accuracy before the attack, which was above chance). Leaving the
# model as it is counts as a setting. The unedited model shows how much there is to come back.

# %% tags=["remove-input"]
board = scoreboard.scoreboard(rows)
figures.attack_map(board).show()

# %% [markdown]
# *Darker: more of what was edited away came back. Hover to see which setting was the strongest.*

# %% tags=["remove-input"]
tables.styled(scoreboard.scoreboard_table(board), index=True)

# %% [markdown]
# *Shares with 95 % Wilson intervals over facts. The last column is the strongest of all attacks.*

# %% tags=["remove-input"]
tables.styled(scoreboard.attackers(board))

# %% tags=["remove-input"]
arms, lead = list(page.study.localizations), tables.leading(page.study.localizations)
worst = board[board.attack == scoreboard.ANY].set_index("localization")
page.number("lead", tables.label(lead))
page.number("lead_any", float(worst.share[lead]))
page.number("extremes", sentences.extremes(worst.share[arms].to_dict()))

# %% [markdown]
# Against its strongest attacker, {glue:text}`lead` gives up a share of {glue:text}`lead_any:.2f` of the facts. {glue:text}`extremes`
#
# ## The verdict
#
# **Claim.** Less of the true answers comes back after an edit at fact lookup than after an edit elsewhere: in other formats, and under
# every attack.
#
# **Rule.** One family of comparisons, declared here: fact lookup minus {glue:text}`rivals`, in the formats that were not trained and
# under relearning, all localizations at the one setting that brings back most on average over all edits without breaking more models
# than others (so it is chosen for none of them). With eight forget sets an exact test can support at most six
# comparisons, hence this choice; all others are in the second table. Supported if the 95 % interval of the paired difference (bootstrap over forget sets,
# then facts) lies below zero and the exact sign-flip test over forget sets has p at most .05 after Holm's correction over the family;
# contradicted if both say the opposite; equivalent if the 90 % interval lies within ten points; void if the attack broke one of the two.
# With fewer than six forget sets there is no p and no verdict.

# %% tags=["remove-input"]
asked = page.rows("prompting")
void, trained = tables.void_formats(asked), page.study.trained_format
transfer = [form for form in page.study.formats if form not in void and form != trained]
verdicts = scoreboard.overall_verdicts({"relearning": rows["relearning"]}, asked, transfer, scoreboard.RIVALS, void=page.void)
rivals = [tables.label(key) for key in scoreboard.RIVALS if key in arms] or ["each other localization"]
page.number("rivals", ", ".join(rivals))
counts = verdicts.verdict.value_counts()
for name in ("supported", "contradicted", "equivalent", "undecided", "undecidable", "void", "no inference"):
    page.number(name.replace(" ", "_"), int(counts.get(name, 0)))
page.number("n_claims", len(verdicts))
tables.styled(verdicts)

# %% [markdown]
# Of {glue:text}`n_claims` comparisons {glue:text}`supported` support the claim, {glue:text}`contradicted` contradict it,
# {glue:text}`equivalent` show no difference within ten points, {glue:text}`undecided` are undecided ({glue:text}`undecidable` more could not be
# decided with so few sets), {glue:text}`void` are void, and for {glue:text}`no_inference` there are too few forget sets to infer anything.

# %% tags=["remove-input"]
tables.styled(scoreboard.overall_verdicts({name: found for name, found in rows.items() if name != "relearning"}, asked, [],
                                          void=page.void))

# %% [markdown]
# *All other attacks, and all other localizations: a family of its own, too large for a verdict with few forget sets. Read the
# differences and their intervals.*
#
# Two rivals of the paper's explanation run through all of this. Fact lookup's MLPs are early ones, and **early layers** may be a good
# place to edit whatever they do {cite:p}`hase2023does`: a draw of random MLPs that catches some is a competitor, not a control. And an edit
# that **moved the weights further** may be harder to undo wherever it was made; the page on editing shows the norms.

# %% [markdown]
# ## Runs behind this page

# %% tags=["remove-input"]
page.provenance("prompting", *ATTACKS)

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
#     needs: [know, unedited, asked, methods, localize]
#     own: [FORGET_SETS]
#     fixed: [TASK, KNOWN_FORMAT, EDIT_FORMAT, FORMATS]
# ---

# %% [markdown]
# # World facts
#
# Athletes and sports are one relation with three answers. The paper's second family of tasks
# {cite:p}`guo2025mechanistic` takes facts of many relations, in the format of CounterFact {cite:p}`meng2022locating`:
# a subject, a prompt, a true and a false target. With hundreds of answers no probe can be trained, so fact lookup is
# found another way, by following paths through the network.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
TASK = "counterfact-editing"
WORLD_FACTS = None  # a CounterFact file (.csv, .tsv, .json, .jsonl, .parquet) or hub data set; None: the shipped table
SEED = 0
KNOWN_FORMAT = None  # None: one_shot
KNOWN_THRESHOLD = 0.5  # a fact is known if its answer gets more than this among all tokens
FORGET_SET_SIZE = 16
FORGET_SETS = 1
EDIT_FORMAT = None  # None: one_shot
LOOKUP_RULE = "paper"  # "paper": MLPs that raise the logit difference; "released": absolute effect, as in the authors' code
LOCALIZATIONS = None
PRECISION = None
FORMATS = ["one_shot", "statement"]  # in which all facts are asked

# %% tags=["remove-input"]
import pandas as pd

from mechlib.components import ComponentError, Localization
from mechlib.facts import FORMATS as ALL_FORMATS
from mechlib.facts import neighbourhood, prompt
from mechlib.localize.fact_lookup import widest
from mechlib.localize.path_lookup import THRESHOLD, extraction_heads, feeding_mlps
from mechlib.patching.scores import Scores
from mechlib.report import findings, numerals
from mechlib.report.agreement import jaccard, with_exact
from mechlib.report.page import figures, open_page, tables
from mechlib.runs.knowledge import certainty

page = open_page(globals(), "04_world_facts")
page.banner()

# %% [markdown]
# ## What the model knows

# %% tags=["remove-input"]
table = page.study.table
asked = page.rows("asked")
relations = list(dict.fromkeys(fact.relation for fact in table))
sure = {(row["format"], row["relation"], row["subject"]) for row in asked if certainty(row) > KNOWN_THRESHOLD}
counts = pd.DataFrame([
    {"relation": relation, "facts": sum(fact.relation == relation for fact in table),
     **{form: sum(key[:2] == (form, relation) for key in sure) for form in page.study.formats}} for relation in relations
])
for form in page.study.formats:
    page.number(f"known_{form}", int(counts[form].sum()))
page.number("n_table", len(table))
page.number("n_relations", len(relations))
page.number("known_format", tables.label(page.study.known_format).lower())
page.number("n_known", int(counts[page.study.known_format].sum()))
page.number("threshold", KNOWN_THRESHOLD)
page.figure("known", figures.known_by_relation(counts, KNOWN_THRESHOLD),
            "Facts whose true answer gets more than {threshold} of the probability of all tokens, by relation and format.", "asked",
            found=f"Asked with the {page.given['known_format']}, the model knows {numerals.count(page.given['n_known'])} of "
                  f"{numerals.count(len(table))} facts")

# %% [markdown]
# The shipped table holds {glue:text}`n_table` facts in {glue:text}`n_relations` relations, written for this project. Asked
# with the {glue:text}`known_format`, the model knows {glue:text}`n_known` of them: one demonstration from the same
# relation tells it what kind of answer is wanted. The study below starts from these.

# %% tags=["remove-input"]
parts = page.splits
fact = next((one for one in parts.forget[0] if len(neighbourhood(one, table, ALL_FORMATS["statement"])) > 1), parts.forget[0].facts[0])
tables.styled(pd.DataFrame(
    [{"asked as": ALL_FORMATS[form].label, "prompt": prompt(fact, ALL_FORMATS[form]).text, "true": fact.answer, "false": fact.target}
     for form in page.study.kind.domain.formats]
    + [{"asked as": "Neighbourhood", "prompt": near.text, "true": near.fact.answer, "false": fact.target}
       for near in neighbourhood(fact, table, ALL_FORMATS["statement"])[:2]]
))

# %% [markdown]
# *One fact of the first forget set in every format. The neighbourhood asks about other subjects with the same answer: an
# edit that says the false target there has gone too far. A subject of several facts is used once, so that nothing that is
# kept is about what is edited.*

# %% [markdown]
# ## Fact lookup by path patching
#
# **Step 1.** Which heads write the answer? Each head's clean output is put into a run in which random tokens stand for the
# subject, while all later attention is frozen and later MLPs react. The {glue:text}`n_heads` strongest are the *extraction heads*.
#
# **Step 2.** Which MLPs do they read from? Each MLP's clean output is added to the residual stream that enters the lowest
# of these heads' layers, along the direct path alone. The last layer's effect is the baseline; MLPs above
# {glue:text}`lookup_threshold` are fact lookup.

# %% tags=["remove-input"]
paths = next(value for arm, value in page.values("methods") if arm["evidence"] == "paths")
direct, stream = Scores.from_json(paths["direct"]), Scores.from_json(paths["stream"])
heads = extraction_heads(direct)
page.number("n_heads", len(heads))
page.number("lookup_threshold", THRESHOLD)
page.number("receiver", paths["receiver"])
page.number("clean", direct.clean)
page.number("corrupted", direct.corrupted)
tables.styled(pd.DataFrame(
    [{"head": str(head), "direct effect": direct.values[head]} for head in heads]
), {"direct effect": "{:+.3f}"})

# %% [markdown]
# *The {glue:text}`n_heads` extraction heads and the share of the logit difference that each moves by itself (from
# {glue:text}`corrupted:z.2f` to {glue:text}`clean:z.2f` in all). The lowest is in layer {glue:text}`receiver`.*

# %% tags=["remove-input"]
n_layers = 1 + max(component.layer for component in direct.values)


def choice(rule):
    try:
        return [component.layer for component in feeding_mlps(stream.values, n_layers, rule)]
    except ComponentError:
        return []


rules = {rule: choice(rule) for rule in ("paper", "released")}
for rule, layers in rules.items():
    page.number(f"rule_{rule}", ", ".join(map(str, layers)) or "none")
page.number("rules_agree", "the same" if rules["paper"] == rules["released"] else "different ones")
page.number("n_layers", n_layers)
page.number("n_lookup", len(rules[LOOKUP_RULE]))
page.number("cap", widest(n_layers))
page.figure("paths", figures.path_effects(stream, rules, n_layers, THRESHOLD),
            "Effect of each MLP below layer {receiver} on the logit difference, through the stream that enters it.", "methods",
            found=f"By the paper's rule the MLPs of layers {page.given['rule_paper']} are fact lookup")

# %% [markdown]
# The paper says that fact lookup takes MLPs that *increase* the logit difference; the released code takes the absolute
# value. Here the rules choose {glue:text}`rules_agree`: the paper's takes layers {glue:text}`rule_paper`, the released one
# {glue:text}`rule_released`. (For Gemma-7B four of the five layers in the released 64-fact localization lower it.) Neither has a cap: the one
# that this study goes by takes {glue:text}`n_lookup` of {glue:text}`n_layers` MLPs, where the cap on what probes choose would allow
# {glue:text}`cap`.

# %% [markdown]
# ## Localizations

# %% tags=["remove-input"]
found = {arm["localization"]: Localization.from_json(value) for arm, value in page.values("localize") if arm["forget_set"] == 0 and arm["seed"] == 0}
lookup = found.get("fact_lookup")
page.figure("localizations", figures.localization_map(found, n_layers),
            "What each localization trains: squares are MLPs, diamonds attention layers.", "localize", found=findings.shared(found))

# %% tags=["remove-input"]
tables.styled(pd.DataFrame(
    [{"localization": tables.label(key), "weights": value.parameters, "of fact lookup": value.parameters / (value.provenance["budget"] or float("nan")),
      "shared with fact lookup": jaccard(value.components, lookup.components) if lookup else 0} for key, value in found.items()]
), {"weights": "{:,}", "of fact lookup": "{:.2f}", "shared with fact lookup": "{:.2f}"})

# %% [markdown]
# *Exact counts without embeddings; overlap as Jaccard.*

# %% [markdown]
# ## Positions, and how well the methods agree
#
# The analyses of <a href="page:02_localization">Localization</a> and <a href="page:03_comparison">Do the methods agree?</a>, on world facts, as far as this
# profile has them.

# %% tags=["remove-input"]
traced = {arm["evidence"]: Scores.from_json(value) for arm, value in page.values("methods") if arm["evidence"] != "paths"}
where = traced.pop("causal_tracing_positions", None)
page.number("where", "" if where else
            "Positions are traced for athletes only; PROFILE=full traces them for world facts, too.")
page.figure("positions", figures.position_map(where, "Causal tracing"),
            "Causal tracing: restoring one output at one class of positions.", "methods",
            found=findings.where_strongest(where)) if where else None

# %% [markdown]
# *{glue:text}`where`*

# %% tags=["remove-input"]
agreement = with_exact(traced, SEED)
page.number("compared", "Methods are compared on athletes only; PROFILE=full compares them on world facts, too."
            if agreement.empty else "")
None if agreement.empty else page.figure("agreement", figures.agreement_dots(agreement),
            "Estimates against exact effects: Spearman correlation over MLPs and over heads with exact patching.", "methods",
            found=findings.closest(agreement))

# %% [markdown]
# *{glue:text}`compared`*

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("asked", "methods", "localize")

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
#     needs: [know, unedited, methods, redrawn, circuits, localize]
# ---

# %% [markdown]
# # Do the methods agree?
#
# The paper {cite:p}`guo2025mechanistic` calls one family of methods *output tracing* and lets two members stand for
# it. How much do such methods agree with each other, with the exact effect that they estimate, and with themselves on
# other facts? A comparison of localizations means little if one of them is a poor estimate of its own quantity.

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
DTYPE = None  # of the weights, "float32" or "bfloat16"; None: as a folder stores them, bfloat16 from the hub, float32 from a GGUF file
PROFILE = "quick"
FACTS = None
SEED = 0
KNOWN_FORMAT = None
KNOWN_THRESHOLD = 0.5
FORGET_SET_SIZE = 16
FORGET_SETS = None
DIVIDED_SETS = None  # the facts are divided into so many forget sets, of which FORGET_SETS are edited; None: into no more
EDIT_FORMAT = None
LOOKUP_RULE = "paper"
LOCALIZATIONS = None
PRECISION = None
RANDOM_DRAWS = 1000  # sets of MLPs drawn at random, to see what choosing blindly gives

# %% tags=["remove-input"]
import pandas as pd

from mechlib.components import Architecture, Component, Localization
from mechlib.localize.budget import fill_budget
from mechlib.localize.output_tracing import ranked
from mechlib.patching.faithfulness import CircuitRow, curve_areas
from mechlib.patching.scores import Scores
from mechlib.report import findings
from mechlib.report.agreement import captured, jaccard, module_correlation, probed_lookup, random_mlp_draws, stability, with_exact
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "03_comparison")
page.banner()

# %% [markdown]
# ## The methods
#
# | method | looks at | from | cost |
# |---|---|---|---|
# | activation patching {cite:p}`heimersheim2024use` | one clean output in a run with another subject (denoising), or the reverse (noising) | exact effects | one pass for each component |
# | causal tracing {cite:p}`meng2022locating` | one clean output in a run with a noised subject | exact effects | one pass for each component |
# | attribution patching {cite:p}`nanda2023attribution` | the same, to first order | gradient x difference | two passes and one backward |
# | attribution patching, inputs {cite:p}`guo2025mechanistic` | what components read as well: queries, keys, values, the stream of an MLP | gradient x difference | two passes and one backward |
# | integrated gradients {cite:p}`hanna2024have` | gradients averaged between the two runs | gradient x difference | five passes and backwards |
# | relevance patching {cite:p}`jafari2025relp` | relevance in place of gradients | relevance x difference | two passes and one backward |
# | gradient x weight {cite:p}`lee2019snip` | the weights, not the activations | first order | one pass and one backward |
#
# All score every head and every MLP on the same {glue:text}`n_prompts` prompts, about athletes that no page edits.
# The metric is the logit of the true sport minus the mean of the others.

# %% tags=["remove-input"]
traced = {arm["evidence"]: Scores.from_json(value) for arm, value in page.values("methods") if arm["evidence"] not in ("probe", "causal_tracing_positions")}
seconds = {arm["evidence"]: page.runner.store.read(run).seconds for arm, run in page.study.runs("methods")}
references = {"denoising": traced["activation_patching"], "noising": traced["activation_patching_noising"]}
page.number("n_prompts", len(references["denoising"].spans))

# %% [markdown]
# ## Against exact patching

# %% tags=["remove-input"]
agreement = with_exact(traced, SEED)
page.figure("agreement", figures.agreement_dots(agreement),
            "Spearman correlation of each method's scores with exact patching, over all heads and over all MLPs, with 95 % "
            "bootstrap intervals over prompts. Filled: against denoising, which asks what suffices; open: against noising, which asks what is "
            "necessary. With inputs, a head is scored with its queries; keys and values are scored by themselves, for the heads that share them.",
            "methods", found=findings.closest(agreement))

# %% tags=["remove-input"]
def agreed(method, kind, direction):
    found = agreement[(agreement.method == method) & (agreement.kind == kind) & (agreement.reference == f"exact {direction}")]
    return float(found.share.iloc[0])


for name, (method, kind, direction) in {
    "two_directions_mlp": ("activation_patching", "mlp", "noising"), "two_directions_head": ("activation_patching", "head", "noising"),
    "attribution_mlp": ("attribution_patching", "mlp", "noising"), "attribution_head": ("attribution_patching", "head", "noising"),
    "integrated_mlp": ("integrated_gradients", "mlp", "noising"), "relevance_mlp": ("relevance_patching", "mlp", "noising"),
    "relevance_head": ("relevance_patching", "head", "noising"), "weight_mlp": ("gradient_times_weight", "mlp", "noising"),
    "tracing_mlp": ("causal_tracing", "mlp", "denoising"),
}.items():
    page.number(name, agreed(method, kind, direction))
page.number("weaker", ": it is the poorer estimate for MLPs, which are what fact lookup consists of"
            if page.given["attribution_mlp"] < page.given["attribution_head"] else "")

# %% [markdown]
# The exact effects themselves depend on the question: denoising and noising correlate at
# {glue:text}`two_directions_mlp:z.2f` over MLPs and {glue:text}`two_directions_head:z.2f` over heads. Attribution
# patching of what components write, in the paper's direction (noising), reaches {glue:text}`attribution_mlp:z.2f` on MLPs and
# {glue:text}`attribution_head:z.2f` on heads{glue:text}`weaker`. Averaging
# the gradient over five points gives {glue:text}`integrated_mlp:z.2f` on MLPs. Relevance patching, which holds attention
# patterns constant, gives {glue:text}`relevance_mlp:z.2f` on MLPs and {glue:text}`relevance_head:z.2f` on heads, and
# |gradient x weight| {glue:text}`weight_mlp:z.2f` on MLPs: it answers another question. Causal tracing, exact but
# with noise for the subject, agrees with exact denoising from another subject at {glue:text}`tracing_mlp:z.2f`.

# %% [markdown]
# ## What each would choose
#
# The ranking by absolute score, cut at fact lookup's parameter count, is what an edit sees of a method.

# %% tags=["remove-input"]
probes = [row for row in page.rows("methods") if row["evidence"] == "probe"]
lookup = probed_lookup(probes, Localization.from_json(page.values("localize")[0][1]))
arch, budget = Architecture(**lookup.provenance["architecture"]), lookup.provenance["budget"]
chosen = {name: fill_budget(ranked(scores, mlps_only=True), budget, arch) for name, scores in traced.items()}
exact = chosen["activation_patching"]
circuits = [CircuitRow(**row) for row in page.rows("circuits")]
tables.styled(pd.DataFrame([
    {"method": tables.label(name), "its MLPs (layers)": ", ".join(str(c.layer) for c in chosen[name]),
     "shared with exact": jaccard(chosen[name], exact), "shared with fact lookup": jaccard(chosen[name], lookup.components),
     "stability, heads": stability(scores, "head", SEED), "stability, MLPs": stability(scores, "mlp", SEED),
     "CPR": areas[0], "CMD": areas[1], "seconds": seconds[name]}
    for name, scores in traced.items()
    for areas in [curve_areas([row for row in circuits if row.method == name])]
]), {name: "{:.2f}" for name in ("shared with exact", "shared with fact lookup", "stability, heads", "stability, MLPs", "CPR", "CMD")} | {"seconds": "{:.1f}"})

# %% [markdown]
# *"Shared" is the Jaccard overlap of two sets of MLPs. Stability is the rank correlation between scores from two random
# halves of the prompts (mean of 20 divisions; |gradient x weight| has only its batches to divide, and a dash where there is one). Seconds are those of the run on the machine that made it, the copy of the model
# in the working precision included. CPR and CMD as below, a dash for a method that scores inputs: a circuit replaces outputs.*

# %% [markdown]
# ## The paper's own attribution patching
#
# Exact patching puts in what components *write*, and so does the estimate of it. The released code also scores what they *read*, a head's
# queries, keys and values and the stream that enters an MLP, and adds both up: an MLP counts twice, and what reaches it from below counts for it,
# too. How much does that change what is edited?

# %% tags=["remove-input"]
variants = {name: traced[name] for name in ("attribution_patching", "attribution_patching_inputs")}
for kind in ("attn", "mlp"):
    page.number(f"inputs_{kind}", module_correlation(*variants.values(), kind))
edits = {(name, alone): fill_budget(ranked(scores, mlps_only=alone), budget, arch) for name, scores in variants.items() for alone in (False, True)}
for alone, named in ((False, "mixed"), (True, "mlps")):
    page.number(f"inputs_shared_{named}", jaccard(*(edits[name, alone] for name in variants)))
tables.styled(pd.DataFrame([
    {"method": tables.label(f"{name}_mlps" if alone else name), "its modules": ", ".join(map(str, sorted(modules))),
     "shared with outputs alone": jaccard(modules, edits["attribution_patching", alone]),
     "shared with fact lookup": jaccard(modules, lookup.components)} for (name, alone), modules in edits.items()
]), {"shared with outputs alone": "{:.2f}", "shared with fact lookup": "{:.2f}"})

# %% [markdown]
# *The modules that each would edit at fact lookup's parameter count, and their Jaccard overlap.*
#
# Absolute scores with and without inputs correlate at {glue:text}`inputs_mlp:z.2f` over MLPs and at {glue:text}`inputs_attn:z.2f` over attention
# layers (Spearman). The sets that they choose share {glue:text}`inputs_shared_mixed:.2f` over all modules and
# {glue:text}`inputs_shared_mlps:.2f` over MLPs alone. `LOCALIZATIONS=attribution_patching_inputs` makes the paper's own variant an arm of the later
# pages.

# %% [markdown]
# ## Do the top components carry the answer?
#
# Rankings can also be tested without a reference. Keep a method's best *k* components as they are, give all others the
# output they have when the prompt names somebody else, and see how much of the logit difference is left, on athletes
# that no method has seen {cite:p}`mueller2025mib`.

# %% tags=["remove-input"]
page.figure("circuits", figures.circuit_curves([row for row in page.rows("circuits")]),
            "Share of the logit difference that is left when a method's best *k* components are kept and all others are replaced, on athletes "
            "that no method has seen; 1 is the whole model, and the logarithmic axis leaves out k = 0. CPR in the table is the area under these curves over the "
            "share of components kept (higher is better), CMD the area between 1 and the curve of circuits ranked by absolute score "
            "(lower is better).", "circuits",
            found=findings.best_circuits({name: curve_areas([row for row in circuits if row.method == name])[0] for name in traced}))

# %% [markdown]
# ## Against chance
#
# How much of the exact effect would MLPs hold that are drawn at random, at the same budget? One random draw, as in the
# paper, is one point of this distribution.

# %% tags=["remove-input"]
draws = random_mlp_draws(arch, budget, RANDOM_DRAWS)
held = [captured(draw, references["noising"]) for draw in draws]
marked = {"fact_lookup": lookup.components, "causal_tracing_mlps": chosen["causal_tracing"],
          "attribution_patching_mlps": chosen["attribution_patching"]}
marks = {name: captured(components, references["noising"]) for name, components in marked.items()}
width = len(lookup.components)
windows = {first: captured([Component(layer, "mlp") for layer in range(first, first + width)], references["noising"])
           for first in range(arch.n_layers - width + 1)}
best = max(windows, key=windows.get)
page.number("n_draws", len(draws))
page.number("lookup_held", marks["fact_lookup"])
page.share("lookup_beats", sum(value < marks["fact_lookup"] for value in held) / len(held))
page.number("random_median", sorted(held)[len(held) // 2])
page.number("best_window", f"{best} to {best + width - 1}")
page.number("best_window_held", windows[best])
page.figure("draws", figures.draw_distribution(held, marks, "sum of exact noising effects of the chosen MLPs"),
            "The sum of exact noising effects over the MLPs of {n_draws} random sets, and over those of the methods that are named.", "methods",
            found=f"Fact lookup's MLPs hold more of the exact effect than {page.given['lookup_beats']} of random sets of their size")

# %% [markdown]
# Fact lookup's MLPs hold {glue:text}`lookup_held:z.2f`, more than {glue:text}`lookup_beats` of the random sets (their
# median is {glue:text}`random_median:z.2f`). Of all windows of {glue:text}`window_width` consecutive MLPs, layers
# {glue:text}`best_window` hold most, {glue:text}`best_window_held:z.2f`.

# %% tags=["remove-input"]
page.number("window_width", width)
page.number("lookup_window", f"{lookup.layers[0]} to {lookup.layers[-1]}")
tables.styled(pd.DataFrame(
    [{"MLPs of layers": f"{first} to {first + width - 1}", "sum of exact effects": value,
      "": "fact lookup" if [first + n for n in range(width)] == list(lookup.layers) else ""} for first, value in windows.items()]
), {"sum of exact effects": "{:.2f}"})

# %% [markdown]
# *Contiguous windows. If early windows hold the effect whoever chooses them, an advantage of fact lookup in editing may be
# an advantage of depth; `LOCALIZATIONS=mlps_2_to_6,mlps_8_to_12` makes any window an arm of the later pages, and
# `random_mlps_0,random_mlps_1` any draw.*

# %% [markdown]
# ## A detail of the released code
#
# Its causal tracing draws new noise for every patched run, and compares with one unpatched run that was drawn once. A
# constant then enters all scores of a batch, which the sum over an attention layer's heads multiplies.

# %% tags=["remove-input"]
def offset(scores):
    heads = [value for component, value in scores.values.items() if component.kind == "head"]
    return sorted(heads)[len(heads) // 2], sum(value < 0 for value in heads) / len(heads)


anew = Scores.from_json(page.values("redrawn")[0][1])
fixed, redrawn = offset(traced["causal_tracing"]), offset(anew)
page.number("fixed_median", fixed[0])
page.number("redrawn_median", redrawn[0])
page.share("fixed_negative", fixed[1])
page.share("redrawn_negative", redrawn[1])
first, second = (fill_budget(ranked(scores, mlps_only=False), budget, arch) for scores in (traced["causal_tracing"], anew))
page.number("redrawn_overlap", jaccard(first, second))
page.number("fixed_attention", sum(component.kind == "attn" for component in first))
page.number("redrawn_attention", sum(component.kind == "attn" for component in second))

# %% [markdown]
# With one draw for all runs the median head scores {glue:text}`fixed_median:z.3f` ({glue:text}`fixed_negative` negative),
# with new draws {glue:text}`redrawn_median:z.3f` ({glue:text}`redrawn_negative` negative). The two choices of modules share
# {glue:text}`redrawn_overlap:.2f` (Jaccard); {glue:text}`fixed_attention` and {glue:text}`redrawn_attention` of them are
# attention layers. In the authors' released scores for Gemma-2-9B 94 % of the heads are negative with a median of -.033, and the
# localization made from them consists of attention layers only.

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("methods", "redrawn", "circuits", "localize")

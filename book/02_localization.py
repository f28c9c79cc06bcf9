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
#     needs: [know, unedited, evidence, lookup_variants, localize]
# ---

# %% [markdown]
# # Localization
#
# Where should an edit be made? The paper's {cite:p}`guo2025mechanistic` distinction is between two kinds of evidence.
# *Output tracing* asks which components' outputs carry the answer: patch one, and see whether the answer follows.
# *Fact lookup* asks where the model finds the answer out: the early MLPs that enrich the representation of the
# subject {cite:p}`geva2023dissecting,nanda2023factfinding`. This page collects both and turns each into a set of
# weights of the same size.

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
EDIT_FORMAT = None  # the prompts that are probed and patched; None: one_shot
LOOKUP_RULE = "paper"  # how path patching chooses MLPs, in tasks that use it: "paper" or "released"
LOCALIZATION = None  # a localization file of your own: it joins the comparison as "given"
LOCALIZATIONS = None
PRECISION = None  # of the matrix products while patching; residual stream and logits are float32

# %% tags=["remove-input"]
from mechlib.components import Localization
from mechlib.patching.scores import Scores
from mechlib.report import findings, sentences
from mechlib.report.agreement import probed_lookup, uncapped_layers
from mechlib.report.lookup_choices import choice, fewer_facts, lookup_choices
from mechlib.report.page import figures, open_page, tables

page = open_page(globals(), "02_localization")
page.banner()

# %% [markdown]
# ## Fact lookup: at which layer can the sport be read at the name?
#
# A linear probe reads the sport off the residual stream, at the last token of the athlete's name and at the last
# token of the prompt. Every athlete is held out once; the control learns shuffled labels
# {cite:p}`hewitt2019designing`.

# %% tags=["remove-input"]
import pandas as pd

probes = [row for row in page.rows("evidence") if row.get("evidence") == "probe"]
found = {f"{arm['localization']}/{arm['forget_set']}": Localization.from_json(value) for arm, value in page.values("localize") if arm["seed"] == 0}
lookup = probed_lookup(probes, next(iter(found.values())))
subject = {row["layer"]: row["correct"] / row["total"] for row in probes if row["position"] == "subject"}
at_end = {row["layer"]: row["correct"] / row["total"] for row in probes if row["position"] == "prompt"}
n_layers = 1 + max(row["layer"] for row in probes)
page.number("n_probed", probes[0]["total"])
page.number("probe_start", subject[0])
page.number("probe_best", max(subject.values()))
page.number("probe_end_best", max(at_end.values()))
half = {name: min(layer for layer, share in curve.items() if share >= (curve[0] + max(curve.values())) / 2)
        for name, curve in (("subject", subject), ("end", at_end))}
page.number("half_subject", half["subject"])
page.number("half_end", half["end"])
page.number("half_order", "lower" if half["subject"] < half["end"] else "the same" if half["subject"] == half["end"] else "higher")
page.number("lookup_first", lookup.layers[0])
page.number("lookup_last", lookup.layers[-1])
page.number("cap", sentences.cap(lookup.layers, uncapped_layers(probes, n_layers)))
page.number("lookup_parameters", lookup.parameters)
page.figure("probes", figures.probe_curves(probes, lookup.layers),
            "Held-out accuracy of the probes on {n_probed} athletes that no later page edits. The shaded layers are the ones that "
            "the rule below chooses.", "evidence",
            found=f"The sport is half-way readable at the name before layer {half['subject']}, at the end of the prompt before layer {half['end']}")

# %% [markdown]
# At the name, accuracy rises from {glue:text}`probe_start:.2f` to {glue:text}`probe_best:.2f`, and half of that rise is
# done before layer {glue:text}`half_subject`; at the end of the prompt it reaches {glue:text}`probe_end_best:.2f`, half
# of the way before layer {glue:text}`half_end`. If facts are looked up at the name first and extracted at the end afterwards, the first of these layers is the
# lower one; here it is {glue:text}`half_order`.
#
# **The rule.** Fact lookup begins with the first layer after which accuracy at the name exceeds that after layer 0 by
# .10, and ends one layer past the first that comes within one standard error of the best. It never takes more than a
# quarter of all layers, because a localization that holds most of the network localizes nothing. Fed with the probe
# accuracies that the authors published, the rule gives the layers that their released code edits: 2 to 7 for Gemma-7B,
# 2 to 6 for Gemma-2-9B, 1 to 4 for Llama-3-8B (the paper's text says 2 to 8 for the last two). Here it gives the MLPs of layers {glue:text}`lookup_first` to
# {glue:text}`lookup_last`, which hold {glue:text}`lookup_parameters` weights. That is the budget of every other method.
# **{glue:text}`cap`**
#
# ### Does the choice depend on the probe?
#
# The paper fits a logistic regression to every layer; the probe here is a ridge classifier, whose penalty (alpha) had to be chosen. The table
# repeats the rule with other penalties and with logistic regression, on the same facts and folds. It also repeats it on the facts alone that
# output tracing sees: the probe reads the facts to maintain, too, so the methods do not choose from equal evidence.

# %% tags=["remove-input"]
variants = lookup_choices([row for row in page.rows("lookup_variants") if row["evidence"] == "probe_variants"], lookup)
page.number("choice", choice(variants))
page.number("fewer_facts", fewer_facts(variants))
tables.styled(variants, {name: "{:.2f}" for name in ("held-out accuracy", "shared with what is edited", "shared without the cap")})

# %% [markdown]
# *Held-out accuracy at the name, at the best layer. Shared: the Jaccard overlap of the rule's layers with those that the study edits
# ({glue:text}`lookup_first` to {glue:text}`lookup_last`), with the cap and without it.*
#
# {glue:text}`choice` {glue:text}`fewer_facts`

# %% [markdown]
# ## Output tracing: whose output carries the answer?
#
# **Causal tracing** {cite:p}`meng2022locating` adds noise to the name and restores one clean output at a time.
# **Attribution patching** {cite:p}`nanda2023attribution` estimates from one backward pass what would happen if one
# output came from a run with other tokens in place of the name. Both score every head and every MLP, at all
# positions, by the share of the logit difference (true sport minus the mean of the others) that it moves.

# %% tags=["remove-input"]
methods = {"causal_tracing": "Causal tracing (restoring)", "attribution_patching": "Attribution patching (corrupting)"}
evidence = {arm["evidence"]: Scores.from_json(value) for arm, value in page.values("evidence") if arm["evidence"] != "probe"}
scores = {key: evidence[key] for key in methods if key in evidence}
page.number("scored", sentences.listed(list(scores), "no method, because no localization here needs one"))
page.figure("scores", figures.score_map(list(scores.values()), [methods[key] for key in scores]),
            "Blue: moves the answer the expected way. Outputs are taken as they enter the residual stream, after the post-norm "
            "where the family has one. Run for this page: {scored}.", "evidence",
            found=findings.strongest(list(scores.values()), [tables.named(key) for key in scores]))

# %% tags=["remove-input"]
tables.styled(pd.DataFrame(
    [{"method": methods[key], "clean logit difference": s.clean, "corrupted logit difference": s.corrupted,
      "strongest components": ", ".join(str(c) for c in sorted(s.values, key=lambda c: -abs(s.values[c]))[:5])} for key, s in scores.items()]
), {"clean logit difference": "{:.2f}", "corrupted logit difference": "{:.2f}"})

# %% [markdown]
# ### Where in the prompt?
#
# Scores add up over the prompt. Restoring one output at one place at a time takes them apart: the layer-by-position
# map that readers of causal tracing know {cite:p}`meng2022locating`.

# %% tags=["remove-input"]
placed = evidence["causal_tracing_positions"]
page.figure("tracing_positions", figures.position_map(placed, "Causal tracing"),
            "The share of the logit difference that comes back when one attention layer's or one MLP's clean output is restored at "
            "one class of positions; tokens of \"subject middle\" and of \"after subject\" are restored together.", "evidence",
            found=findings.where_strongest(placed))

# %% tags=["remove-input"]
page.number("estimate", "Both maps should look alike: the second estimates what the first measures for the MLPs."
            if "attribution_patching" in evidence else "Attribution patching was not run for this page.")
if "attribution_patching" in evidence:
    page.figure("attribution_positions", figures.position_map(evidence["attribution_patching"], "Attribution patching"),
                "Attribution patching's estimate of the same for the MLPs, divided over the same positions.", "evidence",
                found=findings.where_strongest(evidence["attribution_patching"]))

# %% tags=["remove-input"]
mlps = {component.layer: at for component, at in placed.positions.items() if component.kind == "mlp"}
early, late = range(n_layers // 2), range(n_layers // 2, n_layers)
for name, layers, position in (("subject", early, "subject last"), ("end", late, "prompt end"), ("early_end", early, "prompt end")):
    page.number(f"share_{name}", sum(mlps[layer][position] for layer in layers))

# %% [markdown]
# {glue:text}`estimate`
#
# Summed over layers, the MLPs of the first half restore {glue:text}`share_subject:z.2f` at the last token of the name and
# {glue:text}`share_early_end:z.2f` at the end of the prompt, those of the second half {glue:text}`share_end:z.2f` at the end
# of the prompt. (Single effects need not add up to the effect of restoring them together.)

# %% [markdown]
# ## The same budget for everyone
#
# Modules are taken in the order of their absolute score (an attention layer's is the sum over its heads, as in the
# released code) until they hold as many weights as fact lookup. Of the controls, some draw their modules at
# random, anew for each forget set; others train all MLPs or everything, without a budget.

# %% tags=["remove-input"]
drawn = {key: value for key, value in found.items() if key.endswith("/0") or key.split("/")[0] in ("random", "random_mlps")}
once = {(key if key.split("/")[0] in ("random", "random_mlps") else key.split("/")[0]): value for key, value in drawn.items()}
page.figure("localizations", figures.localization_map(once, n_layers),
            "What each localization trains: squares are MLPs, diamonds attention layers; open marks are parts of them (neurons, "
            "heads, and keys and values).", "localize", found=findings.shared(once))

# %% tags=["remove-input"]
tables.styled(pd.DataFrame(
    [{"localization": tables.label(key.split("/")[0]), "forget set": key.split("/")[1] if "/" in key else "all",
      "weights": value.parameters, "of fact lookup": value.parameters / value.provenance["budget"],
      "shares with fact lookup": len(set(value.components) & set(lookup.components))} for key, value in once.items()]
), {"weights": "{:,}", "of fact lookup": "{:.2f}"})

# %% [markdown]
# *Exact counts; no edit trains embeddings or norms. The last component may overshoot the budget by less than
# its own size. Mind the last column: a method that shares components with fact lookup is no independent comparison.*
#
# Each of these sets is a small JSON file, `runs/localize/<run>/localization.json`. Written by hand it can be as short as
# `{"components": ["L3.mlp", "L7.head2"]}`; `make execute PARAMS="LOCALIZATION=mine.json"` puts it beside the others.

# %% [markdown]
# ## Runs behind this page
#
# Every table and figure was drawn from these stored runs; `runs/<stage>/<run>/run.json` holds their settings.

# %% tags=["remove-input"]
page.provenance("evidence", "lookup_variants", "localize")

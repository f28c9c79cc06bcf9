"""The paper's figures, to stand beside ours: means over its three models and its splits, from the authors' released runs.

Source: `results_rebuttal` and `results_rebuttal_counterfact` of the repository magikarp01/mechanistic-unlearning (November
2024), final iteration of each run, one run each. The authors' accuracies are mean probabilities of the label: renormalized
over four sports for athletes, over all tokens for CounterFact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from mechlib.report.tables import label
from mechlib.runs.tasks import COUNTERFACT, TASKS

_ARMS = (
    "fact_lookup", "causal_tracing", "causal_tracing_mlps", "attribution_patching", "attribution_patching_mlps", "random", "random_mlps",
    "all_mlps", "nonlocalized",
)  # fmt: skip
_COLUMNS = ("forget", "maintain", "edit", "letter choice: true", "letter choice: edit")
# Rows in the order of _ARMS, columns in that of _COLUMNS. Forget and maintain in the trained prompt; the edit accuracy of
# athletes and whole sports was measured with a system prompt, that of CounterFact in the trained prompt.
_FIGURES: Mapping[str, Sequence[Sequence[float]]] = {
    "sports-athlete-editing": (
        (0.000, 0.992, 0.989, 0.033, 0.862), (0.011, 0.990, 0.893, 0.423, 0.152), (0.008, 0.884, 0.938, 0.373, 0.371),
        (0.137, 0.821, 0.776, 0.716, 0.082), (0.065, 0.773, 0.746, 0.892, 0.032), (0.002, 0.987, 0.943, 0.128, 0.303),
        (0.000, 0.992, 0.926, 0.200, 0.632), (0.001, 0.977, 0.914, 0.228, 0.246), (0.000, 0.978, 0.963, 0.266, 0.327),
    ),
    "full-sports-editing": (
        (0.000, 0.983, 0.904, 0.278, 0.487), (0.000, 0.990, 0.972, 0.462, 0.336), (0.000, 0.994, 0.980, 0.508, 0.249),
        (0.000, 0.998, 0.992, 0.856, 0.049), (0.000, 0.996, 0.994, 0.894, 0.033), (0.000, 0.991, 0.852, 0.384, 0.446),
        (0.000, 0.990, 0.902, 0.349, 0.452), (0.000, 0.996, 0.956, 0.384, 0.460), (0.000, 0.994, 0.889, 0.318, 0.459),
    ),
    "counterfact-editing": (
        (0.001, 0.969, 0.996, 0.359, 0.545), (0.001, 0.970, 0.998, 0.789, 0.119), (0.002, 0.970, 0.998, 0.729, 0.187),
        (0.002, 0.959, 0.998, 0.821, 0.087), (0.005, 0.967, 0.994, 0.864, 0.068), (0.000, 0.973, 0.999, 0.710, 0.154),
        (0.001, 0.976, 0.998, 0.644, 0.236), (0.001, 0.980, 0.998, 0.724, 0.158), (0.001, 0.971, 0.998, 0.731, 0.162),
    ),
    "sequential-counterfact-editing": (
        (0.034, 0.900, 0.927, 0.296, 0.588), (0.130, 0.917, 0.857, 0.635, 0.168), (0.123, 0.928, 0.860, 0.609, 0.245),
        (0.177, 0.886, 0.816, 0.745, 0.150), (0.194, 0.922, 0.787, 0.765, 0.156), (0.127, 0.865, 0.859, 0.581, 0.231),
        (0.093, 0.924, 0.874, 0.607, 0.230), (0.059, 0.948, 0.930, 0.712, 0.179), (0.083, 0.933, 0.910, 0.683, 0.196),
    ),
}  # fmt: skip


def published(task: str, localizations: Sequence[str]) -> pd.DataFrame:
    """The paper's figures for a task, one row a localization of those asked for that it has; raises ``KeyError`` for a task without any."""
    rows = dict(zip(_ARMS, _FIGURES[task], strict=True))
    return pd.DataFrame(
        [{"localization": label(key), **dict(zip(_COLUMNS, rows[key], strict=True))} for key in localizations if key in rows]
    )


# Over what each task's figures are means, and what its accuracies are.
_MODELS, _FROM = "mean over Gemma-7B, Gemma-2-9B and Llama-3-8B", "recomputed from the authors' released runs; their accuracies are"
_SPORTS = f"{_FROM} mean probabilities, renormalized over the sports, and the edit accuracy was measured behind a system prompt."
_WORLD = f"{_FROM} mean probabilities over all tokens, in the trained prompt."
_ABOUT: Mapping[str, str] = {
    "sports-athlete-editing": f"Athletes: {_MODELS} and over 16 and 64 athletes, {_SPORTS}",
    "full-sports-editing": f"Whole sports: {_MODELS} and over three sports, {_SPORTS}",
    "counterfact-editing": f"CounterFact: {_MODELS} and over 16 and 64 facts, {_WORLD}",
    "sequential-counterfact-editing": f"CounterFact, part after part: {_MODELS}, {_WORLD}",
}


def nearest(task: str) -> str:
    """The task whose figures stand beside those of a task: the same where the paper has it, else editing facts of the same kind."""
    if task in _FIGURES:
        return task
    return "counterfact-editing" if TASKS[task].domain is COUNTERFACT else "sports-athlete-editing"


def about(task: str) -> str:
    """Of what the figures of :func:`nearest` are, and whether that is another task."""
    other = "" if task in _FIGURES else "The paper has no figures of this task; these are of another. "
    return other + _ABOUT[nearest(task)]


# The scaling study: mode, number of facts, then forget, edit and the two letter-choice accuracies.
# Source: `experiments/scaling_counterfact` of the same repository, Gemma-7B.
_SCALING = (
    ("manual", 30, 0.0, 1.0, 0.778, 0.222), ("manual", 100, 0.0, 1.0, 0.636, 0.273),
    ("manual", 300, 0.0, 1.0, 0.697, 0.263), ("manual", 1000, 0.004, 1.0, 0.690, 0.308),
    ("with attention", 30, 0.0, 1.0, 0.889, 0.0), ("with attention", 100, 0.0, 1.0, 0.182, 0.727),
    ("with attention", 300, 0.167, 0.83, 0.172, 0.758), ("with attention", 1000, 0.0, 1.0, 0.20, 0.77),
    ("all MLPs", 30, 0.0, 1.0, 0.444, 0.333), ("all MLPs", 100, 0.0, 1.0, 0.121, 0.606),
    ("all MLPs", 300, 0.033, 0.963, 0.394, 0.414), ("all MLPs", 1000, 0.0, 1.0, 0.414, 0.394),
)  # fmt: skip


def published_scaling() -> pd.DataFrame:
    """The paper's scaling study, one row a mode and number of facts."""
    return pd.DataFrame(_SCALING, columns=["mode", "facts", "forget", "edit", "letter choice: edit", "letter choice: true"])


# The paper's attack, as mechlib.attacks.relearning names it: rank and learning rate, and its last step.
RELEARNING_SETTING = ("LoRA 512, 0.0002", 20)
# Mean probability of the true answer on the held-out half of the forget set before and after relearning the other half, on facts
# to maintain before and after, and both behind a soft prompt. Rows in the order of _ARMS; six runs a row (three models, 16 and 64
# facts), from the same released runs. In the CounterFact runs the attacker trained on edit targets, so they measure something else.
_RELEARNED: Mapping[str, Sequence[Sequence[float]]] = {
    "sports-athlete-editing": (
        (0.000, 0.199, 0.993, 0.663, 0.327, 0.443), (0.009, 0.469, 0.989, 0.887, 0.378, 0.521), (0.008, 0.631, 0.879, 0.867, 0.352, 0.472),
        (0.136, 0.824, 0.828, 0.875, 0.382, 0.503), (0.063, 0.903, 0.759, 0.955, 0.387, 0.543), (0.006, 0.312, 0.984, 0.737, 0.345, 0.479),
        (0.000, 0.264, 0.992, 0.805, 0.376, 0.463), (0.001, 0.275, 0.979, 0.674, 0.337, 0.429), (0.000, 0.291, 0.977, 0.643, 0.301, 0.451),
    ),
    "counterfact-editing": (
        (0.001, 0.050, 0.967, 0.188, 0.360, 0.650), (0.001, 0.043, 0.975, 0.175, 0.351, 0.707), (0.002, 0.050, 0.976, 0.196, 0.327, 0.704),
        (0.001, 0.056, 0.963, 0.215, 0.333, 0.663), (0.005, 0.068, 0.970, 0.197, 0.352, 0.672), (0.001, 0.062, 0.973, 0.212, 0.365, 0.725),
        (0.001, 0.057, 0.979, 0.187, 0.348, 0.672), (0.001, 0.059, 0.979, 0.183, 0.317, 0.725), (0.001, 0.058, 0.976, 0.202, 0.328, 0.718),
    ),
}  # fmt: skip


# What the paper prints of relearning athletes (section on adversarial relearning): the share of the half that was not taught which
# comes back. In the released runs the numbers of causal tracing and its MLPs are the other way round.
_PRINTED = {"fact_lookup": 0.20, "causal_tracing": 0.63, "causal_tracing_mlps": 0.47}


def printed_relearning(task: str, localization: str) -> float | None:
    """The share that comes back as the paper prints it, where it prints one."""
    return _PRINTED.get(localization) if task == "sports-athlete-editing" else None


def published_relearning(task: str) -> pd.DataFrame:
    """The paper's relearning and soft prompts, one row a localization; raises ``KeyError`` for a task that it does not have here.

    Columns: ``forget`` (the held-out half) and ``maintain``, each before, after relearning and behind a soft prompt.
    """
    columns = ("forget before", "forget relearned", "maintain before", "maintain relearned", "forget soft prompt", "maintain soft prompt")
    rows = zip(_ARMS, _RELEARNED[task], strict=True)
    return pd.DataFrame([{"localization": label(key), **dict(zip(columns, row, strict=True))} for key, row in rows])


def void_relearning(task: str) -> bool:
    """Whether the paper's attack on facts of this kind trained edit targets in place of true answers: then it measured something else."""
    return TASKS[task].domain is COUNTERFACT


def about_relearning(task: str, setting: str) -> str:
    """What stands beside the paper's relearning, ours under a ``setting``, or why nothing does."""
    if void_relearning(task):
        return ("The paper's figures of relearning world facts are void: the released attack trained edit targets in place of true "
                "answers. So there is nothing to put ours beside.")  # fmt: skip
    return ("Mean probability of the true answer, renormalized over the answers, after relearning: the paper's (athletes, three large "
            f"models) and ours under {setting}. The paper has no line for the unedited model. Other models, other facts: compare the order "
            "of the lines, not the numbers.")  # fmt: skip


# Probes after athlete edits, rows in the order of _ARMS: true answer and edit target of edited athletes, sport of other
# athletes, each a mean over layers; then the first two at the last layer. Recomputed from the probe results of the same runs.
_PROBES = (
    (0.187, 0.755, 0.896, 0.000, 1.000), (0.573, 0.377, 0.913, 0.333, 0.667), (0.517, 0.443, 0.915, 0.315, 0.685),
    (0.893, 0.073, 0.915, 0.531, 0.466), (0.922, 0.044, 0.915, 0.935, 0.065), (0.297, 0.656, 0.915, 0.023, 0.977),
    (0.294, 0.660, 0.911, 0.036, 0.964), (0.307, 0.625, 0.912, 0.039, 0.961), (0.300, 0.636, 0.905, 0.018, 0.982),
)  # fmt: skip


def published_probes(localizations: Sequence[str]) -> pd.DataFrame:
    """The paper's probes at the last token after athlete edits, one row a localization of those asked for that it has."""
    rows = dict(zip(_ARMS, _PROBES, strict=True))
    columns = ["true answer", "edit target", "other athletes", "true answer, last layer", "edit target, last layer"]
    found = [(label(key), *rows[key]) for key in localizations if key in rows]
    return pd.DataFrame(found, columns=["localization", *columns])

"""The paper's figures, to stand beside ours: means over its three models and its splits, from the authors' released runs.

Source: `results_rebuttal` and `results_rebuttal_counterfact` of the repository magikarp01/mechanistic-unlearning (November
2024), final iteration of each run, one run each. The authors' accuracies are mean probabilities of the label: renormalized
over four sports for athletes, over all tokens for CounterFact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from mechlib.report.tables import label

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

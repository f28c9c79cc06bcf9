"""Figures. Each takes rows and returns a plotly figure that explains itself."""

from mechlib.report.figures.attacks import attack_bars, leak_curves, relearning_curves
from mechlib.report.figures.audits import interval_dots, layer_curves
from mechlib.report.figures.comparison import agreement_dots, circuit_curves, draw_distribution
from mechlib.report.figures.depth import depth_dots
from mechlib.report.figures.editing import learning_curves, mask_curves, outcome_bars, size_curves, transfer_map, trial_dots
from mechlib.report.figures.facts import format_accuracies, known_by_answer, known_by_relation
from mechlib.report.figures.gaps import gap_dots
from mechlib.report.figures.localization import localization_map, path_effects, position_map, probe_curves, score_map
from mechlib.report.figures.planted import named_layers, planted_dots, planted_layers, probes_by_place
from mechlib.report.figures.profiles import layer_profiles
from mechlib.report.figures.scoreboard import attack_map

__all__ = [
    "agreement_dots", "attack_bars", "attack_map", "circuit_curves", "depth_dots", "draw_distribution", "format_accuracies", "gap_dots",
    "interval_dots", "known_by_answer", "known_by_relation", "layer_curves", "layer_profiles", "leak_curves", "learning_curves",
    "localization_map", "mask_curves", "named_layers", "outcome_bars", "path_effects", "planted_dots", "planted_layers", "position_map",
    "probe_curves", "probes_by_place", "relearning_curves", "score_map", "size_curves", "transfer_map", "trial_dots",
]  # fmt: skip

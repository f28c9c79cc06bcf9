"""Figures. Each takes rows and returns a plotly figure that explains itself."""

from mechlib.report.figures.comparison import agreement_dots, circuit_curves, draw_distribution
from mechlib.report.figures.editing import learning_curves, outcome_bars, transfer_map
from mechlib.report.figures.facts import format_accuracies, known_by_answer, known_by_relation
from mechlib.report.figures.localization import localization_map, path_effects, position_map, probe_curves, score_map

__all__ = [
    "agreement_dots", "circuit_curves", "draw_distribution", "format_accuracies", "known_by_answer", "known_by_relation",
    "learning_curves", "localization_map", "outcome_bars", "path_effects", "position_map", "probe_curves", "score_map", "transfer_map",
]  # fmt: skip

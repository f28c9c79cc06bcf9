"""Which tests a mutant of a file has to survive: the fast ones that are about it."""

from __future__ import annotations

COVERING: dict[str, tuple[str, ...]] = {
    "mechlib/components.py": ("tests/models/test_components.py", "tests/localize/test_registry.py"),
    "mechlib/edit/delta.py": ("tests/edit/test_delta.py",),
    "mechlib/edit/trainable.py": ("tests/edit/test_train_weights.py", "tests/edit/test_less_memory.py"),
    "mechlib/edit/weight_masking.py": ("tests/edit/test_weight_masking.py",),
    "mechlib/facts/whole_answers.py": ("tests/facts/test_split_by_answer.py",),
    "mechlib/localize/budget.py": ("tests/localize/test_budget.py",),
    "mechlib/localize/controls.py": ("tests/localize/test_controls.py",),
    "mechlib/patching/scores.py": ("tests/patching/test_scores.py",),
    "mechlib/evals/answers.py": ("tests/evals/test_evals.py", "tests/evals/test_whole_answers.py"),
    "mechlib/evals/hearing.py": ("tests/evals/test_whole_answers.py", "tests/evals/test_evals.py"),
    "mechlib/evals/damage.py": ("tests/evals/test_evals.py",),
    "mechlib/evals/latent.py": ("tests/evals/test_latent.py",),
    "mechlib/evals/depth.py": ("tests/evals/test_depth.py",),
    "mechlib/evals/mechanisms.py": ("tests/evals/test_mechanisms.py",),
    "mechlib/stats/bootstrap.py": ("tests/stats/test_stats_bootstrap.py", "tests/stats/test_stats_recovery.py"),
    "mechlib/stats/clustered.py": ("tests/stats/test_stats_clustered.py",),
    "mechlib/stats/comparison.py": ("tests/stats/test_stats_comparison.py",),
    "mechlib/stats/interval.py": ("tests/stats/test_stats.py",),
    "mechlib/stats/leakage.py": ("tests/stats/test_stats_leakage.py",),
    "mechlib/stats/p_values.py": ("tests/stats/test_stats_p_values.py",),
    "mechlib/stats/recovery.py": ("tests/stats/test_stats_recovery.py",),
}

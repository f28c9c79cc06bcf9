"""Rows of attacks by hand."""

import math

HARD, SOFT = ("LoRA 8, 0.001", 10), ("LoRA 8, 0.0001", 10)
BEFORE = ("none", 0)


def row(localization, group, number, correct, at=BEFORE, forget_set=0, **more):
    """One answer under an attack."""
    setting, step = at
    return {"localization": localization, "attack": "relearning", "forget_set": forget_set, "seed": 0, "fold": number % 2,
            "setting": setting, "step": step, "group": group, "relation": "sport", "subject": f"{group} {forget_set}.{number}",
            "correct": correct, "edited": not correct, "probability": float(correct), "log_probability": math.log(0.1 + 0.8 * correct),
            **more}  # fmt: skip


def answers(localization, at, shares, n_sets=1, n_facts=10, **more):
    """Ten facts a group and set, of which this share is answered truly."""
    return [row(localization, group, number, number < share * n_facts, at, forget_set, **more)
            for group, share in shares.items() for forget_set in range(n_sets) for number in range(n_facts)]  # fmt: skip


def attacked(localization, hard, soft=None, before=None, **more):
    """A model before an attack and at one or two settings of it."""
    rows = answers(localization, BEFORE, before or {"forget": 0.1, "maintain": 1.0, "unknown": 0.2}, **more)
    rows += answers(localization, HARD, hard, **more)
    return rows + (answers(localization, SOFT, soft, **more) if soft else [])


def line(table, localization, at):
    """The only line of a localization at a setting."""
    (found,) = [one for one in table.to_dict("records") if (one["localization"], one["setting"], one["step"]) == (localization, *at)]
    return found


STUDY = [
    *attacked("unedited", {"forget": 0.9, "maintain": 1.0, "unknown": 0.4}, {"forget": 0.9, "maintain": 1.0, "unknown": 0.2},
              before={"forget": 1.0, "maintain": 1.0, "unknown": 0.2}),
    *attacked("fact_lookup", {"forget": 0.5, "maintain": 0.9, "unknown": 0.3}, {"forget": 0.3, "maintain": 1.0, "unknown": 0.2}),
    *attacked("random_mlps", {"forget": 0.8, "maintain": 0.8, "unknown": 0.3}, {"forget": 0.6, "maintain": 1.0, "unknown": 0.2}),
]  # fmt: skip

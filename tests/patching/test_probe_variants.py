"""Other probes read the same streams in the same folds, and say so where there is too little to fit them on."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import StratifiedKFold

from mechlib.patching.probe_variants import probe_variants
from mechlib.patching.probing import CLASSIFIERS, USED, cross_validate

ANSWERS = ["baseball", "basketball", "football"] * 14
MAKERS = {
    "ridge 100": lambda: RidgeClassifier(alpha=100),
    "ridge 1000": lambda: RidgeClassifier(alpha=1000),
    "ridge 10000": lambda: RidgeClassifier(alpha=10000),
    "logistic": lambda: LogisticRegression(C=1.0, max_iter=1000),
}


def streams(telling=(0.0, 0.6, 3.0)):
    """A layer for each number: how far the answers stand apart there, in standard deviations."""
    draw = np.random.default_rng(4)
    centres = {answer: draw.normal(size=12) for answer in sorted(set(ANSWERS))}
    return [np.array([far * centres[answer] + draw.normal(size=12) for answer in ANSWERS]).astype(np.float32) for far in telling]


def by_hand(features, answers, make, folds, seed):
    """Right answers of probes that are fitted and asked one fold after the other."""
    answers, right = np.array(answers), 0
    for fitted, held_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, answers):
        mean, deviation = features[fitted].mean(0), features[fitted].std(0)
        probe = make().fit((features[fitted] - mean) / deviation, answers[fitted])
        right += int(np.sum(probe.predict((features[held_out] - mean) / deviation) == answers[held_out]))
    return right


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_row_is_what_such_a_probe_gets_right_of_the_facts_held_out(kind):
    read = streams()
    rows = [row for row in probe_variants(read, ANSWERS, 15, seed=3) if row.classifier == kind]
    assert [(row.facts, row.layer, row.total) for row in rows] == [("all", 1, 42), ("all", 2, 42), ("traced", 1, 15), ("traced", 2, 15)]
    for row in rows:
        assert row.correct == by_hand(read[row.layer][: row.total], ANSWERS[: row.total], MAKERS[kind], 5, 3)
    assert rows[1].correct > rows[0].correct


def test_kinds_of_probe_differ_and_the_study_s_own_is_the_one_of_the_probe_runs():
    read = streams()
    rows = [row for row in probe_variants(read, ANSWERS, 15, seed=3) if row.facts == "all"]
    probed = cross_validate({"subject": read, "prompt": read}, ANSWERS, seed=3)
    own = [row.correct for row in probed if row.position == "subject" and row.layer > 0]
    assert [row.correct for row in rows if row.classifier == USED] == own
    assert len({tuple(row.correct for row in rows if row.classifier == kind) for kind in CLASSIFIERS}) > 1


@pytest.mark.parametrize(("answers", "folds"), [("aabb", 2), ("aaabbc", 3), ("aaaaaaabb", 5)])
def test_few_facts_are_divided_into_as_many_folds_as_the_commonest_answer_has(answers, folds, recwarn):
    read = [layer[: len(answers)] for layer in streams()]
    rows = probe_variants(read, list(answers), len(answers), seed=0)
    assert [row for row in rows if row.facts == "all"] == [
        type(row)(row.classifier, "all", row.layer, by_hand(read[row.layer], list(answers), MAKERS[row.classifier], folds, 0), len(answers))
        for row in rows if row.facts == "all"
    ]  # fmt: skip
    assert len(rows) == 2 * 2 * len(CLASSIFIERS)


@pytest.mark.parametrize("first", ["a", "aaaa", "abc", "aaab"])
def test_where_nothing_can_be_fitted_on_the_traced_facts_they_have_no_rows(first):
    answers = [*first, *"aabb"]
    rows = probe_variants([layer[: len(answers)] for layer in streams()], answers, len(first), seed=0)
    assert {row.facts for row in rows} == {"all"}

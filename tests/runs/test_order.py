"""Neither the order of runs, nor how many compute at once, nor threads, batches and what saves memory changes a number beyond rounding."""

from dataclasses import replace

import pytest
import torch
from small_book import save_facts, save_model

from mechlib.evals.answers import answer_prompts
from mechlib.runs.pool import Pool
from mechlib.runs.runner import Runner
from mechlib.runs.stages import answers
from mechlib.runs.store import Store
from mechlib.runs.study import Study
from tests.golden.kept import kept, worst

# A share of the largest number of a column: the same numbers are added up in another order, in float32.
ROUNDING, TRAINED = 1e-5, 1e-4


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("order")
    return Study(model=str(save_model(folder / "tiny")), facts=str(save_facts(folder / "facts.csv")), known_threshold=0.0,
                 forget_set_size=4, forget_sets=2, steps=2, localizations=("causal_tracing_mlps", "random_mlps"), formats=("question",),
                 learning_rate=1e-2, precision="float32")  # fmt: skip


def wanted(study):
    """Answers and side effects after edits, for two localizations and two forget sets."""
    return [spec for need in ("prompting", "damage") for _, spec in study.runs(need)]


@pytest.fixture(scope="module")
def plain(study, tmp_path_factory):
    """Where all runs are, one computed after the other, and these in their order with what they start from."""
    store = Store(tmp_path_factory.mktemp("plain"))
    order = Runner(study, store).missing(wanted(study))
    assert {spec.stage.name for spec in order} >= {"known", "evidence", "localize", "texts", "edit", "answers", "damage"}
    Runner(study, store).compute(wanted(study))
    return store, order


def same(plain, other, tolerance=ROUNDING):
    """Every row and value of the runs that both have; the first that is off is named."""
    store, order = plain
    for spec in order:
        column, far = worst(*(kept(spec.id, spec, one.read(spec)) for one in (store, other)))
        assert far <= tolerance, f"{spec.label}: {column} is off by {far:.2g}"


def test_the_order_of_runs_changes_nothing(study, plain, tmp_path):
    said, other = [], Store(tmp_path)
    Runner(study, other, said.append).compute(wanted(study)[::-1])
    assert len(said) == len(plain[1]) and said[-1].count(plain[1][-1].label) == 0
    same(plain, other)


def test_nothing_is_carried_from_run_to_run(study, plain, tmp_path):
    """Each run with a model that was just loaded."""
    other = Store(tmp_path)
    for spec in plain[1]:
        Runner(study, other).compute([spec])
    same(plain, other)


def test_jobs_change_nothing(study, plain, tmp_path):
    other = Store(tmp_path)
    with Pool([(study, wanted(study))], other, 2, lambda _: None) as pool:
        pool.wait([(study, wanted(study))])
    same(plain, other)


def test_threads_change_nothing(study, plain, tmp_path):
    """Of one edit, and all that it starts from: a second thread is slow where something else runs beside the tests."""
    before, other = torch.get_num_threads(), Store(tmp_path)
    damage = study.runs("damage")[0][1]
    torch.set_num_threads(2)
    try:
        order = Runner(study, other).missing([damage])
        Runner(study, other).compute([damage])
    finally:
        torch.set_num_threads(before)
    assert len(order) > 5
    same((plain[0], order), other)


def test_how_many_prompts_are_asked_at_once_changes_nothing(study, plain, tmp_path, monkeypatch):
    other, sizes = Store(tmp_path), []
    monkeypatch.setattr(answers, "answer_prompts", lambda *given, **more: sizes.append(1) or answer_prompts(*given, **more, batch_size=5))
    Runner(study, other).compute(wanted(study))
    assert sizes
    same(plain, other)


def test_micro_batches_and_checkpointing_change_no_run_of_a_study(study, plain, tmp_path):
    frugal, other = replace(study, micro_batch=1, checkpointing=True), Store(tmp_path)
    assert [spec.id for spec in wanted(frugal)] == [spec.id for spec in wanted(study)]
    Runner(frugal, other).compute(wanted(frugal))
    same(plain, other, TRAINED)

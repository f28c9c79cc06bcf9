"""Golden rows: what every stage gives on a tiny model is what it gave when its rows were written (tests/golden/write.py)."""

import pytest

from mechlib.attacks.registry import ATTACKS
from mechlib.runs.stages import STAGES
from mechlib.runs.stages.evidence import METHODS
from tests.golden.bench import Bench
from tests.golden.cases import CASES
from tests.golden.kept import ROWS, beyond, kept, read
from tests.golden.versions import names, where


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", CASES)
def test_rows_are_those_that_were_kept(bench, name):
    case = CASES[name]
    spec = case.spec(bench.runner(case.study).study)
    now, before, stage = kept(name, spec, bench.result(case.study, spec)), read(name), names(spec)
    assert before, f"{name} has no golden rows: run `python -m tests.golden.write`"
    column, far, most = beyond(before, now) or ("no column", 0.0, 0.0)
    assert column == "no column", (
        f"{name}, stage {stage}: {column} differs by {far:.2g} of its largest number, and {most:.0e} may be rounding. "
        f"Raise the version of {stage} in {where(spec)} if this is meant (or, if one of its inputs changed, theirs: "
        f"{', '.join(now.versions)}), and run `python -m tests.golden.write`"
    )
    same = (now.stage, now.versions) == (before.stage, before.versions)
    assert same, f"{name}: a version was raised or a stage renamed, and the rows hold: run `python -m tests.golden.write`"


def test_every_stage_method_attack_and_null_has_a_case(bench):
    specs = [case.spec(bench.runner(case.study).study) for case in CASES.values()]
    assert {spec.stage for spec in specs} == set(STAGES)
    for wanted in (*METHODS, *ATTACKS, *(null.replace(" ", "_") for plan in ATTACKS.values() for null in plan.nulls)):
        assert any(wanted in name for name in CASES), wanted


def test_no_rows_are_of_no_case():
    assert {path.stem for path in ROWS.glob("*.json")} == set(CASES)

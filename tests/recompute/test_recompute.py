"""The verdicts of the book against a second computation that shares no line with it: from kept rows, and from rows made to fail gates."""

import ast
import dataclasses
import math
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from exact import beyond, equivalent, first_effect, flips_at_least, holm, share_low, sign_flip, student, upper_end
from kept import read, studies
from places import sought
from recompute import lines
from scipy.stats import t

from mechlib.components import Localization
from mechlib.report import verdicts
from mechlib.report.able import able
from mechlib.report.claims import Claims, declared
from mechlib.report.gates import Evidence
from mechlib.report.inside import probed
from mechlib.report.notebooks import page_parameters
from mechlib.report.page import OpenPage
from mechlib.report.parameters import read_pages
from mechlib.report.parameters import studies as studies_of_page
from mechlib.report.tables import void_formats
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store
from mechlib.runs.tasks import TASKS
from mechlib.stats import clustered, compare, mixed, share

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
ROWS = ROOT / "book" / "results" / "rows"
DECLARED = tomllib.loads((ROOT / "book" / "claims.toml").read_text())


def test_the_script_knows_nothing_of_the_library():
    script = ("exact", "kept", "outcomes", "places", "stopped", "recompute")
    for name in script:
        tree = list(ast.walk(ast.parse((HERE / f"{name}.py").read_text())))
        named = {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
        named |= {node.module for node in tree if isinstance(node, ast.ImportFrom)}
        assert {one.split(".")[0] for one in named} <= {*sys.stdlib_module_names, "numpy", *script}


@pytest.fixture(scope="module")
def runs():
    """All kept rows, read once for all tests."""
    return read(ROWS)


@pytest.fixture(scope="module")
def judged(runs):
    """The studies among them that a claim can be about, each with the evidence that the library makes of it."""
    return [(study, evidence(study)) for study in (*studies(runs), *sought(runs)) if study["task"]]


def evidence(study):
    """What the library draws verdicts from, out of the rows that the script found."""
    if "missed" in study:  # what is named in vain decides nothing
        missed = {arm: {place: (share, 0.0) for place, share in own.items()} for arm, own in study["missed"].items()}
        return Evidence(study["task"], "", missed=missed, learned=study["learned"])
    trains = {arm: {number: Localization.from_json(one) for number, one in sets.items()} for arm, sets in study["trains"].items()}
    asked, trained = study["answers"], study["trained"]
    void = void_formats(asked)
    formats = dict.fromkeys(row["format"] for row in asked if row["group"] == "forget")
    transfer = tuple(form for form in formats if form not in (*void, trained))
    given = able(study["known"], [row for rows in study["beyond"].values() for row in rows], study["threshold"])
    return Evidence(study["task"], trained, asked, study["relearning"], transfer, trains, trained in void, study["sites"],
                    TASKS[study["task"]].beyond, given, probed(study["inside"]), study["zeroed"])  # fmt: skip


def same(found, drawn):
    """The script's lines are the library's: verdict, what stopped it, differences by set, p, Holm's p."""
    assert [(one["claim"], one["rival"]) for one in found] == [(one.claim.key, one.rival) for one in drawn]
    for one, other in zip(found, drawn, strict=True):
        assert one["verdict"] == other.verdict, (one, other)
        if other.odds is None:
            continue
        assert one["stopped"] == other.stopped
        if "effect" in one:
            assert one["n_sets"] == other.odds.n_sets
            assert one["effect"][0] == pytest.approx(other.odds.difference.estimate, rel=1e-4, abs=1e-6)
            assert (one["p"], one["adjusted"]) == pytest.approx((other.odds.p, other.odds.adjusted), rel=0.03, abs=1e-4)
            continue
        gaps = list(one["gaps"].values())
        assert (len(gaps), sum(gaps) / len(gaps)) == (other.odds.n_sets, pytest.approx(other.odds.difference.estimate, abs=1e-9))
        if other.odds.p is None or one["stopped"] == "not a contrast":
            continue
        # Above twenty sets the library draws a million flips; the script takes all.
        exact = len(gaps) <= 20
        near = {"abs": 1e-12 if exact else 5 * math.sqrt(other.odds.p / 2**20) + 1e-6}
        assert one["p"] == pytest.approx(other.odds.p, **near)
        assert one["adjusted"] == pytest.approx(other.odds.adjusted, abs=near["abs"] * one["of"])


def test_kept_rows_give_the_same_verdicts_twice(judged):
    """Whatever is kept, also rows that no page asks for today."""
    assert judged
    compared = 0
    for study, own in judged:
        mine = lines(DECLARED, study)
        same(mine, verdicts.lines(declared(), own))
        compared += sum("gaps" in one or "effect" in one for one in mine)
    assert compared, "no claim has rows: was anything kept?"


@pytest.mark.parametrize(("every", "said"), [(2, "not testable"), (4, "not run yet")])
def test_both_say_alike_which_claims_a_model_cannot_be_asked_about(judged, every, said):
    """Every second of the known facts, or one of four, is not given in the formats that only some claims ask for."""
    study = next(one for one, _ in judged if one["task"] == "sports-athlete-editing" and one["known"])
    told = {form for claim in DECLARED["claim"] if claim["task"] == study["task"] for form in claim.get("formats", [])}
    sure = [row for row in study["known"] if row["probability"] > study["threshold"]]
    made = {form: [{**row, "format": form, "correct": n % every > 0} for n, row in enumerate(sure)] for form in told}
    made_up = {**study, "beyond": made}
    found = lines(DECLARED, made_up)
    same(found, verdicts.lines(declared(), evidence(made_up)))
    by_claim = {key: {one["verdict"] for one in found if one["claim"] == key} for key in ("words-athletes", "languages-athletes")}
    assert by_claim["words-athletes"] == {said}
    # What the model can be asked about may have been asked.
    assert ("not testable" in by_claim["languages-athletes"]) == (said == "not testable")


@pytest.mark.parametrize("margin", [0.4, 4.0])
def test_without_gates_every_verdict_of_the_rule_is_the_same(judged, margin):
    """Each comparison as a family of its own, which eight sets can decide."""
    gates = {"success": 0.01, "edited": 0.0, "overlap": 1.0, "taught": 0.0, "kept": 0.0, "able": 0.0}
    found = set()
    for study, own in judged:
        for claim in [one for one in DECLARED["claim"] if one["task"] == study["task"] and one["rule"] == "sign-flip"]:
            for rival in claim["rivals"]:
                alone = {"gates": gates, "claim": [{**claim, "rivals": [rival], "counterparts": [], "margin": margin}]}
                mine = lines(alone, study)
                same(mine, verdicts.lines(Claims.model_validate(alone), own))
                found |= {one["verdict"] for one in mine}
    assert found - {"not run yet"}


PAGES = [path for path in sorted((ROOT / "book" / "results").glob("*/*/*.ipynb")) if path.parent.name != "rows"]
JUDGED = {page.name: page for page in read_pages(ROOT / "book") if "page.verdicts" in page.path.read_text()}


@pytest.mark.parametrize("path", [path for path in PAGES if path.stem in JUDGED], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_pages_draw_the_verdicts_of_their_own_rows(path, runs, tmp_path):
    """A page asks for runs by their ids; the script is told these and reads the rest off the runs themselves."""
    parameters = page_parameters(path)
    for study in studies_of_page(JUDGED[path.stem], parameters):
        page = OpenPage(study, Runner(study, Store(tmp_path, ROWS), say=lambda _: None), parameters, name=path.stem)
        if study.kind.spread:
            wanted = _ids(study, "planted", "know", "looked_up", "found")
            if not wanted <= runs.keys():
                pytest.skip("not all rows of this page are kept")
            (found,) = sought({key: runs[key] for key in wanted})
            assert found["ids"] == _ids(study, "found")
            same(lines(DECLARED, found), page.verdicts)
            continue
        wanted = _ids(study, "edit", "prompting", "relearning", *page.decides)
        unedited = _ids(study, "know", "able", *(["localize"] if "zeroed" in page.decides else []))
        kept = {key: run for key, run in runs.items() if key in wanted | unedited}
        if kept.keys() != wanted | unedited:
            pytest.skip("not all rows of this page are kept")
        (found,) = studies(kept)
        assert found["ids"] == wanted
        same(lines(DECLARED, found), page.verdicts)


def _ids(study, *needs):
    return {spec.id for need in needs for _, spec in study.runs(need)}


# Statistics by themselves.
GAPS = np.random.default_rng(3).normal(-0.3, 0.6, (12, 9)).round(2).tolist()


@pytest.mark.parametrize("gaps", GAPS)
def test_both_find_the_same_p_interval_and_equivalence(gaps):
    found = compare({n: [gap] for n, gap in enumerate(gaps)}, {n: [0.0] for n in range(9)}, "lower", margin=0.4)
    assert sign_flip(gaps) == pytest.approx(found.p, abs=1e-12)
    for margin in (0.1, 0.4, 0.8, 1.6):
        assert equivalent(gaps, margin) == dataclasses.replace(found, margin=margin).equivalent, margin
    assert upper_end(gaps) == pytest.approx(clustered({n: [gap] for n, gap in enumerate(gaps)}).high, abs=1e-5)


def test_flips_by_hand():
    """Of 1, 2, 4 each sum is its own: 7 and -7 of eight; at least 5 are 5 and 7, or -5 and -7, too."""
    assert flips_at_least([1, 2, 4], 7) == 2 / 8
    assert flips_at_least([1, 2, 4], 5) == 4 / 8
    assert flips_at_least([1, 2, 4], 5, two_sided=False) == 2 / 8
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == {"a": 0.03, "c": 0.06, "b": 0.06}


@pytest.mark.parametrize("case", [(1.0, 1.0, 0.3), (0.0, 1.0, 0.3), (1.0, 0.0, 0.3), (0.0, 0.0, 0.3), (0.5, 0.2, 1.0)])
@pytest.mark.parametrize("seed", range(4))
def test_both_find_the_same_effect_of_a_mixed_model(case, seed):
    """Also where arms or sets differ by nothing, which is the edge of the model."""
    generator, (arms, sets, noise) = np.random.default_rng(seed), case
    terms = generator.normal(size=(14, 2))
    values = terms @ [-1.0, 0.3] + arms * generator.normal(size=14)
    values = values[:, None] + sets * generator.normal(size=4) + noise * generator.normal(size=(14, 4))
    effect, error, free = first_effect(values, terms)
    table = pd.DataFrame([{"arm": f"a{n}", "forget_set": k, "one": terms[n, 0], "two": terms[n, 1], "y": values[n, k]}
                          for n in range(14) for k in range(4)])  # fmt: skip
    found = mixed(table, "y", ["one", "two"])["one"]
    assert free == 11 and effect == pytest.approx(found.interval.estimate, abs=1e-6)
    assert error * student(0.975, free) == pytest.approx((found.interval.high - found.interval.low) / 2, rel=0.01)
    assert beyond(effect / error, free) == pytest.approx(found.p, rel=0.05, abs=1e-6)


@pytest.mark.parametrize("freedom", [1, 2, 7, 23, 127])
def test_quantiles_are_students(freedom):
    assert student(0.975, freedom) == pytest.approx(t.ppf(0.975, freedom), rel=1e-5)


@pytest.mark.parametrize("n_sets", [3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_both_find_the_same_lower_end_of_a_share(n_sets, seed):
    generator = np.random.default_rng(seed)
    values = {n: generator.integers(2, size=16).astype(float).tolist() for n in range(n_sets)}
    by_fact = {n: {f"{n}-{fact}": value for fact, value in enumerate(own)} for n, own in values.items()}
    expected = share(values) if n_sets >= 6 else share({0: [one for own in values.values() for one in own]})
    assert share_low(by_fact) == pytest.approx(expected.low, abs=1e-5)

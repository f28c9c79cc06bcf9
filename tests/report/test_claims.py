"""The claims file: every claim is whole, names what exists or will, and a wrong line is one clear error."""

import pytest
from small_book import ROOT

from mechlib.localize.registry import LOCALIZERS
from mechlib.report.claims import Claims, declared
from mechlib.report.published import published, published_probes, published_relearning
from mechlib.report.typed import TypedError, read_typed
from mechlib.runs.tasks import TASKS

FILE = ROOT / "book" / "claims.toml"


def test_arms_of_claims_by_sign_flips_on_edits_are_localizations():
    for claim in declared().claim:
        if claim.outcome in ("transfer", "relearning"):
            assert {claim.first, *claim.rivals} <= {*LOCALIZERS}, claim.key


def test_formats_that_claims_name_are_those_that_their_tasks_keep_for_them():
    for task, kind in TASKS.items():
        named = {form for one in declared().of_task(task) for form in one.formats}
        assert named == {*kind.beyond}, task


def test_the_questions_of_the_study_are_declared():
    claims = {one.key: one for one in declared().claim}
    for outcome in ("transfer", "relearning"):
        for task, family in (("world", "primary"), ("athletes", "secondary")):
            one = claims[f"{outcome}-{task}"]
            assert (one.outcome, one.family, len(one.rivals)) == (outcome, family, 8)
    assert {"depth-transfer", "depth-relearning", "planted-transfer", "planted-relearning", "planted-found", "words-athletes",
            "languages-athletes", "norm-world", "latent", "few-weights"} <= set(claims)  # fmt: skip


def test_the_primary_family_can_be_decided_at_the_sets_that_it_aims_at():
    """The least p of n sets is 2 / 2^n (2^20 flips at most): times all comparisons of the family it must be below .05."""
    for family in ("primary", "secondary"):
        own = [one for one in declared().claim if one.family == family and one.outcome in ("transfer", "relearning")]
        assert all(2.0 ** (1 - min(20, one.sets)) * sum(len(some.rivals) for some in own) <= 0.05 for one in own)


def figure(value):
    return f"{value:.3f}".removeprefix("0")


@pytest.mark.parametrize(("key", "table", "column", "names"), [
    ("transfer-world", lambda arms: published("counterfact-editing", arms), "letter choice: true",
     ("fact_lookup", "causal_tracing", "random_mlps", "all_mlps")),
    ("transfer-athletes", lambda arms: published("sports-athlete-editing", arms), "letter choice: true",
     ("fact_lookup", "causal_tracing", "random_mlps", "all_mlps")),
    ("words-athletes", lambda arms: published("sports-athlete-editing", arms), "letter choice: edit",
     ("fact_lookup", "causal_tracing", "random_mlps", "all_mlps")),
    ("latent", published_probes, "true answer", ("fact_lookup", "causal_tracing", "random_mlps", "all_mlps")),
    ("relearning-world", lambda _: published_relearning("counterfact-editing"), "forget relearned",
     ("fact_lookup", "causal_tracing", "random_mlps")),
    ("relearning-athletes", lambda _: published_relearning("sports-athlete-editing"), "forget relearned",
     ("fact_lookup", "causal_tracing", "causal_tracing_mlps", "random_mlps", "all_mlps")),
])  # fmt: skip
def test_the_released_numbers_are_those_of_the_table(key, table, column, names):
    (claim,) = [one for one in declared().claim if one.key == key]
    values = table(list(names)).set_index("localization")[column]
    for name in names:
        assert figure(values[LOCALIZERS[name].label]) in claim.released, name


@pytest.mark.parametrize(("line", "instead", "said"), [
    ('family = "primary"', 'family = "main"', "family"),
    ("success = 0.95", "success = 1.5", "gates.success"),
    ('task = "counterfact-editing"', 'tusk = "counterfact-editing"', "task"),
    ('family = "secondary"', 'family = "descriptive"', "neither rule nor margin"),
    ('key = "relearning-world"', 'key = "transfer-world"', "two claims have one key"),
    ("date = 2026-11-27", 'date = "soon"', "date"),
    ('rivals = ["late_window", "random_mlps"]', 'rivals = ["fact_lookup"]', "named twice"),
    ('claims = ["transfer-world"', 'claims = ["transfer-moon"', "a change is about no claim: transfer-moon"),
    ("[gates]", "[gates", "cannot be read"),
])  # fmt: skip
def test_a_wrong_line_is_one_clear_error(tmp_path, line, instead, said):
    text = FILE.read_text()
    assert line in text
    path = tmp_path / "claims.toml"
    path.write_text(text.replace(line, instead, 1))
    with pytest.raises(TypedError) as error:
        read_typed(path, Claims)
    assert said in str(error.value) and "\n" not in str(error.value)

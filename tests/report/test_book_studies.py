"""The studies of the book: what the file may say, what a page of theirs is asked with, and where it goes."""

import pytest
from small_book import ROOT

from mechlib.checks import ParameterError
from mechlib.report.book_studies import FILE, BookStudy, read_studies, shown_by, study_called
from mechlib.report.claims import Claims
from mechlib.report.folders import all_changes, place
from mechlib.report.parameters import page_values, parse, read_pages
from mechlib.report.standing import DECIDED_ON
from mechlib.report.typed import TypedError, read_typed

BOOK = read_pages(ROOT / "book")
COMMITTED = read_studies(ROOT / "book" / FILE)
MINE = BookStudy(key="mine", title="mine", task="counterfact-editing", profile="full", pages=["05_editing", "06_prompting"],
                 parameters={"SEEDS": 1, "FORMATS": ["one_shot", "statement"], "RELEARNING": {"ranks": [4], "steps": 3}})  # fmt: skip
TEXT = '[[study]]\nkey = "{key}"\ntitle = "t"\ntask = "{task}"\nprofile = "full"\npages = ["05_editing"]\n[study.parameters]\n{name} = 1\n'


def asked(text, profile="full"):
    values = page_values(BOOK, {**parse(text, BOOK), "PROFILE": profile})
    return values, all_changes(BOOK, values)


def test_the_committed_studies_can_be_asked_and_have_the_arms_that_the_claims_compare():
    claims = read_typed(ROOT / "book" / "claims.toml", Claims)
    pages = {page.name for page in BOOK}
    for one in COMMITTED:
        study = one.of("gemma-3-270m")
        assert set(one.pages) <= pages
        decided = [claim for claim in claims.of_task(one.task) if DECIDED_ON.get(claim.outcome) in one.pages and not claim.formats]
        ruled = [claim for claim in decided if claim.rule != "none"]
        assert bool(ruled) == bool({*one.pages} & {*DECIDED_ON.values()})
        assert all((claim.first in study.localizations or study.kind.spread) and study.size.n_sets <= claim.sets for claim in ruled)
        assert all({*study.localizations} & {*claim.rivals} for claim in decided if claim.rule == "sign-flip" and not study.kind.spread)
    assert {one.task for one in COMMITTED} >= {claim.task for claim in claims.claim if claim.family == "primary"}


def test_an_unknown_key_is_one_line_with_the_nearest():
    with pytest.raises(ParameterError, match="did you mean mine"):
        study_called("mien", [MINE])


@pytest.mark.parametrize("page", ["05_editing", "06_prompting", "11_relearning"])
def test_a_page_of_a_study_goes_to_the_folder_of_that_study_and_another_does_not(page, tmp_path):
    own = next(one for one in BOOK if one.name == page)
    values, changes = asked(MINE.words)
    found = shown_by(own, values[page], [MINE])
    assert (found is MINE) == (page in MINE.pages)
    where = place(tmp_path, own, values[page], changes, found.folder if found else "").relative_to(tmp_path)
    assert (where.parts[0] == "full-mine") == (page in MINE.pages)
    for other in (f"{MINE.words} SEED=1", MINE.words.replace("SEEDS=1", "SEEDS=2")):
        assert shown_by(own, asked(other)[0][page], [MINE]) is None
    assert shown_by(own, asked(MINE.words, "paper")[0][page], [MINE]) is None


def test_the_study_of_a_page_is_that_of_its_own_parameters():
    assert MINE.of("gemma-3-270m").formats == ("one_shot", "statement")
    assert MINE.of("gemma-3-270m", ["SEEDS"]).formats != ("one_shot", "statement") and MINE.of("gemma-3-270m", ["SEEDS"]).seeds == 1


@pytest.mark.parametrize(("text", "said"), [
    (TEXT.format(key="a", task="counterfact-editting", name="SEEDS"), "did you mean counterfact-editing"),
    (TEXT.format(key="a", task="counterfact-editing", name="SEDS"), "did you mean SEEDS"),
    (TEXT.format(key="a", task="counterfact-editing", name="MODEL"), "parameter 'MODEL'"),
    (TEXT.format(key="A b", task="counterfact-editing", name="SEEDS"), "study.0.key"),
    (2 * TEXT.format(key="a", task="counterfact-editing", name="SEEDS"), "two studies"),
    ("study = 3", "study"), ("[[", "cannot be read"),
])  # fmt: skip
def test_a_file_that_is_wrong_says_where(tmp_path, text, said):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(TypedError, match=said) as caught:
        read_studies(tmp_path / FILE)
    assert "\n" not in str(caught.value)


def test_a_book_without_the_file_has_none(tmp_path):
    assert read_studies(tmp_path / FILE) == []

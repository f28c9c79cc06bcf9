"""A page's card, its parameters, its title and the command that makes it again."""

import nbformat
import pytest
from small_book import ROOT
from test_front import CLAIMS, FOUND, RELEARNING, TRANSFER, line, standing

from mechlib.report import markup
from mechlib.report.book_studies import declared_studies
from mechlib.report.card import card, effective, parameters
from mechlib.report.page import open_page
from mechlib.report.reproduce import command, reproduce
from mechlib.report.standing import Standing, would_contradict
from mechlib.report.titles import own_title, titled_by, with_title
from mechlib.report.verdicts import DESCRIPTIVE, NOT_RUN
from mechlib.runs.study import Study


@pytest.mark.parametrize("claim", CLAIMS.claim, ids=lambda claim: claim.key)
def test_every_claim_says_on_its_card_what_would_contradict_it_and_what_would_change_it(claim):
    said = would_contradict(claim)
    words = {"sign-flip": "a gap above zero", "balanced": "within kinds of sets", "mixed model": "of fact lookup's MLPs",
             "none": "no rule was declared"}  # fmt: skip
    assert words[claim.rule] in said and (claim.margin is None or f"within {claim.margin:g}{claim.unit} of zero" in said)
    html = card(Study(), [standing(*(line(claim, rival) for rival in claim.rivals))], CLAIMS.gates)
    assert markup.text(said) in html and "Would change it" in html and "Verdict: <b>" in html


def test_a_card_has_the_claim_both_papers_numbers_ours_and_what_would_change_it():
    html = card(Study(), [standing(*FOUND)], CLAIMS.gates)
    for word in (TRANSFER.sentence, TRANSFER.place, ".423", "Causal tracing -1.9", "8 forget sets", "Would change it", "gemma-3-270m"):
        assert word in html, word
    attacked = card(Study(), [standing(line(RELEARNING, "causal_tracing", -1.0))], CLAIMS.gates, ("LoRA 8, 0.001", 8))
    assert "attack: LoRA 8, 1e-3, 8 steps" in attacked
    assert DESCRIPTIVE.capitalize() in card(Study(), [])
    assert "<details>" in card(Study(), [standing(*FOUND), Standing(RELEARNING, (line(RELEARNING, "all_mlps"),))], CLAIMS.gates)


def test_every_page_has_a_card_and_one_without_a_study_has_a_line():
    for path in sorted((ROOT / "book").glob("[0-9][0-9]_*.py")):
        assert ".banner(" in path.read_text(), path.stem
    html = open_page({"MODEL": "gemma-3-270m", "PROFILE": "quick"}, "20_paper").banner().data
    assert html.count(DESCRIPTIVE.capitalize()) == 1 and "Model <b>gemma-3-270m</b>.</div>" in html and "quick" not in html
    # It has no forget sets of its own, and shows those of full studies.
    assert "forget set" not in html and "<details>" not in html and "forget sets" in card(Study(), [])


def test_parameters_are_what_they_come_to():
    study = Study(seeds=5)
    assert effective(study, "SEEDS") == "5" and effective(study, "FORGET_SETS") == str(study.size.n_sets)
    assert "ranks" in effective(study, "RELEARNING") and "fact_lookup" in effective(study, "LOCALIZATIONS")
    assert effective(study, "OPTIMIZER") == "adamw" and effective(study, "DIVIDED_SETS") == str(study.size.n_sets)
    assert all("None" not in effective(study, name) for name in Study.names())
    assert {name for name in Study.names() if effective(study, name) == "as shipped"} <= {"FACTS", "WORLD_FACTS"}
    html = parameters(study, ["SEED", "SEEDS"], {"SEEDS": 5})
    assert html.index(">SEEDS<") < html.index(">SEED<")
    # What is seen before the list is unfolded holds no key of a parameter and no key of a value.
    summary = "<summary>Parameters ({})</summary>"
    many = {"SEEDS": 5, "LOCALIZATIONS": ("fact_lookup", "causal_tracing"), "RELEARNING": {"steps": 16}}
    assert summary.format("1 other than usual") in html and summary.format("all as usual") in parameters(study, ["SEED"], {})
    assert summary.format("3 other than usual") in parameters(study, list(many), many)


def test_the_command_of_a_page_says_all_that_is_not_as_usual():
    assert command("06_prompting", "world", "", "full", {"SEEDS": 1}) == "make execute STUDY=world PAGES=06"
    asked = command("06_prompting", "", "a b", "quick", {"FORMATS": ("one_shot", "cloze"), "RELEARNING": {"ranks": [8]}})
    assert asked == "make execute PAGES=06 MODEL=\"a b\" PROFILE=quick PARAMS=\"FORMATS=one_shot,cloze RELEARNING={'ranks':[8]}\""
    html = reproduce([{"commit": "0123456789", "machine": "M", "precision": "bfloat16", "seconds": 90}, {}], asked, 1)
    for word in ("01234567; not recorded", "M; not recorded", "bfloat16", "1 min 30 s for 2 runs", "1 of 2"):
        assert word in html, word


def test_a_title_says_what_a_page_was_made_with():
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Editing\n\nText.\n\n# Another")])
    with_title(page, titled_by("m", "full", "world facts"))
    assert page.cells[0].source == "# Editing · m, full, world facts\n\nText.\n\n# Another"
    assert own_title("Editing · m, full, world facts") == "Editing" and own_title("Editing") == "Editing"
    assert titled_by("m", "quick", "FACTS=a_b") == r"m, quick, FACTS=a\_b" and len(titled_by("m", "quick", "x" * 500)) < 100


def test_a_card_of_a_claim_that_was_not_run_names_the_page_that_decides_it():
    (claim, _) = (one for one in CLAIMS.claim if one.counterparts)
    unrun_, where = standing(*(line(claim, rival) for rival in claim.rivals)), "../full-next/25_next_door.html"
    told_ = card(Study(), [unrun_], CLAIMS.gates, elsewhere={claim.key: where})
    assert "Verdict: <b>not run here</b>" in told_ and f'<a href="{where}">' in told_
    assert f"Verdict: <b>{NOT_RUN}</b>" in card(Study(), [unrun_], CLAIMS.gates)
    run = [standing(*(line(claim, rival, -1.0) for rival in claim.rivals))]
    # Quick pages draw verdicts, too, and another study decides.
    assert where in card(Study(), run, CLAIMS.gates, elsewhere={claim.key: where}) and where not in card(Study(), run, CLAIMS.gates)


def test_a_page_names_the_page_that_decides_each_of_its_claims_and_not_itself():
    def elsewhere(name, **more):
        found = open_page({"MODEL": "gemma-3-270m", "PROFILE": "quick", "TASK": "sports-athlete-editing", "FORMATS": None, **more}, name)
        return found.banner.__self__._elsewhere

    full = {"transfer-athletes": "../full-athletes/06_prompting.html", "relearning-athletes": "../full-athletes/11_relearning.html",
            "languages-athletes": "../full-athletes/06_prompting.html"}  # fmt: skip
    # The page of all attacks shows claims that two others decide; the quick page of one of these is not the study's.
    for name in ("17_which_edit_lasts", "06_prompting"):
        assert full.items() <= elsewhere(name).items()
    study = next(one for one in declared_studies() if one.key == "athletes")
    own = elsewhere("06_prompting", **study.values)
    assert "transfer-athletes" not in own and own["relearning-athletes"] == full["relearning-athletes"]


def test_masks_are_trained_for_their_own_steps():
    claim = next(one for one in CLAIMS.claim if one.masked)
    html = card(Study(profile="full"), [standing(*(line(claim, rival, -1.0) for rival in claim.rivals))], CLAIMS.gates)
    assert html.count("masks of 50 steps") == 2 and "at most" not in html.partition("Would contradict")[0].replace("p at most", "")

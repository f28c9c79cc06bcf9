"""The map of the paper: complete, ours looked up and never typed, and a card with every field filled."""

import json
import re

import pytest
from attack_rows import row
from small_book import ROOT

from mechlib.components import Architecture, Component, Localization
from mechlib.report.book_studies import declared_studies
from mechlib.report.claims import declared
from mechlib.report.front import Decided
from mechlib.report.gates import Evidence
from mechlib.report.judged import Judged, in_words, judged, titles
from mechlib.report.judged import answered as answered_in
from mechlib.report.paper import Item, Ours, Paper, Row, Told, differences, mapped, needs, paper_map
from mechlib.report.paper_table import table
from mechlib.report.reproducibility import card
from mechlib.report.standing import standings
from mechlib.report.typed import TypedError, read_typed
from mechlib.report.verdicts import Line, lines
from mechlib.runs.specs import localizing as module
from mechlib.runs.store import Store, about_run, write_archive
from mechlib.runs.study import Study

BOOK = ROOT / "book"
FILE = BOOK / "paper.toml"
ARCH = Architecture(8, 2, 1, 4, 2, 8)
TASK = "sports-athlete-editing"
HOW = {"commit": "c" * 40, "machine": "a machine", "precision": "float32", "threads": 1, "seconds": 3600.0, "python": "3.11",
       "packages": {"torch": "9.9"}}  # fmt: skip


@pytest.fixture(autouse=True)
def named_models(monkeypatch):
    """A model's fingerprint is its name, so that no weights are looked for."""
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)


def answered(key, number, forget_set, form, group="forget", true=0.2, target=0.9):
    logs = {"log_probability": -3.0 if key == "fact_lookup" else -1.0, "target_log_probability": -0.01}
    shares = {"probability": true, "target_probability": target}
    return {**row(key, group, number, key == "unedited" or group == "maintain", forget_set=forget_set, format=form, **logs), **shares}


def trained(key, layers):
    return Localization.of(key, [Component(layer, "mlp") for layer in layers], ARCH, architecture=vars(ARCH))


@pytest.fixture
def study():
    return Study(task=TASK, forget_sets=8, seeds=1, localizations=("fact_lookup", "random_mlps"), formats=("one_shot", "question"))


@pytest.fixture
def ours(study):
    """Eight sets in which fact lookup gives away less; nothing was relearned."""
    asked = [answered(key, number, forget_set, form, group) for key in ("unedited", "fact_lookup", "random_mlps") for number in range(4)
             for forget_set in range(8) for form in ("one_shot", "question") for group in ("forget", "maintain")]  # fmt: skip
    trains = {key: dict.fromkeys(range(8), trained(key, layers))
              for key, layers in {"fact_lookup": (1, 2, 3, 5), "random_mlps": (6, 7)}.items()}  # fmt: skip
    found = Evidence(TASK, "one_shot", asked, (), ("question",), trains)
    return {TASK: Judged(study, found)}


def drawn(found):
    """By claim, how it stands, as the front page has it."""
    told = {one.key: [Line(one, rival) for rival in one.rivals] for one in declared().claim}
    for own in found.values():
        told |= {key: [one for one in lines(declared(), own.evidence) if one.claim.key == key] for key in told
                 if key in {one.key for one in declared().of_task(own.study.task)}}  # fmt: skip
    standing = {key: standings(own)[0] for key, own in told.items()}
    studies = {task: own.study for task, own in found.items()}
    return {key: Decided(one, studies.get(one.claim.task) if one.run else None, None) for key, one in standing.items()}


def row_of(item, found, rows=None):
    paper = Paper(item=[item], difference=mapped().difference)
    (row,) = paper_map(paper, Ours(drawn(found), found, titles(BOOK), rows or {}))
    return row


def here(item, found, rows=None):
    return [(one.about, *one.lines) for one in row_of(item, found, rows).here]


def item(**more):
    texts = {"section": "s", "place": "p", "shows": "what is shown", "paper": "1", "why": "for this reason"}
    return Item(**{**texts, "released": "2", **more})


SENTENCE = next(one.sentence for one in declared().claim if one.key == "transfer-athletes").rstrip(".")


def test_ours_is_looked_up_and_says_what_it_is_and_of_which_runs(ours):
    ((about, *said),) = here(item(claims=["transfer-athletes"]), ours)
    assert about.startswith(f"{SENTENCE}: supported 1, ") and about.endswith(" (quick, 8 forget sets)")
    assert said == ["minus random MLPs -2.00 [-2.00, -2.00] nats, 8 sets: supported"]
    asked = {"group": "forget", "column": "target_probability", "format": "question"}
    means = ("Fact lookup 0.900", "Random MLPs 0.900")
    assert here(item(task=TASK, asked=asked), ours) == [("mean probability of the edit target, question (quick, 8 forget sets)", *means)]
    said = here(item(task=TASK, layers_of="fact_lookup", pages=["06_prompting"]), ours)
    assert said == [("trained (quick, 8 forget sets)", "MLPs 1-3, 5"), ("Robustness across prompt formats",)]


def test_means_are_of_other_needs_where_no_verdict_rests_on_the_task(study, ours):
    """By hand: after the last of two steps, two sets of one and of two facts, which count alike; step 0 and other groups do not count.

    Of a study's eight sets those are counted that there are rows of.
    """
    def told(number, forget_set, step, true, group="forget"):
        return {**answered("fact_lookup", number, forget_set, study.trained_format, group, true), "step": step}

    behind = [told(0, 0, 4, 0.5), told(0, 1, 4, 0.2), told(1, 1, 4, 0.4), told(0, 0, 0, 0.9), told(0, 0, 4, 1.0, "maintain")]
    asked = {"group": "forget", "column": "probability"}
    soft = item(task=TASK, asked={**asked, "attack": "soft_prompt"})
    said = "mean probability of the true answer, trained prompt, half that was not taught, behind a soft prompt (quick, 2 forget sets)"
    assert here(soft, ours, {"soft_prompt": {TASK: (study, behind)}}) == [(said, "Fact lookup 0.400")]
    plain = item(task="full-sports-editing", asked=asked)
    said = "mean probability of the true answer, trained prompt (quick, 1 forget set)"
    assert here(plain, ours, {"trained": {"full-sports-editing": (study, behind[:1])}}) == [(said, "Fact lookup 0.500")]
    assert here(plain, ours) == here(plain, ours, {"trained": {"full-sports-editing": (study, [])}}) == [("not run yet",)]


def test_what_was_not_run_is_not_run_yet(ours):
    for one in (item(task=TASK, layers_of="causal_tracing"), item(task="counterfact-editing", layers_of="fact_lookup"),
                item(task=TASK, asked={"group": "forget", "column": "probability", "attack": "soft_prompt"})):  # fmt: skip
        assert here(one, ours) == here(one, {}) == [("not run yet",)]
    # Each of several claims is called by its sentence.
    for found in (ours, {}):
        claims = here(item(claims=["relearning-athletes", "transfer-world"]), found)
        assert [len(one) for one in claims] == [1, 1] and all(about.endswith(": not run yet") for about, in claims)
        assert [about.partition(":")[0] for about, in claims] == ["Athletes", "World facts"]
    assert here(item(not_testable="it needs what nobody has here."), ours) == [
        ("not testable here, because it needs what nobody has here.",),
    ]  # fmt: skip


def test_the_released_numbers_are_those_of_the_published_tables_with_their_measure(ours):
    for column, first, second in (("letter choice: edit", "0.862", "0.152"), ("letter choice: true", "0.033", "0.423")):
        one = item(released=None, task=TASK, pages=["06_prompting"], numbers={"table": "answers", "column": column})
        found = row_of(one, ours).released
        assert found.lines[:2] == (f"Fact lookup {first}", f"Causal tracing {second}")
        assert ("edit target" in found.about) == (column == "letter choice: edit") and found.about.endswith("by letters")
    with pytest.raises(ValueError, match="say in RELEASED what column nobody's"):
        item(released=None, task=TASK, pages=["06_prompting"], numbers={"table": "answers", "column": "nobody's"})


def test_the_map_has_a_name_three_cells_and_why_of_each_item_and_folds_many_lines():
    few, many = Told("a claim", ("1", "2", "3"), long=True), Told("another <b>", ("1", "2", "3", "<i>"), long=True)
    rows = [Row(item(section=section, pages=["06_prompting"]), Told("released"), (few, many)) for section in ("s", "s", "t")]
    html = table(rows)
    assert html.count('class="mech-section"') == 2 and html.count('class="mech-why"') == 3 and html.count("<td data-name=") == 9
    assert html.count("<summary>another &lt;b&gt;</summary>1<br>2<br>3<br>&lt;i&gt;</details>") == 3 == html.count("<details>")
    assert "<div>a claim:<br>1<br>2<br>3</div>" in html and "<b>what is shown</b> (p)" in html


def test_the_map_is_whole():
    found = mapped()
    assert {key for one in found.item for key in one.claims} == {one.key for one in declared().claim if not one.place.startswith("not in")}
    places = " ".join(one.place for one in found.item)
    assert {number for number in re.findall(r"Table (\d)", places)} == {"1", "2", "3"} and "Figure 1" in places
    assert {name for one in found.item for name in one.pages} <= set(titles(BOOK))
    # Every item can be shown, whatever was run.
    assert len(paper_map(found, Ours(drawn({}), {}, titles(BOOK)))) == len(found.item) and needs(found) == {"trained", "soft_prompt"}
    assert len(differences(found)) == len(found.difference) > 20


@pytest.mark.parametrize(("line", "instead", "said"), [
    ('place = "Figure 1"\n', "", "place"), ('pages = ["02_localization"]\nwhy = "A drawing', 'why = "A drawing', "say where ours is"),
    ('released = "a drawing"\n', "", "released runs"), ("[[difference]]", "[[differences]]", "difference"),
    ('layers_of = "fact_lookup"', 'ours = "3-7"', "ours"),
])  # fmt: skip
def test_a_wrong_line_is_one_clear_error(tmp_path, line, instead, said):
    text = FILE.read_text()
    assert line in text
    path = tmp_path / "paper.toml"
    path.write_text(text.replace(line, instead, 1))
    with pytest.raises(TypedError) as error:
        read_typed(path, Paper)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_card_counts_in_words_and_names_each_command_once():
    def judged(task, **more):
        return Judged(Study(task=task, **more), Evidence(TASK, "one_shot", (), (), ()))

    world = next(one for one in declared_studies() if one.key == "world").of("gemma-3-270m", ["FORGET_SETS", "SEEDS", "LOCALIZATIONS"])
    ours = {"a": judged("counterfact-editing", forget_sets=1, seeds=1), "b": judged("full-sports-editing", forget_sets=1, seeds=1),
            "c": Judged(world, Evidence("counterfact-editing", "one_shot", (), (), ()))}  # fmt: skip
    found = dict(card(Study(), {one.study: [HOW] for one in ours.values()}).itertuples(index=False))
    assert found["setup"].splitlines()[1:] == [
        "make execute MODEL=gemma-3-270m PROFILE=quick", "make execute STUDY=world MODEL=gemma-3-270m",
    ]  # fmt: skip
    assert "1 forget set of 16" in found["splits"] and "1 answer with" in found["splits"] and "12 forget sets of 16" in found["splits"]
    assert "_" not in found["splits"] and "(one-shot statement, above 0.5)" in found["splits"]
    assert "1 thread a run" in found["hardware"] and "1 repetition of an edit" in found["seeds"]
    assert "checkpoints 3 and 6, learning rates 5e-4" in found["attack"] and "each half is taught in turn" in found["attack"]
    for wrong in ("(s)", "(halves)", "banner", ",)", "1 forget sets", "1 threads"):
        assert all(wrong not in value for value in found.values()), wrong


FIELDS = {"code", "data", "splits", "seeds", "hardware", "software", "setup", "general text", "model", "precision", "time", "attack"}


@pytest.mark.parametrize("run", [True, False])
def test_every_field_of_the_card_is_filled(study, ours, run):
    found = dict(card(study, {study: [HOW, HOW]} if run else {}).itertuples(index=False))
    assert set(found) == FIELDS
    assert [name for name, value in found.items() if not value.strip() or "None" in value or "not recorded" in value] == []
    if run:
        assert "cccccccc" in found["code"] and found["time"].startswith("2.0 hours") and "torch 9.9" in found["software"]
        assert "8 forget sets of 16" in found["splits"] and "a machine" in found["hardware"]
    else:
        assert "no kept run" in found["code"]


def test_the_widest_study_whose_runs_are_all_there_is_found(tmp_path, study):
    """Pages of a model: of the wider study one run is missing; of two that are as wide, the one with more localizations counts."""
    book, store = tmp_path / "book", Store(tmp_path / "runs", tmp_path / "rows")
    narrow = {"TASK": TASK, "FORGET_SETS": 2, "LOCALIZATIONS": ["fact_lookup"], "FORMATS": ["one_shot", "question"], "SEEDS": 1}
    wide = {**narrow, "FORGET_SETS": 3}
    more = {**wide, "LOCALIZATIONS": ["fact_lookup", "random_mlps"]}
    for folder, parameters in (("quick", narrow), ("full", wide), ("later", more)):
        path = book / "results" / "gemma-3-270m" / folder / "06_prompting.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"metadata": {"mechlib": {"parameters": parameters}}}))
    (book / "06_prompting.py").write_text((BOOK / "06_prompting.py").read_text())

    def keep(parameters):
        found = Study(**{name.lower(): value for name, value in parameters.items()})
        runs = [one for need in ("edit", "prompting", "unedited") for one in found.runs(need)]
        for columns, spec in runs:
            edit, form = spec.stage.name == "edit", spec.settings.about.format.key
            value = {"localization": trained("fact_lookup", [1]).to_json()} if edit else {}
            rows = [] if edit else [answered(columns["localization"], number, columns["forget_set"], form) for number in range(4)]
            write_archive(store.kept / spec.stage.name / f"{spec.id}.json.gz", about_run(spec, rows, value, HOW, {}), rows)

    assert judged(book, "gemma-3-270m", store) == {}
    keep(narrow)
    (found,) = judged(book, "gemma-3-270m", store).values()
    assert found.study.size.n_sets == 2 and found.evidence.arms == ["fact_lookup"] and found.evidence.relearning == []
    assert "2 forget sets" in in_words({TASK: found}) and "relearning not run" in in_words({TASK: found})
    keep(wide)
    (found,) = judged(book, "gemma-3-270m", store).values()
    assert found.study.size.n_sets == 3
    assert answered_in(book, "gemma-3-270m", store, "soft_prompt") == {}  # no page that was executed asks for it
    ((own, rows),) = answered_in(book, "gemma-3-270m", store, "prompting").values()
    assert own == found.study and {row["forget_set"] for row in rows} == {0, 1, 2}
    assert found.study.localizations == ("fact_lookup",)
    keep(more)
    (found,) = judged(book, "gemma-3-270m", store).values()
    assert found.study.localizations == ("fact_lookup", "random_mlps")

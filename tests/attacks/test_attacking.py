"""Attacks as runs: who is attacked, what the attacker holds, who is asked, and that all of it leaves the model alone."""

from collections import Counter
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path

import pytest
from editing import bits, edited, same
from hypothesis import given
from hypothesis import strategies as st
from known_facts import ABOUT, FACTS, KNOW, PARTS
from tiny_models import tiny_model

from mechlib.attacks.attack import Attack, Attacked, Knowledge
from mechlib.attacks.registry import ATTACKS
from mechlib.edit.delta import FILE, Delta, EditError
from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, demonstration_subjects, prompts
from mechlib.runs.knowledge import halves, unknown_facts
from mechlib.runs.stages import answers as asking
from mechlib.runs.stages import attack as attacking
from mechlib.runs.stages.answers import AnswerSettings
from mechlib.runs.stages.attack import BEFORE, AttackSettings, attacked
from mechlib.runs.work import Context, Result, Work

ASKED = AnswerSettings(ABOUT, ("forget", "relearned", "maintain", "unknown"), n_maintain=6, n_unknown=5, seed=3)
TEXTS = [[1, *range(5 + number, 14 + number - number % 3)] for number in range(24)]


@pytest.fixture(scope="module")
def model():
    return tiny_model("gemma3")


@pytest.fixture(scope="module")
def edit(model, tmp_path_factory):
    """The stored result of an edit that can be seen in all answers."""
    folder = tmp_path_factory.mktemp("edit")
    edited(model, ("L1.mlp",), learning_rate=3e-2)[0].save(folder / FILE)
    return Result(folder=folder)


def run(attack, model, edit=None, fold=None, settings=None, progress=lambda _done, _of: None, **asked):
    """Rows of the stage with an attack of this function."""
    context = Context(model.spec, FACTS, progress=progress)
    context.model = model
    inputs = {"known": KNOW, "texts": Result([{"tokens": text} for text in TEXTS])} | ({} if edit is None else {"edit": edit})
    about = replace(ASKED, **asked)
    before = asking.answers(Work(context, replace(about, groups=("forget", "maintain", "unknown")), inputs, Path()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attacking, "ATTACKS", {"made up": Attack("made up", "Made up", 1, attack, "", {})})
        work = Work(context, AttackSettings("made up", about, settings or {}, fold), {**inputs, "before": before}, Path())
        return list(attacked(work).rows)


def nothing(model, _knowledge, _seed):
    return iter(())


def subjects(rows, *groups):
    return [row["subject"] for row in rows if row["group"] in groups]


def answers(rows, **about):
    """The rows with these columns, without those that an attack adds."""
    kept = [row for row in rows if all(row[name] == value for name, value in about.items())]
    return [{name: value for name, value in row.items() if name not in ("setting", "step", "group")} for row in kept]


@given(st.integers(0, 20))
def test_halves_are_exchanged_between_the_folds(count):
    facts = FACTS.facts[:count]
    (held, tested), (other_held, other_tested) = (halves(facts, fold) for fold in (0, 1))
    assert held == other_tested and tested == other_held
    assert (*held, *tested) == facts
    assert 0 <= len(tested) - len(held) <= 1
    assert halves(facts, None) == ((), facts)


def test_unknown_facts_are_those_that_were_answered_wrongly_and_without_certainty():
    wrong = {row["subject"] for row in KNOW.rows if not row["correct"] and row["probability"] < 0.5} - demonstration_subjects()
    found = unknown_facts(FACTS, KNOW.rows, 1000, seed=0)
    assert {fact.subject for fact in found} == wrong
    assert len(found) == len(wrong) < len(FACTS)
    few = unknown_facts(FACTS, KNOW.rows, 9, seed=0)
    assert few == found[:9]
    assert max(Counter(fact.answer for fact in few).values()) <= 4
    assert unknown_facts(FACTS, KNOW.rows, 9, seed=1) != few == unknown_facts(FACTS, KNOW.rows, 9, seed=0)
    assert unknown_facts(FACTS, KNOW.rows, 0, seed=0) == []


def test_nobody_of_a_demonstration_is_unknown():
    """However wrong the answer was: everybody's prompt shows the true one."""
    everything = [{**row, "correct": False, "probability": 0.0} for row in KNOW.rows]
    found = {fact.subject for fact in unknown_facts(FACTS, everything, 1000, seed=0)}
    assert found == FACTS.subjects - demonstration_subjects()
    assert FACTS.subjects & demonstration_subjects()


def test_an_open_relation_is_unknown_by_the_probability_over_all_tokens():
    fact = next(fact for fact in FACTS if fact.subject not in demonstration_subjects())
    row = {"relation": fact.relation, "subject": fact.subject, "open": True, "correct": False, "probability": 1.0}
    sure, unsure = (unknown_facts(FACTS, [{**row, "log_probability": value}], 9, seed=0) for value in (-0.1, -3.0))
    assert (sure, unsure) == ([], [fact])


@pytest.mark.parametrize("fold", [None, 0, 1])
def test_groups_are_disjoint_and_as_described(model, edit, fold):
    rows = run(nothing, model, edit, fold=fold)
    forget = PARTS.forget[1].facts
    held, tested = halves(forget, fold)
    assert subjects(rows, "forget") == [fact.subject for fact in tested]
    assert subjects(rows, "relearned") == [fact.subject for fact in held]
    assert subjects(rows, "maintain") == [fact.subject for fact in PARTS.maintain_test.facts[:6]]
    assert subjects(rows, "unknown") == [fact.subject for fact in unknown_facts(FACTS, KNOW.rows, 5, seed=3)]
    assert max(Counter(row["subject"] for row in rows).values()) == 1
    assert {(row["setting"], row["step"]) for row in rows} == {(BEFORE, 0)}


def test_the_folds_test_each_fact_once_and_never_one_that_is_held(model):
    folds = [run(nothing, model, fold=fold) for fold in (0, 1)]
    tested = [subject for rows in folds for subject in subjects(rows, "forget")]
    assert sorted(tested) == sorted(fact.subject for fact in PARTS.forget[1])
    for rows, other in (folds, reversed(folds)):
        assert subjects(rows, "relearned") == subjects(other, "forget")


def test_rows_before_an_attack_are_the_edited_model_s_answers(model, edit):
    rows = run(nothing, model, edit, fold=0)
    # Facts of the forget set have an edit target.
    facts = {fact.subject: fact for fact in (*FACTS, *PARTS.forget[1])}
    asked = prompts([facts[row["subject"]] for row in rows], FORMATS["one_shot"])
    changed = Delta.load(edit.folder / FILE).edited(model)
    expected = answer_prompts(changed, asked, whole=False)
    found = [{name: value for name, value in row.items() if name not in ("setting", "step", "group")} for row in rows]
    for one, answer in zip(found, expected, strict=True):
        assert one == pytest.approx({name: value for name, value in asdict(answer).items() if name != "group"}, abs=1e-5)
    # The edit shows: these are not the unedited model's.
    plain = [answer.log_probability for answer in answer_prompts(model, asked)]
    assert max(abs(one["log_probability"] - before) for one, before in zip(found, plain, strict=True)) > 0.1
    assert [row["log_probability"] for row in run(nothing, model, fold=0)] == pytest.approx(plain, abs=1e-5)


def test_the_model_is_asked_while_an_attack_holds_it(model, edit):
    """A fake attack that yields the model as it is, changed, and asked in other words."""
    seen = []

    def fake(model, knowledge, seed, *, factor):
        seen.append((knowledge, seed))
        yield Attacked("as it is", 1, model)
        weight = model.parameters["model.layers.1.mlp.down_proj.weight"]
        kept, weight.data = weight.data, factor * weight.data
        yield Attacked("changed", 2, model)
        weight.data = kept
        first = prompts(PARTS.maintain_train.facts[:1], FORMATS["one_shot"])[0]
        yield Attacked("asked for another", 3, model, lambda _prompt: first)

    before, reports = bits(model), []
    rows = run(fake, model, edit, fold=1, settings={"factor": -2.0}, progress=lambda *counts: reports.append(counts))
    assert same(bits(model), before)
    assert list(dict.fromkeys((row["setting"], row["step"]) for row in rows)) == [
        (BEFORE, 0), ("as it is", 1), ("changed", 2), ("asked for another", 3)]  # fmt: skip
    for one, other in zip(answers(rows, step=1), answers(rows, step=0), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert answers(rows, step=1) != answers(rows, step=2)
    assert {row["subject"] for row in rows if row["step"] == 3} == {PARTS.maintain_train.facts[0].subject}
    groups = [[row["group"] for row in rows if row["step"] == step] for step in range(4)]
    assert groups == 4 * [groups[0]]
    assert reports == [(1, 2), (2, 3), (3, 4)]
    (knowledge, seed), held = seen[0], halves(PARTS.forget[1].facts, 1)[0]
    assert seed == ASKED.seed
    assert [prompt.fact for prompt in knowledge.relearn] == list(held)
    assert [prompt.fact for prompt in knowledge.retain] == list(PARTS.maintain_train)
    assert knowledge.texts == TEXTS
    asked = set(subjects(rows, "forget", "maintain", "unknown")) - {PARTS.maintain_train.facts[0].subject}
    assert asked.isdisjoint(prompt.fact.subject for prompt in (*knowledge.relearn, *knowledge.retain))


def test_the_attacker_s_original_is_the_unedited_model(model, edit):
    asked, found = prompts(PARTS.forget[1].facts, FORMATS["one_shot"]), []

    def fake(model, knowledge, seed):
        found.append([[answer.log_probability for answer in answer_prompts(one, asked)] for one in (knowledge.original, model)])
        yield Attacked("", 1, model)

    plain = [answer.log_probability for answer in answer_prompts(model, asked)]
    run(fake, model, edit, fold=0)
    run(fake, model, None, fold=0)
    (original, changed), (again, unedited) = found
    assert original == again == unedited == plain
    assert changed != plain


@pytest.mark.parametrize("fails", ["at once", "after one"])
def test_an_attack_that_fails_leaves_the_model_unedited(model, edit, fails):
    def fake(model, knowledge, seed):
        if fails == "after one":
            yield Attacked("", 1, model)
        raise ZeroDivisionError

    before = bits(model)
    with pytest.raises(ZeroDivisionError):
        run(fake, model, edit, fold=0)
    assert same(bits(model), before)


def test_an_edit_without_its_weights_is_not_taken_for_none(model):
    with pytest.raises(EditError, match="weights were not kept"):
        run(nothing, model, Result())


def test_what_the_model_cannot_tell_apart_is_not_asked(model, monkeypatch):
    gone = PARTS.forget[1].facts[0].subject
    monkeypatch.setattr(asking, "distinct", lambda _model, prompt: prompt.fact.subject != gone)
    everything = {fact.subject for fact in PARTS.forget[1]}
    assert set(subjects(run(nothing, model), "forget")) == everything - {gone}


def test_an_attack_attacks_the_edited_model_wherever_it_is_iterated(model, edit):
    """There is no context to leave: an attack that is begun, kept and gone on with later is about the same weights."""
    before, asked = bits(model), prompts(PARTS.forget[1].facts, FORMATS["one_shot"])
    changed, kept = Delta.load(edit.folder / FILE).edited(model), []

    def fake(model, knowledge, seed):
        kept.append(model)
        yield Attacked("", 1, model)

    run(fake, model, edit, fold=0)
    assert answer_prompts(kept[0], asked) == answer_prompts(changed, asked) != answer_prompts(model, asked)
    benign = ATTACKS["benign"].run
    known = Knowledge((), prompts(FACTS.facts[:4], FORMATS["one_shot"]), TEXTS, model)
    how = {"kinds": ["same template"], "sizes": [2, 4], "steps": 1, "learning_rate": 1e-2, "rank": 3}
    late = benign(changed, known, 0, **how)
    next(late)
    del changed
    assert same(bits(model), before)
    again = [answer_prompts(one.model, asked) for one in benign(Delta.load(edit.folder / FILE).edited(model), known, 0, **how)]
    assert [answer_prompts(one.model, asked) for one in late] == again[1:]
    assert same(bits(model), before)


@pytest.mark.parametrize("plan", ATTACKS.values(), ids=ATTACKS)
def test_settings_are_those_that_the_attack_takes(plan):
    taken = signature(plan.run).parameters.values()
    possible = {one.name for one in taken if one.kind is one.KEYWORD_ONLY}
    needed = {one.name for one in taken if one.kind is one.KEYWORD_ONLY and one.default is one.empty}
    for settings in (*plan.settings.values(), *({**plan.settings["full"], **null} for null in plan.nulls.values())):
        assert needed <= set(settings) <= possible
    assert {"quick", "full"} <= set(plan.settings)


def test_an_attack_is_listed_under_its_own_key():
    assert {key: attack.key for key, attack in ATTACKS.items()} == {key: key for key in ATTACKS}
    assert len({attack.label for attack in ATTACKS.values()}) == len(ATTACKS)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_runs_as_the_quick_profile_says(model, edit, name):
    plan, before = ATTACKS[name], bits(model)
    settings = {**plan.settings["quick"], **({"steps": 2} if "steps" in plan.settings["quick"] else {})}
    settings |= {"checkpoints": [1, 2]} if "checkpoints" in settings else {}
    for null in (None, *plan.nulls.values()):
        rows = run(plan.run, model, edit, fold=0 if plan.folds else None, settings={**settings, **(null or {})})
        assert len({(row["setting"], row["step"]) for row in rows}) > 1
        assert len(rows) % len(answers(rows, setting=BEFORE)) == 0
        assert all(0 <= row["probability"] <= 1 for row in rows)
    assert same(bits(model), before)


def test_seeds_are_the_attacker_s(model, edit):
    """The same seed, the same attack."""
    plan = ATTACKS["benign"]
    settings = {**plan.settings["quick"], "kinds": ["same template"], "steps": 2, "learning_rate": 1e-2}
    one, other, third = (run(plan.run, model, edit, seed=seed, settings=settings, n_unknown=0) for seed in (0, 0, 1))
    assert one == other != third

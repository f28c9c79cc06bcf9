"""A run's id is what is asked: everything that is asked, and nothing of how it is computed or written down."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, fields, is_dataclass, make_dataclass, replace
from pathlib import Path

import pytest

from mechlib.attacks.attack import Attack
from mechlib.attacks.registry import ATTACKS
from mechlib.facts import FORMATS, FactSet, athletes, world_facts
from mechlib.facts.relations import SPORT
from mechlib.localize.registry import LOCALIZERS
from mechlib.models import KNOWN
from mechlib.runs.parameters import Parameters
from mechlib.runs.spec import RunSpec, Stage, identity, no_parts
from mechlib.runs.stages import evidence
from mechlib.runs.study import Study
from mechlib.runs.work import Result

pytestmark = pytest.mark.precision

# Of the default study, on any machine and in any Python: whoever changes one of these has given the kept rows up.
LITERAL = {"known": "6f3ebc002367791e07b9", "edit": "0a9c02090b0133320ff0", "attack": "9c8f40abb65172f5b420"}
FINGERPRINT = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
TEXTS = {"texts", "other texts"}


@pytest.fixture(autouse=True)
def named_models(monkeypatch):
    """A model's fingerprint is its name, so that no weights are looked for."""
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)


def runs(study, seed=0):
    """One run of every kind by a name."""
    return {
        "known": study.known, "asked": study.asked_of_all("question", 9), "texts": study.text("train"), "other texts": study.text("damage"),
        **study.evidence, "circuits": study.circuits, "localize": study.localize("fact_lookup", 0, seed),
        "random": study.localize("random_mlps", 0, seed), "trial": study.trial("random", 1e-4, 1.0), "tune": study.tuning("random"),
        "edit": study.edit("random", 0, seed), "mask": study.mask("random", 0), "zeroed": study.zeroed("random", 0),
        "answers": study.answers("random", 0, seed, "one_shot"), "damage": study.damage("random", 0, seed),
        "before": study.before("random", 0, seed), "latent": study.latent("random", 0, seed),
        "consequences": study.consequences("random", 0, seed), **{name: study.attack(name, "random", 0, seed, 0) for name in ATTACKS},
    }  # fmt: skip


def ids(study=None, **parameters):
    return {name: spec.id for name, spec in runs(study or Study(**parameters)).items()}


def differing(before, after):
    return {name for name in before if before[name] != after[name]}


def changes(value):
    """Every way to change one part of a setting: its place, the new whole, and whether it counts."""
    match value:
        case _ if is_dataclass(value):
            for each in fields(value):
                for place, new, counts in changes(getattr(value, each.name)):
                    twin = copy(value)
                    object.__setattr__(twin, each.name, new)
                    yield (each.name, *place), twin, counts and each.metadata.get("identity", True)
        case Mapping():
            for name, inner in value.items():
                for place, new, counts in changes(inner):
                    yield (name, *place), {**value, name: new}, counts
            yield ("one more",), {**value, "one more": 1}, True
        case list() | tuple():
            yield ("longer",), (*value, *value[:1], 1), True
            for number, inner in enumerate(value):
                for place, new, counts in changes(inner):
                    yield (number, *place), (*value[:number], new, *value[number + 1 :]), counts
        case bool():
            yield (), not value, True
        case int() | float():
            yield (), value + 1, True
        case str():
            yield (), value + " ", True
        case None:
            yield (), "asked", True


@pytest.mark.parametrize("study", [
    {}, {"task": "counterfact-editing", "texts": "owner/corpus"},
    {"precision": "float32", "micro_batch": 4, "checkpointing": True, "seed": 3},
], ids=["sports", "world, corpus", "asked"])  # fmt: skip
def test_every_setting_counts_but_those_that_say_how(study):
    how = set()
    for name, spec in runs(Study(**study)).items():
        # Without the versions of methods: a setting counts by itself, also where it names one.
        spec = replace(spec, stage=replace(spec.stage, parts=no_parts))
        seen = {spec.id}
        for place, settings, counts in changes(spec.settings):
            other = replace(spec, settings=settings)
            if counts:
                assert other.id not in seen, (name, place)
                seen.add(other.id)
            else:
                assert other.id == spec.id, (name, place)
                how.add(place[-1])
    assert how == {"micro_batch", "checkpointing", "cards", "label"}


def test_stages_roles_and_inputs_count_and_labels_do_not():
    for name, spec in runs(Study()).items():
        assert replace(spec, label="another").id == spec.id
        assert replace(spec, stage=replace(spec.stage, name="another")).id != spec.id
        assert replace(spec, inputs={**spec.inputs, "more": Study().known}).id != spec.id, name
        for role, needed in spec.inputs.items():
            rest = {other: run for other, run in spec.inputs.items() if other != role}
            changed = replace(needed, stage=replace(needed.stage, version=99))
            others = (rest, {**rest, f"other {role}": needed}, {**rest, role: changed})
            assert len({replace(spec, inputs=inputs).id for inputs in (*others, spec.inputs)}) == 4, (name, role)


def test_each_declared_version_counts_where_its_method_is_used(monkeypatch):
    before = ids()
    for name, spec in runs(Study()).items():
        assert replace(spec, stage=replace(spec.stage, version=spec.stage.version + 1)).id != before[name]
    with monkeypatch.context() as patch:
        patch.setitem(ATTACKS, "benign", replace(ATTACKS["benign"], version=99))
        assert differing(before, ids()) == {"benign"}
    for name in ("probe", "integrated_gradients", "causal_tracing"):
        with monkeypatch.context() as patch:
            patch.setitem(evidence.METHODS, name, replace(evidence.METHODS[name], version=99))
            assert name in differing(before, ids())
            assert differing(before, ids()).isdisjoint({"known", "texts", "causal_tracing_redrawn"})
    assert ids() == before


def test_code_and_names_in_it_do_not_count():
    """The same question in a class of another name, with its fields in another order, computed by another function."""

    @dataclass(frozen=True)
    class Settings:
        first: int
        second: str

    other = make_dataclass("Renamed", ["second", "first"], frozen=True, namespace={"__module__": "elsewhere"})
    stage = Stage("made up", 1, lambda work: Result(), 1.0)
    moved = Stage("made up", 1, runs, 9.0, files=True)
    assert RunSpec(stage, "", Settings(1, "two")).id == RunSpec(moved, "", other("two", 1)).id


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_machine_does_not_count(monkeypatch, precision):
    before = ids()
    monkeypatch.setenv("MECHLIB_PRECISION", precision)
    monkeypatch.setenv("JOBS", "7")
    assert ids() == ids(micro_batch=3, checkpointing=True) == before
    asked = differing(before, ids(precision=precision))
    assert {"edit", "mask", "circuits", "causal_tracing", "answers", "benign"} <= asked
    assert asked.isdisjoint({"known", "asked"} | TEXTS)


def test_a_new_line_in_a_registry_leaves_what_is_there(monkeypatch):
    before = ids()
    monkeypatch.setattr(Parameters, "made_up", None, raising=False)
    attack = Attack("made_up", "Made up", 1, lambda: iter(()), "", {"quick": {"steps": 1}, "full": {"steps": 2}})
    monkeypatch.setitem(ATTACKS, "made_up", attack)
    monkeypatch.setitem(LOCALIZERS, "made_up", replace(LOCALIZERS["random"], key="made_up"))
    monkeypatch.setitem(KNOWN, "made_up", replace(KNOWN["gemma-3-270m"], name="made_up"))
    monkeypatch.setitem(evidence.METHODS, "made_up", evidence.METHODS["causal_tracing"])
    monkeypatch.setitem(FORMATS, "made_up", replace(FORMATS["one_shot"], key="made_up"))
    monkeypatch.setitem(evidence.SCORED, "made_up", evidence.METHODS["causal_tracing"])
    after = ids()
    assert set(after) - set(before) == {"made_up"}
    # Circuits are those of all methods: one more method is another question.
    assert differing(before, after) == {"circuits"}


def test_the_model_and_the_facts_count_by_their_content(monkeypatch, tmp_path):
    before = ids()
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: f"{spec.name}, retrained")
    assert differing(before, ids()) == set(before)
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", lambda spec: spec.name)
    table = tmp_path / "facts.csv"
    for facts, expected in ((list(athletes()), set()), (list(athletes())[:-1], set(before) - TEXTS)):
        table.write_text("athlete,sport\n" + "".join(f"{fact.subject},{fact.answer}\n" for fact in facts))
        assert differing(before, ids(facts=str(table))) == expected


def test_wordings_demonstrations_and_options_of_the_relation_count(monkeypatch):
    before, changed = ids(), []
    for place, relation, _ in changes(SPORT):
        monkeypatch.setattr("mechlib.runs.specs.localizing.relation_of", lambda _fact, relation=relation: relation)
        assert differing(before, ids()) == set(before) - TEXTS, place
        changed.append(place[0])
    assert {"wordings", "options"} <= set(changed)


def test_a_line_of_the_formats_counts_where_it_is_asked(monkeypatch):
    before = ids()
    for place, other, counts in list(changes(FORMATS["question"])):
        changed = replace(other, language=FORMATS["spanish"].language) if place == ("language",) else other
        monkeypatch.setitem(FORMATS, "question", changed)
        # What a reader sees beside the numbers is not what is asked.
        assert counts == (place != ("label",))
        assert differing(before, ids()) == ({"asked", "zeroed"} if counts else set()), place


def test_the_words_of_a_language_count_where_it_is_asked(monkeypatch):
    def asked():
        return {columns["format"]: spec.id for columns, spec in Study().runs("able")}

    before, others, own = asked(), ids(), FORMATS["spanish"]
    words = tuple((answer, f"{word} s") for answer, word in own.language.words)
    for language in (replace(own.language, statement="{} practica"), replace(own.language, words=words)):
        monkeypatch.setitem(FORMATS, "spanish", replace(own, language=language))
        assert differing(before, asked()) == {"spanish"} and ids() == others


def test_texts_count_by_their_content_where_they_are_used(monkeypatch, tmp_path):
    before, benign, prose = ids(), tmp_path / "topic.txt", tmp_path / "prose.txt"
    source = ATTACKS["benign"].reads[0]
    for more, expected in (("", set()), ("\n\nOne more paragraph.\n", {"benign"})):
        benign.write_text(source.read_text() + more)
        with monkeypatch.context() as patch:
            patch.setitem(ATTACKS, "benign", replace(ATTACKS["benign"], reads=(benign,)))
            assert differing(before, ids()) == expected
    from mechlib.runs.specs import asking

    for more, expected in (("", set()), ("\n\nOne more paragraph.\n", {"damage"})):
        prose.write_text(asking.PROSE.read_text() + more)
        with monkeypatch.context() as patch:
            patch.setattr(asking, "PROSE", prose)
            assert differing(before, ids()) == expected


@pytest.mark.parametrize(("task", "other", "table"), [
    ("sports-athlete-editing", "COUNTERFACT", world_facts), ("counterfact-editing", "SPORTS", athletes)])  # fmt: skip
def test_facts_of_the_other_domain_count_for_consequences(monkeypatch, task, other, table):
    from mechlib.runs.specs import asking

    before, fewer = ids(task=task), FactSet("fewer", table().facts[:-1])
    monkeypatch.setattr(asking, other, replace(getattr(asking, other), table=lambda _source: fewer))
    assert differing(before, ids(task=task)) == {"consequences"}


def test_no_two_pairs_of_seeds_name_the_same_run():
    """The study's seed and a repetition's: 0 and 1 are not 1 and 0."""
    seeded = {"random", "edit", "answers", "damage", "before", "latent", "consequences", *ATTACKS}
    found = [runs(Study(seed=own), seed) for own in range(3) for seed in range(3)]
    for name in seeded:
        assert len({each[name].id for each in found}) == 9, name
    # Not only by what they start from: what is drawn is drawn anew.
    for draw in (lambda each: each["edit"].settings.training.seed, lambda each: each["random"].settings.seed,
                 lambda each: each["before"].settings.seed, lambda each: each["benign"].settings.asked.seed):  # fmt: skip
        assert len({draw(each) for each in found}) == 9
    once = ids(seed=0), ids(seed=1)
    assert differing(*once) == set(once[0]) - {"known", "asked"}


def test_a_number_is_the_same_however_it_is_written():
    stage = Stage("made up", 1, lambda work: Result(), 1.0)
    spec = {value: RunSpec(stage, "", {"rate": value}).id for value in (1, 1.5, -2)}
    assert RunSpec(stage, "", {"rate": 1.0}).id == spec[1] and RunSpec(stage, "", {"rate": -2.0}).id == spec[-2]
    assert len(set(spec.values())) == 3
    assert ids(learning_rate=1, forget_coefficient=2, stop_at=1) == ids(learning_rate=1.0, forget_coefficient=2.0, stop_at=1.0)
    assert RunSpec(stage, "", {"list": [1, 2]}).id == RunSpec(stage, "", {"list": (1.0, 2)}).id


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", Path("here"), object(), len, 1j, {"inside": [{"set": {1}}]}])
def test_a_setting_of_an_unknown_type_is_refused(value):
    with pytest.raises(TypeError, match="a setting cannot be a"):
        identity({"setting": value})


def literal():
    """Ids of three runs of the default study of the embedded model."""
    from mechlib.runs.specs import localizing

    localizing.fingerprint = lambda spec: FINGERPRINT
    study = Study()
    return {"known": study.known.id, "edit": study.edit("fact_lookup", 0, 0).id, "attack": study.attack("benign", "fact_lookup", 0, 0).id}


def test_ids_are_those_of_every_machine_and_python(monkeypatch):
    monkeypatch.setattr("mechlib.runs.specs.localizing.fingerprint", None)
    assert literal() == LITERAL


def test_the_embedded_model_is_the_one_of_these_ids():
    from mechlib.models import fingerprint, resolve

    assert fingerprint(resolve("gemma-3-270m")) == FINGERPRINT


def test_a_format_that_is_asked_for_counts_where_it_is_another_than_the_model_s_own():
    before = ids()
    assert ids(dtype="float32") == before
    assert differing(before, ids(dtype="bfloat16")) == set(before)
    own = ids(model="llama-3-8b")
    assert ids(model="llama-3-8b", dtype="bfloat16") == own
    assert differing(own, ids(model="llama-3-8b", dtype="float32")) == set(own)

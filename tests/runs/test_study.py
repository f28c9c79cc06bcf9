"""A study's runs: each parameter changes the ids of the stages that depend on it, and of no others."""

import dataclasses

import pytest

from mechlib.attacks.registry import ATTACKS
from mechlib.checks import ParameterError
from mechlib.facts import FORMATS, athletes, demonstration_subjects, formats_of
from mechlib.facts.relations import SPORT
from mechlib.localize.registry import LOCALIZERS
from mechlib.models import KNOWN
from mechlib.runs.knowledge import divided
from mechlib.runs.profiles import PROFILES
from mechlib.runs.specs import asking
from mechlib.runs.specs import localizing as module
from mechlib.runs.stages import STAGES
from mechlib.runs.study import Study
from mechlib.runs.tasks import TASKS

pytestmark = pytest.mark.precision

SPORT_FORMATS = formats_of(SPORT)
DOMAIN_FORMATS = TASKS["sports-athlete-editing"].domain.formats
QUICK = PROFILES["quick"]


@pytest.fixture(autouse=True)
def named_models(monkeypatch):
    """A model's fingerprint is its name, so that no weights are looked for."""
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)


def chosen(study):
    """One run of every kind that a study has, by a name."""
    return {
        "know": study.known,
        **study.plants,
        **{f"undone {site}": study.undone(site) for site in study.plants},
        "text": study.text("train"),
        "damage text": study.text("damage"),
        "lookup": study.evidence[study.kind.domain.lookup],
        "trace": study.evidence["causal_tracing"],
        "attribution": study.evidence["attribution_patching"],
        "circuits": study.circuits,
        "localize": study.localize("fact_lookup", 0, 0),
        "localize traced": study.localize("causal_tracing", 0, 0),
        "localize random": study.localize("random_mlps", 0, 0),
        "trial": study.trial("fact_lookup", 1e-4, 1.0),
        "tune": study.tuning("fact_lookup"),
        "mask": study.mask("fact_lookup", 0),
        "zero": study.zeroed("fact_lookup", 0),
        "edit": study.edit("fact_lookup", 0, 0),
        "edit all": study.edit("all_mlps", 0, 0),
        "ask unedited": study.answers(None, 0, 0, "question"),
        "ask": study.answers("fact_lookup", 0, 0, "question"),
        "letters unedited": study.answers(None, 0, 0, "multiple_choice"),
        "letters": study.answers("fact_lookup", 0, 0, "multiple_choice"),
        "damage": study.damage("fact_lookup", 0, 0),
        **{name: study.attack(name, "fact_lookup", 0, 0, 0) for name in ATTACKS},
        **{f"{name} unedited": study.attack(name, None, 0, 0, 0) for name in ATTACKS},
        **{f"{name} null": study.attack(name, "fact_lookup", 0, 0, 0, null) for name, plan in ATTACKS.items() for null in plan.nulls},
        "before": study.before("fact_lookup", 0, 0),
        "before unedited": study.before(None, 0, 0),
        "crossing": study.crossing("fact_lookup", 0, 0),
        "again": study.relocalized("fact_lookup", 0, 0),
        "again unedited": study.relocalized(None, 0, 0),
        "latent": study.latent("fact_lookup", 0, 0),
        "ripple": study.consequences("fact_lookup", 0, 0),
        "latent unedited": study.latent(None, 0, 0),
        "ripple unedited": study.consequences(None, 0, 0),
    }


ATTACKED = {*ATTACKS, "relearning null", "soft_prompt null", "latent", "ripple", "crossing", "again"}
ATTACKED_UNEDITED = {f"{name} unedited" for name in ATTACKS}
AUDITED_UNEDITED = {"before unedited", "latent unedited", "ripple unedited"}
EVERY = {
    "know", "text", "damage text", "lookup", "trace", "attribution", "circuits", "localize", "localize traced", "localize random",
    "trial", "tune", "mask", "zero", "edit", "edit all", "ask unedited", "ask", "letters unedited", "letters", "damage", "before",
    "again unedited", *ATTACKED, *ATTACKED_UNEDITED, *AUDITED_UNEDITED,
}  # fmt: skip
TEXTS = {"text", "damage text"}
EDITED = {"edit", "edit all", "ask", "letters", "damage", "before"} | ATTACKED
PATCHED = {"trace", "attribution", "circuits"}
LOCALIZED = {"localize", "localize traced", "localize random", "again unedited"}
EVIDENCE = {"lookup"} | PATCHED | LOCALIZED
TRIED = {"trial", "tune"}
MASKED = {"mask", "zero"}
UNEDITED = {"ask unedited", "letters unedited"}

# A parameter, another value, and what depends on it.
CHANGES = [
    ("model", "llama-3-8b", EVERY),
    ("profile", "full", EVERY - {"know"}),
    ("task", "counterfact-editing", EVERY - TEXTS),
    ("facts", "a table", EVERY - TEXTS),
    ("world_facts", "a table", set()),
    ("texts", "owner/corpus", TEXTS | TRIED | MASKED | EDITED | ATTACKED_UNEDITED),
    ("seed", 1, EVERY - {"know"}),
    ("known_format", "cloze", EVERY - TEXTS),
    ("dtype", "bfloat16", EVERY),
    ("known_threshold", 0.6, EVERY - TEXTS - {"know"}),
    ("forget_set_size", 8, EVERY - TEXTS - {"know"}),
    ("forget_sets", 3, EVERY - TEXTS - {"know"}),
    ("divided_sets", 3, EVERY - TEXTS - {"know"}),
    ("seeds", 5, set()),
    ("edit_format", "cloze", EVIDENCE | EDITED | TRIED | MASKED | ATTACKED_UNEDITED | AUDITED_UNEDITED),
    ("lookup_rule", "released", LOCALIZED | EDITED | TRIED | MASKED),
    ("localization", "a file", set()),
    ("localizations", ("random_mlps",), set()),
    ("learning_rate", 5e-5, EDITED),
    ("forget_coefficient", 0.5, EDITED),
    ("steps", 20, EDITED | TRIED),
    ("tune", True, EDITED),
    ("kl_coefficient", 0.5, EDITED | TRIED),
    ("optimizer", "adamw8bit", EDITED | TRIED),
    ("micro_batch", 4, set()),
    ("checkpointing", True, set()),
    ("stop_at", 0.5, EDITED | TRIED),
    # What decides who is edited and where by probes is in float32 on every machine; all that is measured follows.
    ("precision", "float32", EVERY - TEXTS - {"know", "localize", "localize random", "lookup"}),
    ("formats", ("cloze",), {"zero"}),
    # An attack's settings are its own: those of another attack change nothing about it.
    ("relearning", {"steps": 7}, {"relearning", "relearning null", "relearning unedited"}),
    ("benign", {"steps": 7}, {"benign", "benign unedited"}),
    ("quantization", {"schemes": ["int8"]}, {"quantization", "quantization unedited", "crossing"}),
    ("direction", {"layers": "middle"}, {"direction", "direction unedited"}),
    ("in_context", {"shots": [1]}, {"in_context", "in_context unedited"}),
    ("soft_prompt", {"steps": 7}, {"soft_prompt", "soft_prompt null", "soft_prompt unedited"}),
]


@pytest.fixture
def table(tmp_path):
    """Another table of facts."""
    path = tmp_path / "table.csv"
    path.write_text("athlete,sport\n" + "".join(f"{fact.subject},{fact.answer}\n" for fact in list(athletes())[::2]))
    return str(path)


@pytest.fixture
def file(tmp_path):
    """A localization by hand."""
    (tmp_path / "mine.json").write_text('{"components": ["L1.mlp"]}')
    return str(tmp_path / "mine.json")


@pytest.mark.parametrize(("name", "value", "depend"), CHANGES, ids=[name for name, _, _ in CHANGES])
def test_a_parameter_changes_the_runs_that_depend_on_it(name, value, depend, table, file):
    changed = {name: {"a table": table, "a file": file}.get(str(value), value)}
    before, after = chosen(Study()), chosen(Study(**changed))
    assert {kind for kind in before if before[kind].id != after[kind].id} == depend


def test_every_parameter_and_every_stage_was_looked_at():
    assert {name for name, _, _ in CHANGES} == {field.name for field in dataclasses.fields(Study)}
    assert set(chosen(Study())) == EVERY
    rescaled = Study().edit("all_mlps@fact_lookup", 0, 0).stage.name
    assert {spec.stage.name for task in TASKS for spec in chosen(Study(task=task)).values()} | {rescaled} == {one.name for one in STAGES}


def test_the_same_parameters_name_the_same_runs():
    one, other = chosen(Study()), chosen(Study())
    assert {kind: spec.id for kind, spec in one.items()} == {kind: spec.id for kind, spec in other.items()}
    assert len({spec.id for spec in one.values()}) == len(one)


@pytest.mark.parametrize("written", [
    {"steps": QUICK.steps, "forget_sets": QUICK.n_sets, "seeds": QUICK.n_seeds, "stop_at": QUICK.stop_at},
    {"localizations": list(QUICK.localizations), "forget_coefficient": 1.0},
    {"formats": [form for form in DOMAIN_FORMATS if form in QUICK.formats], "localizations": list(QUICK.localizations)},
    {name: dict(reversed(plan.settings["quick"].items())) for name, plan in ATTACKS.items()},
    {"known_format": "few_shot", "edit_format": "few_shot", "lookup_rule": "paper", "task": "sports-athlete-editing"},
])  # fmt: skip
def test_a_default_that_is_written_out_is_no_change(written):
    before, after = chosen(Study()), chosen(Study(**written))
    assert {kind for kind in before if before[kind].id != after[kind].id} == set()


def test_a_table_with_the_same_facts_is_no_change(tmp_path):
    (tmp_path / "copy.csv").write_text("athlete,sport\n" + "".join(f"{fact.subject},{fact.answer}\n" for fact in athletes()))
    assert Study(facts=str(tmp_path / "copy.csv")).known.id == Study().known.id


def test_a_study_of_the_first_sets_has_the_runs_of_the_whole():
    """What is done of a long study can be read as a study of its own; two sets that are alone are other sets."""
    whole, part, alone = Study(forget_sets=3), Study(forget_sets=2, divided_sets=3), Study(forget_sets=2)
    for need in ("prompting", "relearning", "damage"):
        ids = [{run.id for _, run in study.runs(need)} for study in (whole, part, alone)]
        assert ids[1] < ids[0] and not ids[1] & ids[2]
    with pytest.raises(ParameterError, match="at least as many sets as FORGET_SETS"):
        Study(forget_sets=3, divided_sets=2)


def test_an_edit_differs_by_method_set_and_seed_and_a_question_by_format():
    study = Study(profile="full")
    edits = {study.edit(*where).id for where in study.arms()}
    asked = {study.answers(*where, form).id for where in study.arms() for form in FORMATS}
    assert len(edits) == 9 * PROFILES["full"].n_sets * PROFILES["full"].n_seeds
    assert len(asked) == len(edits) * len(FORMATS)


def test_zeroed_weights_are_asked_about_in_the_format_that_the_mask_was_trained_on_too():
    def asked(*formats):
        return [form.key for form in Study(formats=formats).zeroed("fact_lookup", 0).settings.formats]

    assert asked("one_shot") == ["one_shot", "few_shot"] and asked("few_shot", "question") == ["few_shot", "question"]
    assert asked("multiple_choice") == ["few_shot"]


def test_what_is_asked_is_the_edit_of_the_same_method_set_and_seed():
    study = Study(profile="full")
    for where in study.arms():
        expected = study.edit(*where).id
        assert study.answers(*where, "cloze").inputs["edit"].id == study.damage(*where).inputs["edit"].id == expected
        assert study.edit(*where).inputs["localize"].id == study.localize(*where).id
        assert study.edit(*where).settings.about.forget_set == study.answers(*where, "cloze").settings.about.forget_set == where[1]
    assert "edit" not in study.answers(None, 0, 0, "cloze").inputs


def test_random_localizations_are_drawn_anew_and_others_once():
    study = Study()
    drawn = {key: len({study.localize(key, number, seed).id for number in range(3) for seed in range(2)}) for key in LOCALIZERS}
    assert drawn == {key: 6 if key in ("random", "random_mlps") else 1 for key in LOCALIZERS}


def test_damage_is_measured_on_text_that_no_edit_trained_on():
    texts = {(seed, use): Study(seed=seed).text(use) for seed in range(6) for use in ("train", "damage")}
    assert len({spec.settings.seed for spec in texts.values()}) == len(texts)


def test_damage_depends_on_the_prose_it_is_measured_on(tmp_path, monkeypatch):
    before = Study().damage("fact_lookup", 0, 0).id
    (tmp_path / "prose.txt").write_text(asking.PROSE.read_text() + "\n\nOne more paragraph.\n")
    monkeypatch.setattr(asking, "PROSE", tmp_path / "prose.txt")
    assert Study().damage("fact_lookup", 0, 0).id != before


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_forget_sets_of_quick_are_the_first_of_full(threshold):
    facts = [fact for fact in athletes() if fact.subject not in demonstration_subjects()]
    about = {"relation": "sport", "open": False}
    know = [{**about, "subject": fact.subject, "probability": number % 100 / 100} for number, fact in enumerate(facts)]
    quick, full = (divided(athletes(), know, Study(profile=name, known_threshold=threshold).splits) for name in ("quick", "full"))
    assert (len(quick.forget), len(full.forget)) == (PROFILES["quick"].n_sets, PROFILES["full"].n_sets)
    # The facts and their edit targets, although the sets that come after them differ in size.
    assert len(quick.localize) != len(full.localize)
    assert [part.facts for part in full.forget[: len(quick.forget)]] == [part.facts for part in quick.forget]


def test_all_localizations_of_a_forget_set_come_before_the_next_set():
    study = Study(localizations=("fact_lookup", "random"), forget_sets=2)
    assert study.arms() == [("fact_lookup", 0, 0), ("random", 0, 0), ("fact_lookup", 1, 0), ("random", 1, 0)]


def test_the_model_s_own_hyperparameters_are_the_defaults():
    llama = KNOWN["llama-3-8b"]
    for key, method in LOCALIZERS.items():
        training = Study(model="llama-3-8b").training(key, 0, 0)
        assert (training.learning_rate, training.forget_coefficient) == dataclasses.astuple(llama.hyperparameters(method.group))
    assert Study(model="llama-3-8b", learning_rate=1e-3).training("fact_lookup", 0, 0).learning_rate == 1e-3

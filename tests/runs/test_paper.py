"""Profile ``paper`` is the paper: each value with its place, as it stands in the runs that a study asks for.

SPORT.py, CF.py and CFSEQ.py are ``finetuning_scripts/localized_finetuning_script_{sports,counterfact,counterfact_sequential}.py`` of the
authors' repository (magikarp01/mechanistic-unlearning, a36be56). Where paper and code differ, or a value cannot be had here, the book's
page "The paper and this book" says so (book/paper.toml).
"""

import pytest

from mechlib.attacks.registry import ATTACKS
from mechlib.localize.registry import localizer
from mechlib.runs.profiles import PROFILES
from mechlib.runs.specs import localizing as module
from mechlib.runs.study import Study

MODELS = ("gemma-7b", "gemma-2-9b", "llama-3-8b")
# Appendix, hyperparameters; parent_config.json of each released run. Groups as the sweeps hand them on (create_sweep_configs.py:9-61).
GROUPS = {
    "mlps": ("fact_lookup", "random_mlps", "attribution_patching_mlps", "causal_tracing_mlps"),
    "mixed": ("attribution_patching", "causal_tracing", "random"),
    "everything": ("nonlocalized", "all_mlps"),
}
ATHLETES = {"task": "sports-athlete-editing"}
GOLF = {"task": "full-sports-editing", "forget_sets": 3}
WORLD_16, WORLD_64 = {"task": "counterfact-editing"}, {"task": "counterfact-editing", "forget_set_size": 64}
SEQUENTIAL = {"task": "sequential-counterfact-editing"}
# Model -> (learning rate, forget coefficient) of the three groups.
RATES = [
    (ATHLETES, {"gemma-7b": [(1e-5, 5), (1e-5, 0.1), (2e-6, 0.2)], "gemma-2-9b": [(1e-5, 1), (5e-5, 5), (2e-5, 5)],
                "llama-3-8b": [(5e-5, 5), (1e-4, 2), (2e-5, 2)]}),
    ({**ATHLETES, "forget_set_size": 64}, {"gemma-7b": [(1e-5, 5), (1e-5, 0.1), (2e-6, 0.2)],
                                           "gemma-2-9b": [(1e-5, 1), (5e-5, 5), (2e-5, 5)],
                                           "llama-3-8b": [(5e-5, 5), (1e-4, 2), (2e-5, 2)]}),
    (GOLF, {"gemma-7b": [(2e-5, 5), (5e-6, 1), (5e-6, 1)], "gemma-2-9b": [(5e-5, 5), (5e-5, 5), (1e-5, 5)],
            "llama-3-8b": [(5e-5, 0.2), (5e-5, 1), (1e-5, 0.1)]}),
    (WORLD_16, {"gemma-7b": [(5e-6, 0.1), (5e-6, 0.2), (5e-6, 0.2)], "gemma-2-9b": [(5e-5, 2), (5e-5, 2), (5e-6, 1)],
                "llama-3-8b": [(1e-4, 1), (2e-5, 0.1), (2e-5, 2)]}),
    (WORLD_64, {"gemma-7b": [(1e-5, 2), (2e-5, 1), (2e-6, 1)], "gemma-2-9b": [(2e-5, 0.5), (2e-5, 2), (5e-6, 1)],
                "llama-3-8b": [(5e-5, 0.2), (5e-5, 2), (1e-5, 0.2)]}),
    (SEQUENTIAL, {"gemma-7b": [(1e-5, 2), (2e-5, 1), (2e-6, 1)], "gemma-2-9b": [(2e-5, 0.5), (2e-5, 2), (5e-6, 1)],
                  "llama-3-8b": [(5e-5, 0.2), (5e-5, 2), (1e-5, 0.2)]}),
    # Table 1: results/localized_finetuning_basketball, of one model.
    ({"task": "sports-unlearning", "forget_sets": 3}, {"gemma-7b": [(1e-5, 0.2), (1e-5, 0.2), (1e-5, 0.2)]}),
]  # fmt: skip
TASKS = [pytest.param(given, id="-".join(map(str, given.values()))) for given, _ in RATES]
CASES = [pytest.param(given, model, group, *rates, id=f"{'-'.join(map(str, given.values()))}-{model}-{group}")
         for given, models in RATES for model, found in models.items() for group, rates in zip(GROUPS, found, strict=True)]  # fmt: skip
WORLDLY = [given for given, _ in RATES if "counterfact" in given["task"]]


@pytest.fixture(autouse=True)
def named_models(monkeypatch):
    """A model's fingerprint is its name, so that no weights are looked for."""
    monkeypatch.setattr(module, "fingerprint", lambda spec: spec.name)


def paper(model="gemma-7b", **given):
    return Study(profile="paper", model=model, **given)


def edits(study):
    return [(columns, spec.settings) for columns, spec in study.runs("edit")]


def test_the_nine_localizations_are_in_the_groups_that_share_hyperparameters():
    """Section 4.1; the order is that of no table."""
    assert set(paper().localizations) == {key for group in GROUPS.values() for key in group}
    assert {key: localizer(key).group for key in paper().localizations} == {key: name for name, group in GROUPS.items() for key in group}


@pytest.mark.parametrize(("given", "model", "group", "rate", "coefficient"), CASES)
def test_learning_rates_and_coefficients(given, model, group, rate, coefficient):
    found = [settings.training for columns, settings in edits(paper(model, **given)) if columns["localization"] in GROUPS[group]]
    assert found
    assert {(one.learning_rate, one.forget_coefficient) for one in found} == {(rate, coefficient)}
    # Losses of facts to maintain and of the Pile count once (SPORT.py:447-480).
    assert {(one.retain_coefficient, one.text_coefficient, one.kl_coefficient) for one in found} == {(1, 1, 0)}


@pytest.mark.parametrize("given", TASKS)
def test_a_step_is_sixteen_batches_of_four_of_each_kind_and_training_is_as_published(given):
    """SPORT.py:447-480, CF.py:401-435: 50 iterations, each with 16 micro-batches of 4 for every loss, averaged; clip 1; cosine to zero.

    Of 16 facts, 64 prompts a step are each of them four times, and that mean is the mean of the 16.
    """
    study = paper(**given)
    for _, settings in edits(study):
        one = settings.training
        assert (one.retain_batch, one.text_batch, one.micro_batch) == (16 * 4, 16 * 4, 4)
        assert one.forget_batch == (16 * 4 if study.kind.forget == "answers" else None)
        assert (one.clip, one.weight_decay, one.schedule, one.stop_at) == (1.0, 0.0, "cosine", None)
        # CFSEQ.py: half of the iterations for each of four partitions.
        assert one.steps == (25 if study.parts > 1 else 50)
        assert settings.floor is None


@pytest.mark.parametrize(("model", "optimizer"), [("gemma-7b", "adamw"), ("gemma-2-9b", "adamw8bit"), ("llama-3-8b", "adamw")])
def test_optimizers_and_formats_of_weights(model, optimizer):
    """SPORT.py:131-200 and 436-440: bfloat16 weights; 8-bit AdamW where ``mixed_precision`` is set, which is Gemma-2-9B."""
    study = paper(model)
    assert {settings.training.optimizer for _, settings in edits(study)} == {optimizer}
    assert study.subject.dtype == "bfloat16"
    assert paper(model, optimizer="adamw").training("fact_lookup", 0, 0).optimizer == "adamw"


def test_forget_sets():
    """Section 4: 16 and 64 facts, one run of each; each sport to golf; four partitions of 16."""
    assert {columns["forget_set"] for columns, _ in edits(paper())} == {0}
    assert [paper(forget_set_size=size).splits.set_size for size in (16, 64)] == [16, 64]
    assert (paper(**GOLF).size.n_sets, paper(**GOLF).splits.target) == (3, "golf")
    sequential = paper(**SEQUENTIAL)
    assert (sequential.parts, sequential.splits.set_size) == (4, 64)
    assert {columns["seed"] for columns, _ in edits(paper())} == {0}


def test_general_text_is_the_pile_and_every_step_has_new_texts():
    """SPORT.py:263,280: monology/pile-uncopyrighted, 100 tokens each."""
    found = paper().text("train").settings
    assert (found.corpus.source, found.length, found.count) == ("monology/pile-uncopyrighted", 100, 50 * 64)
    assert paper().text("damage").settings.corpus.skip == found.count
    # Whoever has no hub has the model's own samples, and a corpus that is named is used.
    assert paper("gemma-3-270m").text("train").settings.corpus is None


@pytest.mark.parametrize("given", WORLDLY, ids=lambda given: "-".join(map(str, given.values())))
def test_world_facts_are_asked_in_their_bare_prompt_and_two_paraphrases(given):
    """CounterFactTask.py:44-171 and 266-288; known are those with a probability of at least one half (:67)."""
    study = paper(**given)
    assert study.known_format == study.trained_format == "statement"
    assert study.formats == ("statement", "paraphrase_1", "paraphrase_2")
    assert study.known_threshold == 0.5
    assert {spec.settings.groups[-1] for _, spec in study.runs("trained")} == {"neighbourhood"}


@pytest.mark.parametrize("given", [ATHLETES, GOLF], ids=["athletes", "golf"])
def test_athletes_are_asked_in_the_trained_prompt_a_question_and_letters(given):
    """SportsTask.py:66-215 (one demonstration, golf); SportsTaskAdversarial.py:20-33 and 46-157."""
    study = paper(**given)
    assert study.trained_format == study.known_format == "one_shot"
    assert study.formats == ("one_shot", "question", "multiple_choice")


def test_relearning():
    """SPORT.py:935-1060: LoRA of rank 512, alpha 32, dropout .05, 2e-4, 20 iterations of 8 micro-batches of 4, first half to second."""
    study = paper()
    expected = {"ranks": (512,), "learning_rates": (2e-4,), "steps": 20, "checkpoints": (10, 20), "retain_batch": 32, "text_batch": 16}
    assert dict(study.relearning) == expected
    assert {spec.settings.fold for _, spec in study.runs("relearning")} == {0}
    assert {tuple(spec.settings.settings.items()) for _, spec in study.runs("relearning")} == {tuple(sorted(expected.items()))}


def test_soft_prompts():
    """src/attacks.py:508-665, SPORT.py:780-935: length 15, 128 steps of 16, 1e-5, norm 6, four restarts."""
    assert dict(paper().soft_prompt) == {"tokens": 15, "steps": 128, "learning_rate": 1e-5, "restarts": 4, "batch": 16, "norm": 6.0}


def test_other_attacks_are_not_the_paper_s():
    assert {name for name, attack in ATTACKS.items() if "paper" in attack.settings} == {"relearning", "soft_prompt"}


def test_sweeps_and_masks():
    """create_sweep_configs.py:9-61; weight_mask.py:487 (50 epochs); weight_masking_evals.py:136-150 and the paper's figures."""
    profile = PROFILES["paper"]
    assert profile.learning_rates == (2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4)
    assert profile.forget_coefficients == (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
    assert profile.mask_steps == 50
    sports, world = {500_000, 1_200_000, 2_400_000}, {count * 1_000_000 for count in range(1, 7)}
    assert set(profile.mask_sizes) == sports | world


def test_nothing_of_it_is_in_the_other_profiles():
    for name in ("quick", "full"):
        study = Study(profile=name, model="gemma-7b")
        training = study.training("fact_lookup", 0, 0)
        assert (training.micro_batch, study.text("train").settings.corpus, study.text("train").settings.length) == (None, None, 24)
        assert study.relearning != paper().relearning

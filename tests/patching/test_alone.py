"""A fact's effect is its own: the same alone, in a batch, beside longer prompts, in any order, with any number of threads."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from brute_force import PROMPTS, without_positions
from tiny_models import tiny_model

from mechlib.components import heads_and_mlps
from mechlib.facts import FORMATS, FactError, athletes, prompts
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.draws import embedding_deviation, ordinary_tokens
from mechlib.patching.faithfulness import faithfulness
from mechlib.patching.pairs import make_pair
from mechlib.patching.path import direct_effects
from mechlib.patching.probing import cross_validate, probe
from mechlib.patching.scores import Scores
from mechlib.patching.weights import gradient_times_weight

EIGHT = prompts(athletes().facts[::60][:8], FORMATS["cloze"])
LONGER = prompts(athletes().facts[7:8], FORMATS["few_shot"])
TOLERANCE = {"abs": 1e-4, "rel": 1e-4}
METHODS = {
    "noise": partial(activation_patching, corruption="noise"),
    "redrawn": partial(activation_patching, corruption="noise", redraw=True),
    "tokens": partial(activation_patching, corruption="tokens", direction="noise"),
    "positions": partial(activation_patching, corruption="noise", by_position=True),
    "gradients": partial(attribution_patching, corruption="noise"),
    "paths": partial(direct_effects, corruption="tokens"),
    "weights": gradient_times_weight,
}


def effects(score, model, asked, **settings):
    """Of each prompt by its text: its span, then the effect of each component."""
    found = score(model, asked, seed=3, **settings)
    return {one.text: [found.spans[n], *(found.effects[c][n] for c in found.effects)] for n, one in enumerate(asked)}


def same(found, expected):
    assert found.keys() == expected.keys()
    for text, own in expected.items():
        assert found[text] == pytest.approx(own, **TOLERANCE), text


@pytest.mark.parametrize("name", METHODS)
def test_a_fact_has_its_effects_alone_and_in_any_company(tiny_gemma3, name):
    score = METHODS[name]
    together = effects(score, tiny_gemma3, EIGHT)
    for one in EIGHT[::5]:
        same(effects(score, tiny_gemma3, [one]), {one.text: together[one.text]})
    beside = effects(score, tiny_gemma3, [*LONGER, *EIGHT])
    del beside[LONGER[0].text]
    for found in (beside, effects(score, tiny_gemma3, EIGHT[::-1])):
        same(found, together)
    if name != "weights":
        same(effects(score, tiny_gemma3, EIGHT, batch_size=3), together)
    assert len({round(own[0], 3) for own in together.values()}) > 1


def test_circuits_do_not_depend_on_batches_or_order(tiny_gemma3):
    ranked = [("any", True, heads_and_mlps(tiny_gemma3.architecture))]
    expected = [row.faithfulness for row in faithfulness(tiny_gemma3, EIGHT, ranked, seed=3)]
    for asked, size in ((EIGHT, 1), (EIGHT, 3), (EIGHT[::-1], 32)):
        found = [row.faithfulness for row in faithfulness(tiny_gemma3, asked, ranked, seed=3, batch_size=size)]
        assert found == pytest.approx(expected, abs=1e-3, rel=1e-3)


def test_the_seed_and_what_a_prompt_says_decide_its_draw(tiny_gemma3):
    def drawn(asked, seed, number=0):
        pair = make_pair(tiny_gemma3, [asked], "noise", seed)
        path = pair.packed.paths[0]
        return (pair.corrupt(number).at(path) - pair.clean.at(path)).sum().item()

    one, other = EIGHT[:2]
    found = {drawn(one, 0), drawn(one, 1), drawn(one, 0, 1), drawn(other, 0), drawn(prompts([one.fact], FORMATS["one_shot"])[0], 0)}
    assert len(found) == 5
    # Who answers what is nothing to the corruption of the question.
    assert drawn(replace(one, target="golf"), 0) == drawn(one, 0)


def test_noise_has_the_scale_of_the_model(tiny):
    with torch.no_grad():
        stream = tiny.network(input_ids=ordinary_tokens(tiny)[:, None], output_hidden_states=True).hidden_states[0]
        words = without_positions(tiny, stream, 0)
    assert embedding_deviation(tiny) == pytest.approx(words.std().item(), rel=1e-5)
    scores = [activation_patching(tiny, asked, corruption="noise") for asked in (EIGHT[:1], EIGHT)]
    assert [one.noise for one in scores] == [pytest.approx(3 * words.std().item(), rel=1e-5)] * 2
    assert Scores.from_json(scores[0].to_json()) == scores[0]
    assert activation_patching(tiny, EIGHT[:1], corruption="tokens").noise is None


THREADS = """
import json, sys, torch
torch.set_num_threads(int(sys.argv[1]))
from test_alone import EIGHT, METHODS, effects, tiny_model
print(json.dumps(effects(METHODS["noise"], tiny_model("gemma3"), EIGHT)))
"""


def test_threads_change_nothing():
    found = []
    for count in (1, 2):
        paths = os.pathsep.join(["tests/helpers", "tests/patching", str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(count), "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run([sys.executable, "-c", THREADS, str(count)], env=environment, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    same(*found)
    same(found[0], effects(METHODS["noise"], tiny_model("gemma3"), EIGHT))


@pytest.mark.real
def test_a_real_model_has_one_effect_a_fact(real):
    asked = prompts(athletes().facts[::200][:8], FORMATS["one_shot"])
    together = effects(METHODS["noise"], real, asked)
    backwards = effects(METHODS["noise"], real, [*LONGER, *asked[::-1]])
    alone = effects(METHODS["noise"], real, asked[:1])
    for text, own in {**alone, **{text: own for text, own in backwards.items() if text in together}}.items():
        # Logits of some 20; sums in another order differ in the third decimal at most.
        assert own == pytest.approx(together[text], abs=5e-3)
    assert max(own[0] for own in together.values()) > 0.5


def test_each_prompt_is_compared_with_its_own_options(tiny_gemma3):
    """Two options or four, in one batch."""
    two = [replace(one, options=(one.answer, next(o for o in one.options if o != one.answer))) for one in EIGHT[:3]]
    same(effects(METHODS["tokens"], tiny_gemma3, [*two, *EIGHT[3:]]),
         effects(METHODS["tokens"], tiny_gemma3, two) | effects(METHODS["tokens"], tiny_gemma3, EIGHT[3:]))  # fmt: skip
    assert effects(METHODS["tokens"], tiny_gemma3, two) != effects(METHODS["tokens"], tiny_gemma3, EIGHT[:3])


@pytest.mark.parametrize("name", [*METHODS, "circuits"])
def test_no_facts_and_a_fact_with_nothing_to_compare_are_one_line(tiny_gemma3, name):
    ranked = [("any", True, heads_and_mlps(tiny_gemma3.architecture))]
    score = METHODS.get(name) or (lambda model, asked: faithfulness(model, asked, ranked, seed=0))
    lonely = replace(PROMPTS[0], options=(PROMPTS[0].answer,), open=True)
    for asked, says in (([], "give at least one prompt"), ([*PROMPTS, lonely], f"{lonely.fact.subject}: there is no other answer")):
        with pytest.raises(FactError, match=says) as caught:
            score(tiny_gemma3, asked)
        assert "\n" not in str(caught.value)


def test_a_subject_that_is_the_whole_prompt_is_scored(tiny_gemma3):
    for subject in (PROMPTS[0].fact.subject, PROMPTS[0].fact.subject.split()[0]):
        asked = replace(PROMPTS[0], text=subject, behind=0, fact=replace(PROMPTS[0].fact, subject=subject))
        found = effects(METHODS["noise"], tiny_gemma3, [asked, *PROMPTS])
        assert found[subject] == pytest.approx(effects(METHODS["noise"], tiny_gemma3, [asked])[subject], **TOLERANCE)
        assert found[subject][0] != 0


def test_a_corruption_that_changes_nothing_is_one_line(tiny_gemma3):
    blind = tiny_gemma3.shared_copy()
    # All texts are read as the same token: whoever is named, the answer is the same.
    blind.layers[0].register_forward_pre_hook(lambda _module, arguments: (torch.ones_like(arguments[0]), *arguments[1:]))
    for score in (METHODS["noise"], METHODS["paths"], lambda model, asked: faithfulness(model, asked, [], seed=0)):
        with pytest.raises(FactError, match="changes no answer"):
            score(blind, PROMPTS)


def test_probes_without_enough_facts_are_one_line(tiny_gemma3):
    for asked, says in (([], "at least one prompt"), (PROMPTS, "probes need facts with two different answers")):
        with pytest.raises(FactError, match=says):
            probe(tiny_gemma3, asked, 0)
    with pytest.raises(FactError, match="there are 9 facts with 1 answers"):
        cross_validate({"subject": [], "prompt": []}, ["golf"] * 9, 0)

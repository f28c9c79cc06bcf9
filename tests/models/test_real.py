"""What is claimed about the embedded model itself, and about TransformerLens on it."""

import pandas as pd
import pytest
import torch
from brute_force import drawn_tokens
from hooked import hooked

from mechlib.components import Component
from mechlib.facts import FORMATS, athletes, formats_of, prompts
from mechlib.facts.relations import SPORT
from mechlib.facts.tables import SPORTS
from mechlib.models import load, resolve
from mechlib.models.forward import answer_logits, enter, tokenize
from mechlib.models.tokens import answer_token, option_tokens
from mechlib.patching.activation import activation_patching
from mechlib.patching.pairs import make_pair

pytestmark = pytest.mark.real

SUBJECTS = ("LeBron James", "Patrick Mahomes")
PROMPTS = prompts([fact for fact in athletes() if fact.subject in SUBJECTS], FORMATS["one_shot"])
LAYERS = (3, 11)


def test_the_capital_of_france(real):
    with torch.no_grad():
        logits = answer_logits(real, tokenize(real, ["The capital of France is"]))
    assert " Paris" in real.tokenizer.batch_decode(logits[0].topk(5).indices[:, None])


def test_loading_twice_gives_equal_weights(real):
    again = load(resolve("gemma-3-270m"))
    assert again.fingerprint == real.fingerprint
    assert again.parameters.keys() == real.parameters.keys()
    assert all(torch.equal(weight, again.parameters[name]) for name, weight in real.parameters.items())


def test_every_answer_is_one_token(real):
    forms = [FORMATS[form] for form in formats_of(SPORT) if FORMATS[form].language is None]
    asked = [prompt for form in forms for prompt in prompts(athletes().facts, form, 4)]
    answers = {option for prompt in asked for option in prompt.options}
    assert {f" {sport}" for sport in SPORTS} < answers
    assert len({answer_token(real, answer) for answer in answers}) == len(answers)


@pytest.mark.parametrize("form", ["spanish", "french", "german"])
def test_words_of_another_language_begin_with_different_tokens(real, form):
    asked = prompts(athletes().facts[:1], FORMATS[form])[0]
    assert len(set(option_tokens(real, asked))) == 4
    assert [answer_token(real, option, first=True) for option in asked.options] != [answer_token(real, f" {sport}") for sport in SPORTS]


def test_shared_prefix_and_layer_entry_are_exact(real):
    texts = [prompt.text for prompt in prompts(athletes().facts[::400], FORMATS["few_shot"])]
    batch = tokenize(real, texts)
    assert batch.tokens.numel() < sum(len(path) for path in batch.paths) - 20 * (len(texts) - 1)
    with torch.no_grad():
        together = answer_logits(real, batch)
        alone = torch.stack([real.network(**real.tokenizer(text, return_tensors="pt")).logits[0, -1] for text in texts])
        torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)
        for layer in (1, 6, 17):
            torch.testing.assert_close(answer_logits(real, batch, enter(real, batch, layer)), together, atol=1e-3, rtol=0)


def test_exact_patching_is_that_of_transformer_lens(real):
    from transformer_lens import patching

    scores = activation_patching(real, PROMPTS, corruption="tokens", direction="denoise", seed=1)
    pair, bridge = make_pair(real, PROMPTS, "tokens", 1), hooked(real).bridge
    clean = torch.tensor(real.tokenizer([prompt.text for prompt in PROMPTS]).input_ids)
    corrupted = drawn_tokens(real, pair)
    assert (clean != corrupted).any(1).all()

    def lead(logits):
        chosen = logits[:, -1].gather(1, pair.options)
        return (chosen[:, 0] - chosen[:, 1:].mean(1)).mean()

    heads = pd.DataFrame([(layer, head) for layer in LAYERS for head in range(real.architecture.n_heads)], columns=["layer", "head"])
    mlps = pd.DataFrame([(layer,) for layer in LAYERS], columns=["layer"])
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(clean)
        end, start = lead(logits).item(), lead(bridge(corrupted)).item()
        by_head = patching.get_act_patch_attn_head_out_all_pos(bridge, corrupted, cache, lead, index_axis_names=None, index_df=heads)
        # The package's own function for MLPs patches one position at a time; ours patches all at once.
        by_mlp = patching.generic_activation_patch(
            bridge, corrupted, cache, lead, lambda _corrupted, _index, clean: clean, "mlp_out", index_df=mlps
        )
    assert (scores.clean, scores.corrupted) == pytest.approx((end, start), abs=1e-3)
    assert abs(end - start) > 0.5
    components = [Component(layer, "head", head) for layer, head in heads.itertuples(index=False)]
    components += [Component(layer, "mlp") for layer in LAYERS]
    expected = [(patched - start) / (end - start) for patched in [*by_head.tolist(), *by_mlp.tolist()]]
    assert [scores.values[component] for component in components] == pytest.approx(expected, abs=1e-4)
    assert max(map(abs, expected)) > 0.05

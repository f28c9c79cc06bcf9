"""What is claimed about the embedded model itself, and about TransformerLens on it."""

import os
import tempfile
from pathlib import Path

import pandas as pd
import pytest
import torch
from brute_force import streams
from transformer_lens import patching

from mechlib.components import Component
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.facts.tables import SPORTS
from mechlib.models import ModelError, load, resolve
from mechlib.models.embedded import embedded_model
from mechlib.models.forward import answer_logits, enter, token_batch, tokenize
from mechlib.models.hooked import hooked
from mechlib.models.tokens import answer_token
from mechlib.patching.activation import activation_patching
from mechlib.patching.pairs import make_pair

pytestmark = pytest.mark.real

SUBJECTS = ("LeBron James", "Patrick Mahomes")
PROMPTS = prompts([fact for fact in athletes() if fact.subject in SUBJECTS], FORMATS["one_shot"])
LAYERS = (3, 11)


@pytest.fixture(scope="module", autouse=True)
def all_processors():
    kept = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(kept)


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
    answers = {option for form in FORMATS.values() for prompt in prompts(athletes().facts, form, 4) for option in prompt.options}
    assert {f" {sport}" for sport in SPORTS} < answers
    assert len({answer_token(real, answer) for answer in answers}) == len(answers)


def test_shared_prefix_and_layer_entry_are_exact(real):
    texts = [prompt.text for prompt in prompts(athletes().facts[::400], FORMATS["few_shot"])]
    batch = tokenize(real, texts)
    assert len(batch.prefix) > 20
    with torch.no_grad():
        together = answer_logits(real, batch)
        alone = torch.stack([real.network(**real.tokenizer(text, return_tensors="pt")).logits[0, -1] for text in texts])
        torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)
        for layer in (1, 6, 17):
            torch.testing.assert_close(answer_logits(real, batch, enter(real, batch, layer)), together, atol=1e-3, rtol=0)


def drawn_tokens(model, pair, row):
    """The tokens of a text's corrupted run: those whose embeddings enter the first layer."""
    _, corrupted = streams(pair, row)
    directions = torch.nn.functional.normalize(model.network.get_input_embeddings().weight, dim=-1)
    return (torch.nn.functional.normalize(corrupted, dim=-1) @ directions.T).argmax(-1)[None]


def test_exact_patching_is_that_of_transformer_lens(real):
    scores = activation_patching(real, PROMPTS, corruption="tokens", direction="denoise", seed=1)
    pair, bridge = make_pair(real, PROMPTS, "tokens", 1), hooked(real).bridge
    heads = pd.DataFrame([(layer, head) for layer in LAYERS for head in range(real.architecture.n_heads)], columns=["layer", "head"])
    mlps = pd.DataFrame([(layer,) for layer in LAYERS], columns=["layer"])
    totals = {}
    for row, prompt in enumerate(PROMPTS):
        clean, corrupted = real.tokenizer(prompt.text, return_tensors="pt").input_ids, drawn_tokens(real, pair, row)
        assert corrupted.shape == clean.shape
        assert not torch.equal(corrupted, clean)

        def lead(logits, options=pair.options[row]):
            chosen = logits[0, -1, options]
            return chosen[0] - chosen[1:].mean()

        with torch.no_grad():
            ends, cache = bridge.run_with_cache(clean)
            start = lead(bridge(corrupted))
            found = {
                "clean": lead(ends)[None],
                "corrupted": start[None],
                "head": patching.get_act_patch_attn_head_out_all_pos(bridge, corrupted, cache, lead, index_axis_names=None, index_df=heads),
                # Its own function for MLPs patches one position at a time; ours patches all.
                "mlp": patching.generic_activation_patch(
                    bridge, corrupted, cache, lead, lambda _corrupted, _index, clean: clean, "mlp_out", index_df=mlps
                ),
            }
        for key, values in found.items():
            totals[key] = totals.get(key, 0) + values - (0 if key in ("clean", "corrupted") else start)
    span = totals["clean"] - totals["corrupted"]
    assert abs(span) > 0.5
    assert scores.clean == pytest.approx((totals["clean"] / len(PROMPTS)).item(), abs=1e-3)
    for total, (layer, head) in zip(totals["head"], heads.itertuples(index=False), strict=True):
        assert scores.values[Component(layer, "head", head)] == pytest.approx((total / span).item(), abs=1e-4)
    for total, layer in zip(totals["mlp"], LAYERS, strict=True):
        assert scores.values[Component(layer, "mlp")] == pytest.approx((total / span).item(), abs=1e-4)


@pytest.mark.parametrize("damage", ["altered", "truncated", "missing"])
def test_a_damaged_weight_file_is_refused_with_one_line(monkeypatch, damage):
    cached = embedded_model()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / cached.name
        folder.mkdir()
        for path in cached.iterdir():
            if path.suffix == ".json":
                (folder / path.name).write_bytes(path.read_bytes())
        if damage != "missing":
            with (cached / "model.safetensors").open("rb") as whole, (folder / "model.safetensors").open("wb") as copy:
                os.sendfile(copy.fileno(), whole.fileno(), 0, 2**40 if damage == "altered" else 2**20)
        if damage == "altered":
            _flip_one_bit(folder / "model.safetensors")
        monkeypatch.setenv("MECHLIB_CACHE", scratch)
        with pytest.raises(ModelError, match=f"truncated or altered: delete the folder {folder}") as caught:
            load(resolve("gemma-3-270m"))
    assert "\n" not in str(caught.value)


def _flip_one_bit(path):
    middle = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(middle)
        (byte,) = file.read(1)
        file.seek(middle)
        file.write(bytes([byte ^ 1]))


def test_two_runs_of_a_padded_batch_agree(real):
    texts = [prompt.text for prompt in prompts(athletes().facts[::300], FORMATS["cloze"])]
    sequences = real.tokenizer(texts).input_ids
    with torch.no_grad():
        padded, again = (answer_logits(real, token_batch(real, sequences, share_at_most=most)) for most in (None, 0))
    torch.testing.assert_close(padded, again, atol=1e-3, rtol=0)

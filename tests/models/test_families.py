"""What is claimed of every supported family, proved on a tiny model of it; and the table of them in the README.

``python tests/models/test_families.py`` writes the table anew.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from brute_force import PROMPTS, answer_lead, changing, full_pass, streams
from editing import LOCALIZATIONS, bits, edited, inside, same
from tiny_models import FAMILIES, tiny_model, word_tokenizer

import mechlib
from mechlib.components import Component, heads_and_mlps
from mechlib.edit.delta import Delta
from mechlib.models import ModelError, load, resolve, wrap
from mechlib.models.families import FAMILIES as ADAPTERS
from mechlib.models.families import MIXTURE, architecture
from mechlib.models.forward import answer_logits, tokenize
from mechlib.models.packed import pack
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import make_pair

README = Path(mechlib.__file__).parents[1] / "README.md"
MARKS = "<!-- families: written by tests/models/test_families.py -->\n", "<!-- /families -->\n"
NAMES = {
    "gemma": "Gemma 1", "gemma2": "Gemma 2", "gemma3_text": "Gemma 3 (of multimodal ones the text part)", "llama": "Llama 2 and 3",
    "mistral": "Mistral", "olmo2": "OLMo 2 (queries and keys are normed over all heads: those of one head scale all others')",
    "qwen2": "Qwen 2", "qwen3": "Qwen 3", "smollm3": "SmolLM 3", "phi3": "Phi 3", "gpt_neox": "Pythia, GPT-NeoX", "gpt2": "GPT-2",
}  # fmt: skip
TEXTS = [prompt.text for prompt in PROMPTS]


def table():
    lines = ["| models | `model_type` | |\n", "|---|---|---|\n"]
    lines += [f"| {NAMES[kind]} | `{kind}` | supported |\n" for kind in ADAPTERS]
    return "".join([*lines, f"| mixtures of experts | any | refused: {MIXTURE} |\n"])


def test_the_readme_lists_them():
    start, end = MARKS
    assert README.read_text(encoding="utf-8").split(start)[1].split(end)[0] == table()


def test_each_has_a_tiny_model():
    assert {tiny_model(name).config.model_type for name in FAMILIES} == set(ADAPTERS)


def test_other_kinds_are_refused_in_one_line():
    with pytest.raises(ModelError, match="models of type 'opt' are not supported: it has not been tried") as caught:
        architecture(transformers.OPTConfig())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["Mixtral", "Qwen3Moe", "DeepseekV3", "GptOss"])
def test_a_mixture_of_experts_is_refused_as_one(name):
    with pytest.raises(ModelError, match=MIXTURE) as caught:
        architecture(getattr(transformers, f"{name}Config")())
    assert "\n" not in str(caught.value)


def slopes(model, pair, row):
    """Slope times difference of each head and MLP of one text, by autograd on the network itself."""
    clean, corrupted = streams(pair, row)
    kept = [{}, {}]
    for values, stream in zip(kept, (clean, corrupted), strict=True):
        for component in heads_and_mlps(model.architecture):
            with changing(model, component, lambda output, values=values, at=component: values.setdefault(at, output)):
                full_pass(model, stream)
    found = {}
    for component, value in kept[1].items():
        leaf = value.detach().clone().requires_grad_(True)
        with changing(model, component, lambda _output, leaf=leaf: leaf):
            (slope,) = torch.autograd.grad(answer_lead(full_pass(model, corrupted), pair.options[row]), leaf)
        found[component] = (slope * (kept[0][component] - value)).sum().item()
    span = answer_lead(full_pass(model, clean), pair.options[row]) - answer_lead(full_pass(model, corrupted), pair.options[row])
    return found, span.item()


def test_attribution_is_slope_times_difference(tiny):
    asked = PROMPTS[:2]
    pair = make_pair(tiny, asked, "tokens", 5)
    parts = [slopes(tiny, pair, row) for row in range(2)]
    span = sum(own for _, own in parts)
    scores = attribution_patching(tiny, asked, corruption="tokens", direction="denoise", seed=5)
    expected = {component: sum(found[component] for found, _ in parts) / span for component in scores.values}
    assert scores.values == pytest.approx(expected, abs=1e-4, rel=1e-3)
    assert max(map(abs, expected.values())) > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("name", ["L1.head2", "L2.mlp"])
def test_columns_set_to_zero_are_the_activation_ablated(tiny, name):
    component = Component.parse(name)
    blocks = [block for block in component.weights(tiny.architecture) if "o_proj" in block.parameter or "down_proj" in block.parameter]
    zeroed = Delta({block: -tiny.parameters[block.parameter].detach()[block.index] for block in blocks}).edited(tiny)
    expected = []
    for text in TEXTS:
        with changing(tiny, component, torch.zeros_like):
            expected.append(tiny.network(torch.tensor([tiny.tokenizer(text).input_ids])).logits[0, -1])
    torch.testing.assert_close(answer_logits(zeroed, tokenize(tiny, TEXTS)), torch.stack(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_edit_trains_its_mask_alone_and_its_delta_is_kept(tmp_path, family):
    model = tiny_model(family)
    before, masks = bits(model), inside(model, LOCALIZATIONS["mixed"])
    delta, _ = edited(model, LOCALIZATIONS["mixed"])
    delta.save(tmp_path / "delta.safetensors")
    after = bits(Delta.load(tmp_path / "delta.safetensors").edited(model))
    assert same(bits(model), before)
    for name, mask in masks.items():
        assert torch.equal(before[name][~mask], after[name][~mask])
        assert not mask.any() or (before[name] != after[name])[mask].float().mean() > 0.5


@pytest.fixture
def multimodal(tmp_path):
    """A folder with a random multimodal Gemma 3, and its network."""
    tokenizer, sizes = word_tokenizer(), dict.fromkeys(("hidden_size", "intermediate_size"), 16)
    count = len(tokenizer)
    text = tiny_model("gemma3").config.to_dict() | {"vocab_size": count + 3}
    vision = {**sizes, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    torch.manual_seed(0)
    network = transformers.Gemma3ForConditionalGeneration(transformers.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=count, boi_token_index=count + 1,
        eoi_token_index=count + 2,
    )).eval()  # fmt: skip
    network.save_pretrained(tmp_path / "multimodal")
    tokenizer.save_pretrained(tmp_path / "multimodal")
    return tmp_path / "multimodal", network


@torch.no_grad()
def test_of_a_multimodal_model_the_text_part_is_used(multimodal):
    folder, network = multimodal
    model = load(resolve(str(folder)))
    assert model.parameters.keys() == tiny_model("gemma3").parameters.keys()
    expected = torch.stack([network(torch.tensor([ids])).logits[0, -1] for ids in model.tokenizer(TEXTS).input_ids])
    torch.testing.assert_close(answer_logits(model, tokenize(model, TEXTS)), expected, atol=1e-4, rtol=1e-4)


def test_a_text_whose_length_scales_its_positions_is_refused():
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    model = tiny_model("llama", rope_parameters=rope, max_position_embeddings=24)
    pack(model, [[1] * 24])
    with pytest.raises(ModelError, match="25 tokens, and beyond 24 positions are scaled by a text's length in tiny-llama: shorten it"):
        pack(model, [[1] * 25])


def test_a_network_with_weights_that_are_no_numbers_is_refused():
    model = tiny_model("llama")
    model.parameters["model.layers.1.mlp.up_proj.weight"].data[0, 0] = torch.nan
    with pytest.raises(ModelError, match="damaged is refused: its logits are not finite"):
        wrap(model.network, model.tokenizer, replace(model.spec, name="damaged"), "none")


if __name__ == "__main__":
    before, _, rest = README.read_text(encoding="utf-8").partition(MARKS[0])
    README.write_text(before + MARKS[0] + table() + MARKS[1] + rest.partition(MARKS[1])[2], encoding="utf-8")

"""Copies in another precision share what they can, and bfloat16 ranks components as float32 does."""

import pytest
import torch
from brute_force import PROMPTS
from scipy.stats import spearmanr
from tiny_models import FAMILIES, tiny_model
from torch import nn

from mechlib.models import ModelError
from mechlib.models.forward import hidden_at, residual_stream, tokenize, unembed
from mechlib.models.precision import computing, fast_precision, in_precision, multiplying
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import make_pair
from mechlib.patching.path import direct_effects
from mechlib.patching.weights import gradient_times_weight
from mechlib.runs.stages.answers import AnswerSettings, KnownSettings

pytestmark = pytest.mark.precision

PRECISIONS = pytest.mark.parametrize("precision", ["float32", "bfloat16"])


def stored_in(dtype, family, **sizes):
    model = tiny_model(family, **sizes)
    model.network.to(dtype)
    return model


@pytest.fixture
def biased():
    """Qwen 2 in bfloat16, with biases that are not zero."""
    model, generator = stored_in(torch.bfloat16, "qwen2"), torch.Generator().manual_seed(0)
    for name, weight in model.parameters.items():
        if name.endswith("bias"):
            weight.data = torch.randn(weight.shape, generator=generator).to(torch.bfloat16)
    return model


def held(model):
    """Every weight by the module that holds it: a tied one appears twice."""
    return {
        f"{path}.{name}": weight
        for path, module in model.network.named_modules()
        for name, weight in module.named_parameters(recurse=False)
    }


def test_float32_converts_everything_and_nothing_in_the_model(biased):
    before = held(biased)
    after = held(in_precision(biased, "float32"))
    assert after.keys() == before.keys()
    assert any(name.endswith("bias") for name in after)
    for name, weight in before.items():
        assert weight.dtype == torch.bfloat16
        assert after[name].dtype == torch.float32
        assert torch.equal(after[name], weight.float())
        assert not after[name].requires_grad


@pytest.mark.parametrize("family", FAMILIES)
def test_a_float32_copy_of_a_float32_model_shares_everything(family):
    model = tiny_model(family)
    copied, before = held(in_precision(model, "float32")), held(model)
    assert copied.keys() == before.keys()
    assert all(copied[name] is weight for name, weight in before.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bfloat16_copy_converts_the_matrices_of_products_only(family):
    model = tiny_model(family)
    copied, before = held(in_precision(model, "bfloat16")), held(model)
    linear = {name: module for name, module in model.network.named_modules() if isinstance(module, nn.Linear)}
    products = {f"{name}.{own}" for name, module in linear.items() for own, _ in module.named_parameters(recurse=False)}
    assert {name for name in copied if copied[name] is not before[name]} == products
    for name in products:
        assert copied[name].dtype == torch.bfloat16
        assert torch.equal(copied[name], before[name].bfloat16())
        assert before[name].dtype == torch.float32


@pytest.mark.parametrize("family", ["gemma", "gemma2", "gemma3"])
def test_a_tied_unembedding_stays_tied_where_both_are_converted(family):
    model = stored_in(torch.bfloat16, family)
    twin = in_precision(model, "float32").network
    assert twin.get_output_embeddings().weight is twin.get_input_embeddings().weight
    # As matrix of a product it is converted, as table of embeddings it is not.
    model = tiny_model(family)
    twin = in_precision(model, "bfloat16").network
    assert twin.get_output_embeddings().weight.dtype == torch.bfloat16
    assert twin.get_input_embeddings().weight is model.network.get_input_embeddings().weight


@PRECISIONS
def test_the_copy_has_modules_of_its_own(tiny_gemma3, precision):
    twin = in_precision(tiny_gemma3, precision)
    assert not {id(module) for module in twin.network.modules()} & {id(module) for module in tiny_gemma3.network.modules()}


@pytest.mark.parametrize("stored", [
    torch.float32,
    torch.bfloat16,
])  # fmt: skip
def test_the_residual_stream_is_float32_between_products_in_bfloat16(stored):
    model = in_precision(stored_in(stored, "gemma3"), "bfloat16")
    seen = []
    handle = model.layers[1].mlp.up_proj.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    with computing(model, "bfloat16"):
        entries = residual_stream(model, tokenize(model, [asked.text for asked in PROMPTS]), range(3))
    handle.remove()
    assert set(seen) == {torch.bfloat16}
    assert {entry.stream.dtype for entry in entries} == {torch.float32}


def test_arithmetic_outside_the_block_is_as_before(tiny_gemma3):
    a = torch.ones(2, 2)
    with computing(tiny_gemma3, "float32"):
        assert (a @ a).dtype == torch.float32
    with computing(tiny_gemma3, "bfloat16"):
        assert (a @ a).dtype == torch.bfloat16
    assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize("family", ["gemma3", "llama"])
def test_scores_of_a_bfloat16_model_are_those_of_its_weights_in_float32(family):
    stored, widened = stored_in(torch.bfloat16, family), stored_in(torch.bfloat16, family)
    widened.network.float()
    one, other = (activation_patching(model, PROMPTS, corruption="tokens", direction="denoise", seed=5) for model in (stored, widened))
    assert one == other
    assert {weight.dtype for weight in stored.parameters.values()} == {torch.bfloat16}


METHODS = {
    "exact": lambda model, **options: activation_patching(model, PROMPTS, corruption="tokens", direction="denoise", seed=5, **options),
    "estimate": lambda model, **options: attribution_patching(model, PROMPTS, corruption="tokens", direction="noise", seed=5, **options),
    "inputs": lambda model, **options: METHODS["estimate"](model, inputs=True, **options),
    "relevance": lambda model, **options: METHODS["estimate"](model, slope="relevance", **options),
    "direct": lambda model, **options: direct_effects(model, PROMPTS, seed=5, **options),
    "weights": lambda model, **options: gradient_times_weight(model, PROMPTS, **options),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_bfloat16_ranks_components_as_float32_does(family, method):
    model = tiny_model(family)
    exact, rough = (METHODS[method](model, precision=precision).values for precision in ("float32", "bfloat16"))
    assert exact.keys() == rough.keys()
    assert spearmanr(list(exact.values()), [rough[component] for component in exact]).statistic > 0.9
    assert exact != rough


def test_both_precisions_draw_the_same_corruption(tiny_gemma3):
    one, other = (make_pair(in_precision(tiny_gemma3, precision), PROMPTS, "tokens", 5) for precision in ("float32", "bfloat16"))
    assert torch.equal(one.corrupted.stream, other.corrupted.stream)


def test_what_nobody_asks_for_is_what_is_fast_here_unless_the_environment_says(monkeypatch):
    for forced in ("float32", "bfloat16"):
        monkeypatch.setenv("MECHLIB_PRECISION", forced)
        assert fast_precision() == forced
    monkeypatch.setenv("MECHLIB_PRECISION", "float16")
    with pytest.raises(ModelError, match="MECHLIB_PRECISION=float16: choose float32 or bfloat16"):
        fast_precision()
    monkeypatch.delenv("MECHLIB_PRECISION")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    for accelerated, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.accelerator, "is_available", lambda found=accelerated: found)
        assert fast_precision() == precision


def test_a_model_says_how_its_layers_multiply_and_the_unembedding_does_not_follow():
    """Between float32 and bfloat16 the hidden states differ as products do; logits of the same states are the same bits."""
    model = tiny_model("gemma3")
    packed = tokenize(model, ["Babe Ruth plays the sport of", "Tiger Woods plays the sport of"])
    low = multiplying(model, "bfloat16")
    with torch.no_grad():
        exact, rough = (hidden_at(one, packed, packed.ends) for one in (model, low))
        assert not torch.equal(exact, rough) and (exact - rough).abs().max() < 0.05 * exact.abs().max()
        assert torch.equal(unembed(model, exact), unembed(low, exact))
    assert low.network is model.network and model.arithmetic == "float32"


def test_what_nobody_asks_for_is_the_fast_one_in_measuring_and_float32_in_deciding(monkeypatch):
    monkeypatch.setenv("MECHLIB_PRECISION", "bfloat16")
    model = tiny_model("gemma3")
    assert multiplying(model, None).arithmetic == "bfloat16" and multiplying(model, "float32").arithmetic == "float32"
    # Who is known decides what is edited: the setting of that stage has no precision to ask for.
    assert "precision" not in KnownSettings.__dataclass_fields__ and "precision" in AnswerSettings.__dataclass_fields__

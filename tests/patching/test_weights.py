"""|Gradient x weight| against plain autograd: every weight of the whole network, one unpadded text at a time, nothing shared."""

import copy
from dataclasses import replace

import pytest
import torch
from brute_force import PROMPTS, answer_lead
from tiny_models import FAMILIES, tiny_model

from mechlib.components import Component, heads_and_mlps
from mechlib.models.tokens import option_tokens
from mechlib.patching.weights import gradient_times_weight


def plain_products(model, asked):
    """|gradient x weight| of each weight by its name, and the mean logit difference."""
    network = copy.deepcopy(model.network).requires_grad_(True)
    leads = []
    for prompt in asked:
        logits = network(**model.tokenizer(prompt.text, return_tensors="pt"), use_cache=False).logits[0, -1]
        leads.append(answer_lead(logits, torch.tensor(option_tokens(model, prompt))))
    mean = torch.stack(leads).mean()
    mean.backward()
    return {name: (own.grad * own).abs().detach() for name, own in replace(model, network=network).parameters.items()}, mean.item()


def summed(products, component):
    """Of a component, from its definition: a head has its queries and what reads its output, a group its keys and values."""
    layer, rows = f"model.layers.{component.layer}.", slice((component.index or 0) * 8, (component.index or 0) * 8 + 8)
    parts = {
        "head": lambda: (products[layer + "self_attn.q_proj.weight"][rows], products[layer + "self_attn.o_proj.weight"][:, rows]),
        "kv": lambda: (products[layer + "self_attn.k_proj.weight"][rows], products[layer + "self_attn.v_proj.weight"][rows]),
        "mlp": lambda: [product for name, product in products.items() if name.startswith(f"{layer}mlp.") and product.ndim == 2],
    }[component.kind]()
    return sum(part.sum().item() for part in parts)


def groups(arch):
    return [Component(layer, "kv", number) for layer in range(arch.n_layers) for number in range(arch.n_key_value_heads)]


@pytest.mark.parametrize("family", ["gemma2", "llama", "phi3", "gpt_neox"])
def test_scores_equal_plain_autograd_over_the_whole_network(family):
    model = tiny_model(family)
    each = [plain_products(model, [prompt]) for prompt in PROMPTS]
    scores = gradient_times_weight(model, PROMPTS)
    assert scores.values.keys() == {*heads_and_mlps(model.architecture), *groups(model.architecture)}
    expected = {component: [summed(products, component) for products, _ in each] for component in scores.values}
    total = sum(sum(found) for found in expected.values())
    for component, found in expected.items():
        assert scores.effects[component] == pytest.approx(found, rel=1e-3, abs=1e-5)
        assert scores.values[component] == pytest.approx(sum(found) / total, rel=1e-3, abs=1e-6)
    assert scores.clean == scores.corrupted == pytest.approx(sum(lead for _, lead in each) / len(each), abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_shares_of_all_that_is_scored(family):
    scores = gradient_times_weight(tiny_model(family), PROMPTS)
    assert sum(scores.values.values()) == pytest.approx(1.0)
    assert min(scores.values.values()) > 0
    for number, total in enumerate(scores.spans):
        assert sum(found[number] for found in scores.effects.values()) == pytest.approx(total)


@pytest.mark.parametrize("n_groups", [1, 2, 4])
def test_heads_and_groups_add_up_to_the_attention_layer(n_groups):
    model = tiny_model("gemma3", num_key_value_heads=n_groups)
    products, _ = plain_products(model, PROMPTS[:1])
    scores = gradient_times_weight(model, PROMPTS[:1])
    for layer in range(model.architecture.n_layers):
        parts = sum(found[0] for component, found in scores.effects.items() if component.layer == layer and component.kind != "mlp")
        whole = sum(products[f"model.layers.{layer}.self_attn.{name}_proj.weight"].sum().item() for name in "qkvo")
        assert parts == pytest.approx(whole, rel=1e-3)


def test_the_seed_changes_nothing():
    one, other = (gradient_times_weight(tiny_model("gemma3"), PROMPTS, seed=seed) for seed in (0, 1))
    assert one == other


def test_the_weights_stay_as_they_are():
    model = tiny_model("gemma3")
    before = {name: weight.detach().clone() for name, weight in model.parameters.items()}
    gradient_times_weight(model, PROMPTS)
    assert all(weight.grad is None and torch.equal(weight, before[name]) for name, weight in model.parameters.items())


def test_the_model_asks_for_no_gradient_afterwards():
    model = tiny_model("gemma3")
    gradient_times_weight(model, PROMPTS)
    assert not any(weight.requires_grad for weight in model.parameters.values())

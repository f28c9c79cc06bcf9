"""What the tests of edits share: a small editing problem, and weights compared bit by bit."""

from dataclasses import replace

import torch

from mechlib.components import Component, Localization
from mechlib.edit.general_text import sample
from mechlib.edit.train import EditConfig, edit
from mechlib.facts import FORMATS, athletes, prompts

FACTS = athletes().facts[::90]
FORGET = prompts([replace(fact, target="golf") for fact in FACTS[:4]], FORMATS["one_shot"])
RETAIN = prompts(FACTS[4:10], FORMATS["one_shot"])
LOCALIZATIONS = {
    "mlp": ("L1.mlp",),
    "attention": ("L1.attn",),
    "head": ("L1.head2",),
    "group": ("L1.kv1",),
    "mixed": ("L0.head3", "L1.head0", "L1.head2", "L1.kv1", "L2.attn", "L2.mlp"),
}
BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}


def localization(model, names):
    return Localization.of("+".join(names), [Component.parse(name) for name in names], model.architecture)


def edited(model, where, **settings):
    """A short edit: delta and learning curve."""
    config = EditConfig(**{"learning_rate": 1e-2, "steps": 2, "retain_batch": 3, **settings})
    return edit(model, localization(model, where), FORGET, RETAIN, sample(model, 4, 8, seed=0), config)


def bits(model):
    """Every weight of the model as integers."""
    return {name: weight.detach().clone().view(BITS[weight.dtype]) for name, weight in model.parameters.items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def inside(model, where):
    """A mask for each weight of the model: which entries belong to the localization."""
    masks = {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in model.parameters.items()}
    for component in localization(model, where).components:
        for block in component.weights(model.architecture):
            masks[block.parameter][block.index] = True
    return masks

"""Which mechanism's weights a localization covers or an edit changes, counted by hand."""

import pytest
import torch
from editing import LOCALIZATIONS, localization
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_model

from mechlib.components import Component, ComponentError
from mechlib.edit.delta import Delta
from mechlib.evals.mechanisms import touched

GEMMA = tiny_model("gemma3")
ARCH = GEMMA.architecture
# Weights of a query head (its queries and outputs), and of an MLP.
HEAD, MLP = 2 * 8 * 32, 3 * 48 * 32
MECHANISMS = {
    "heads": (Component(1, "head", 0), Component(1, "head", 2)),
    # A head inside its layer counts once.
    "layer": (Component(1, "attn"), Component(1, "head", 2)),
    "lookup": (Component(0, "mlp"), Component(1, "mlp")),
    "elsewhere": (Component(2, "mlp"),),
    "none": (),
}


def changing(where, places):
    """A delta of the blocks of a localization that changes the weights at the given places among all of them."""
    blocks = [block for part in localization(GEMMA, where).components for block in part.weights(ARCH)]
    flat = torch.zeros(sum(block.size for block in blocks))
    flat[list(places)] = 0.5
    shapes = [GEMMA.parameters[block.parameter][block.index].shape for block in blocks]
    parts = flat.split([block.size for block in blocks])
    return Delta({block: part.view(shape) for block, part, shape in zip(blocks, parts, shapes, strict=True)})


def test_a_localization_touches_every_weight_that_it_names():
    rows = touched(localization(GEMMA, ("L1.head2", "L1.mlp", "L2.kv0")), MECHANISMS, ARCH)
    assert [(row.mechanism, row.weights, row.touched, row.share) for row in rows] == [
        ("heads", 2 * HEAD, HEAD, 0.5), ("layer", 6 * HEAD, HEAD, 1 / 6), ("lookup", 2 * MLP, MLP, 0.5), ("elsewhere", MLP, 0, 0.0),
        ("none", 0, 0, 0.0),
    ]  # fmt: skip


def test_an_edit_touches_only_what_it_changes():
    """The first 256 values are the head's queries, the next its outputs, and then come the gates of the MLP."""
    rows = touched(changing(("L1.head2", "L1.mlp", "L2.kv0"), (3, 255, 256, 511, 512, 999)), MECHANISMS, ARCH)
    assert [(row.weights, row.touched, row.share) for row in rows] == [
        (2 * HEAD, 4, 4 / (2 * HEAD)), (6 * HEAD, 4, 4 / (6 * HEAD)), (2 * MLP, 2, 2 / (2 * MLP)), (MLP, 0, 0.0), (0, 0, 0.0),
    ]  # fmt: skip


def test_a_component_that_the_model_lacks_is_an_error():
    with pytest.raises(ComponentError, match="layers 0 to 2"):
        touched(localization(GEMMA, ("L1.mlp",)), {"late": (Component(7, "mlp"),)}, ARCH)


@given(st.sampled_from(sorted(LOCALIZATIONS)), st.sets(st.integers(0, 500), min_size=1))
def test_mechanisms_that_divide_the_model_share_out_all_that_is_touched(name, places):
    where = LOCALIZATIONS[name]
    mechanisms = {f"{kind}{layer}": (Component(layer, kind),) for layer in range(ARCH.n_layers) for kind in ("attn", "mlp")}
    assert sum(row.touched for row in touched(localization(GEMMA, where), mechanisms, ARCH)) == localization(GEMMA, where).parameters
    assert sum(row.touched for row in touched(changing(where, places), mechanisms, ARCH)) == len(places)

"""A delta stays inside its localization; what is shared by two is counted once; masks of one size are equally large."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_model

from mechlib.components import Localization, heads_and_mlps
from mechlib.edit.delta import Delta, merge
from mechlib.edit.weight_masking import Mask, discretized

MODEL = tiny_model("gemma3")
ARCH = MODEL.architecture
places = st.sets(st.sampled_from(heads_and_mlps(ARCH)), min_size=1, max_size=6)


def blocks_of(components):
    return [block for component in sorted(components) for block in component.weights(ARCH)]


def ones(components):
    return Delta({block: torch.ones(block.rows[1] - block.rows[0] if block.rows else block.shape[0],
                                    block.columns[1] - block.columns[0] if block.columns else block.shape[1])
                  for block in blocks_of(components)})  # fmt: skip


def changed(delta):
    """Weights that differ in the edited model, by matrix."""
    before, after = MODEL.parameters, delta.edited(MODEL).parameters
    return {name: (before[name] != after[name]) for name in before if not torch.equal(before[name], after[name])}


def inside(components):
    masks = {}
    for block in blocks_of(components):
        masks.setdefault(block.parameter, torch.zeros(block.shape, dtype=torch.bool))[block.index] = True
    return masks


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def count(components):
    return sum(component.size(ARCH) for component in components)


@given(places)
def test_a_delta_of_ones_changes_its_components_and_nothing_else(components):
    assert equal(changed(ones(components)), inside(components))
    assert ones(components).size == count(components) == Localization.of("some", components, ARCH).parameters


@given(places, places)
def test_two_deltas_hold_the_union_and_share_the_intersection(first, second):
    both = merge(ones(first), ones(second))
    assert equal(changed(both), inside(first | second))
    assert both.size == count(first | second) == count(first) + count(second) - count(first & second)


@given(places, places, st.integers(1, 400), st.integers(0, 99))
def test_masks_of_one_size_zero_as_many_weights_each_inside_its_own(first, second, size, seed):
    for components in (first, second):
        blocks = tuple(blocks_of(components))
        values = torch.rand(sum(block.size for block in blocks), generator=torch.Generator().manual_seed(seed))
        edit = discretized(MODEL, Mask(blocks, values), size)
        where, allowed = changed(edit), inside(components)
        assert sum(int(found.sum()) for found in where.values()) == edit.provenance["zeroed"] == size
        assert all(not (found & ~allowed[name]).any() for name, found in where.items())


@pytest.mark.parametrize("size", [10**6])
def test_no_more_weights_are_zeroed_than_a_mask_has(size):
    component = heads_and_mlps(ARCH)[0]
    blocks = tuple(component.weights(ARCH))
    edit = discretized(MODEL, Mask(blocks, torch.zeros(component.size(ARCH))), size)
    assert edit.provenance["zeroed"] == component.size(ARCH)

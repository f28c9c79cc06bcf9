"""Windows of as many MLPs as fact lookup has, over all layers of any model."""

import pytest

from mechlib.components import Architecture, Component, ComponentError, modules
from mechlib.localize.controls import spaced_mlps
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localize, localizer, valid_keys

ARCH = Architecture(n_layers=18, n_heads=4, n_key_value_heads=1, d_model=8, d_head=2, d_mlp=16)
MLP = Component(0, "mlp").size(ARCH)


def layers(budget, number, of=9, arch=ARCH):
    return [part.layer for part in spaced_mlps(arch, budget, number, of)]


def test_nine_windows_of_two_are_all_layers_each_once():
    assert [layers(2 * MLP, number) for number in range(9)] == [[2 * number, 2 * number + 1] for number in range(9)]


@pytest.mark.parametrize(("n_layers", "width", "of"), [(32, 5, 9), (12, 1, 4), (18, 3, 2), (26, 26, 3)])
def test_windows_begin_at_the_first_layer_end_at_the_last_and_are_as_wide(n_layers, width, of):
    arch = Architecture(n_layers, 4, 1, 8, 2, 16)
    found = [layers(width * MLP, number, of, arch) for number in range(of)]
    assert found[0][0] == 0 and found[-1][-1] == n_layers - 1
    assert all(own == list(range(own[0], own[0] + width)) for own in found)
    starts = [own[0] for own in found]
    steps = [after - before for before, after in zip(starts, starts[1:], strict=False)]
    assert max(steps) - min(steps) <= 1


def test_a_budget_between_two_mlps_takes_the_next_and_one_above_all_is_refused():
    assert layers(MLP + 1, 0) == [0, 1]
    with pytest.raises(ComponentError):
        spaced_mlps(ARCH, len(modules(ARCH, ["mlp"])) * MLP + 1, 0, 9)


@pytest.mark.parametrize("key", ["window_9_of_9", "window_0_of_1", "window_0_of_0", "window__of_3", "window_1_of_", "Window_0_of_9"])
def test_a_window_that_is_not_there_is_refused(key):
    with pytest.raises(ComponentError, match="no localization"):
        localizer(key)
    assert key not in valid_keys([key])


def test_a_window_is_a_matched_method_with_a_name():
    found = localizer("window_2_of_9")
    assert found.matched and found.label == "MLPs, window 3 of 9" and "window_2_of_9" in valid_keys("window_2_of_9")


@pytest.mark.parametrize(("n_layers", "width", "of"), [(18, 5, 8), (18, 5, 1), (6, 1, 3), (32, 8, 4)])
def test_places_of_planted_facts_are_five_in_eighteen_layers_from_the_first_to_the_last(n_layers, width, of):
    arch = Architecture(n_layers, 4, 1, 8, 2, 16)
    found = [[part.layer for part in localize(f"site_{number}_of_{of}", Measured(), arch, 0, budget=0).components] for number in range(of)]
    assert all(own == list(range(own[0], own[0] + width)) for own in found)
    assert found[0][0] == 0 and (of == 1 or found[-1][-1] == n_layers - 1)
    assert len({own[0] for own in found}) == of


def test_eight_places_of_eighteen_layers_by_hand():
    found = [localize(f"site_{number}_of_8", Measured(), ARCH, 0, budget=0).components[0].layer for number in range(8)]
    assert found == [0, 2, 4, 6, 7, 9, 11, 13]
    assert localizer("site_2_of_8").label == "MLPs, place 3 of 8" and not localizer("site_2_of_8").matched


@pytest.mark.parametrize("key", ["site_8_of_8", "site_0_of_0", "site__of_3", "site_1_of_", "Site_0_of_9"])
def test_a_place_that_is_not_there_is_refused(key):
    with pytest.raises(ComponentError, match="no localization"):
        localizer(key)
    assert key not in valid_keys([key])

"""Depth or lookup: whether a planted effect of either is told from the other, and when nothing may be said."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from attack_rows import BEFORE, HARD
from test_verdicts import ARCH, answered, claim, claims

from mechlib.components import Architecture, Component, Localization
from mechlib.report import equal_depth, verdicts
from mechlib.report.gates import Evidence

DEEP = Architecture(18, *list(vars(ARCH).values())[1:])
PLACES = {"fact_lookup": (3, 5), **{f"window_{n}_of_9": (2 * n, 2 * n + 1) for n in range(9)},
          "random_mlps_90": (2, 6), "random_mlps_39": (1, 7), "random_mlps_133": (3, 9),
          "random_mlps_53": (5, 13), "random_mlps_28": (2, 14)}  # fmt: skip
CLAIM = claim("deep", "transfer at equal depth", ["elsewhere at equal depth"], rule="mixed model")


def trains(places):
    found = {key: Localization.of(key, [Component(layer, "mlp") for layer in layers], DEEP, architecture=vars(DEEP))
             for key, layers in places.items()}  # fmt: skip
    return {key: dict.fromkeys(range(4), one) for key, one in found.items()}


def evidence(odds, places=PLACES, success=None, relearning=False):
    """A study in which ``odds(shared, depth)`` are the log odds after an edit, a little other in every place and set."""
    asked, attacked = [answered("unedited", group, n, 4.0, number, format=form) for number in range(4) for n in range(4)
                       for form in ("one_shot", "question") for group in ("forget", "maintain")], []  # fmt: skip
    for place, (key, layers) in enumerate(places.items()):
        value = odds(len({3, 5} & {*layers}) / 2, sum(layers) / 2) + 0.05 * math.sin(7 * place)
        for number in range(4):
            target = (success or {}).get(key, 0.97)
            own = value + 0.3 * number + 0.02 * math.cos(3 * place * number)
            for form in ("one_shot", "question"):
                asked += [answered(key, "forget", n, own, number, format=form, target=target) for n in range(4)]
                asked += [answered(key, "maintain", n, 4.0, number, format=form) for n in range(4)]
            for at in (BEFORE, HARD) if relearning else ():
                attacked += [answered(key, group, n, own if group == "forget" else 4.0, number, at)
                             for group in ("forget", "maintain", "relearned") for n in range(4)]  # fmt: skip
    return Evidence("t", "one_shot", asked, attacked, ("question",), trains(places))


def verdict(*given, **more):
    (line,) = verdicts.lines(claims(CLAIM), evidence(*given, **more))
    return line


def test_places_are_those_of_as_many_weights_that_are_the_same_in_all_sets():
    study = evidence(lambda *_: 0.0)
    other = {"all_mlps": tuple(range(18)), "one": (4,)}
    moving = dict(enumerate(trains({"a": (0, 1), "b": (2, 3), "c": (4, 5), "d": (6, 7)}).values()))
    study = replace(study, trains={**study.trains, **trains(other), "random_mlps": {n: moving[n][0] for n in range(4)}})
    found = equal_depth.places(study, "fact_lookup").set_index("arm")
    assert set(found.index) == set(PLACES)
    overlaps = found.overlap[["fact_lookup", "window_1_of_9", "window_0_of_9"]].tolist()
    assert overlaps == pytest.approx([1, 1 / 3, 0])
    assert tuple(found.loc["random_mlps_53", ["depth", "earliest", "latest"]]) == (9, 5, 13)


def test_an_effect_of_lookup_is_found_at_equal_depth():
    line = verdict(lambda shared, depth: -3 * shared + 0.2 * depth)
    assert line.verdict == "supported" and line.odds.difference.estimate == pytest.approx(-3, abs=0.5)
    assert line.odds.n_sets == 4 and line.odds.n_facts == 16 and "15 places" in line.gates


def test_an_effect_of_depth_alone_is_not_one_of_lookup():
    """Edits that leave less the earlier they are, or least near layer 5: fact lookup looks good, and is no better than its depth."""
    for depth in (lambda layer: 0.4 * layer, lambda layer: 0.1 * (layer - 5) ** 2):
        study = evidence(lambda _, layer, of=depth: of(layer))
        (line,) = verdicts.lines(claims(CLAIM), study)
        assert line.verdict == "equivalent" and abs(line.odds.difference.estimate) < 0.2
        points = equal_depth.points(line.claim, study)
        assert points.odds[points.arm == "fact_lookup"].mean() < points.odds.mean() - 0.5


def test_a_lookup_that_does_harm_is_contradicted():
    assert verdict(lambda shared, depth: 2 * shared + 0.2 * depth).verdict == "contradicted"


def test_places_that_were_not_edited_are_left_out_and_too_many_forbid_a_verdict():
    one = verdict(lambda shared, depth: -3 * shared, success={"window_8_of_9": 0.5})
    assert one.verdict == "supported" and "14 places" in one.gates and "window_8_of_9 (not edited alike)" in one.gates
    late = {f"window_{n}_of_9": 0.5 for n in (6, 7, 8)}
    assert verdict(lambda shared, depth: -3 * shared, success=late).verdict == "not edited alike"


def test_few_places_are_not_run():
    few = {key: PLACES[key] for key in list(PLACES)[: equal_depth.ENOUGH_PLACES - 1]}
    assert verdict(lambda shared, depth: -3 * shared, places=few).verdict == verdicts.NOT_RUN
    again = claim("deep", "relearning at equal depth", ["elsewhere at equal depth"], rule="mixed model")
    without, attacked = (verdicts.lines(claims(again), evidence(lambda shared, _: -3 * shared, relearning=some))[0]
                         for some in (False, True))  # fmt: skip
    assert without.verdict == verdicts.NOT_RUN and attacked.verdict == "supported"


def test_a_pair_is_not_compared_at_equal_norm_by_forgetting_the_norm():
    (line,) = verdicts.lines(claims(claim("n", "transfer at equal norm", ["window_8_of_9"])), evidence(lambda shared, _: -3 * shared))
    assert line.verdict == verdicts.NOT_RUN


def test_the_tables_have_every_model_and_every_place():
    study = evidence(lambda shared, depth: -3 * shared + 0.2 * depth)
    (line,) = verdicts.lines(claims(CLAIM), study)
    arms = [{"localization": key, "forget_set": number, "seed": 0} for key in PLACES for number in range(4)]
    curves = [{**arm, "step": step} for arm in arms for step in range(10 + arm["forget_set"])]
    values = [(arm, {"norm": 1.0 + len(arm["localization"])}) for arm in arms]
    table = equal_depth.with_changes(equal_depth.points(line.claim, study), values, curves)
    assert table.steps.tolist() == [10 + number for number in table.forget_set]
    models = equal_depth.model_table(table, "odds").set_index("terms")
    assert list(models.index) == list(equal_depth.MODELS) and models.loc["overlap alone", "p"] != "-"
    assert models["overlap, 0 to 1"]["and depth squared (decides)"].startswith(f"{line.odds.difference.estimate:.2f}")
    alone = equal_depth.single_terms(table, "odds").set_index("term alone")
    assert list(alone.index) == list(equal_depth.CORRELATED) and alone.effect["overlap"] == models["overlap, 0 to 1"]["overlap alone"]
    assert equal_depth.extremes(table).startswith("least comes back after Fact lookup (layers 3 and 5), most after MLPs, window 9 of 9")
    assert equal_depth.extremes(table.assign(odds=1.0)) == "as much comes back after every place"
    two = table.assign(odds=[0.0 if arm in ("window_1_of_9", "window_2_of_9") else 1.0 for arm in table.arm])
    least = "MLPs, window 2 of 9 (layers 2 and 3) and MLPs, window 3 of 9 (layers 4 and 5)"
    assert equal_depth.extremes(two).startswith(f"least comes back after {least}, most after ")
    shown = equal_depth.places_table(table, {"window_8_of_9": "model broken"})
    assert len(shown) == len(PLACES) and shown.depth.is_monotonic_increasing
    assert shown.set_index("place").gate["MLPs, window 9 of 9"] == "model broken" and shown["layers"].iloc[0] == "0 and 1"
    assert equal_depth.edited(18) == "18 places" and equal_depth.edited(1).startswith("1 place, too few")
    assert equal_depth.correlations(table).loc["depth", "depth"] == pytest.approx(1)
    assert equal_depth.model_table(pd.DataFrame(table[:4]), "odds").p.tolist() == ["-"] * len(equal_depth.MODELS)

"""Next door: the place right before fact lookup tells lookup from depth, and only comparisons that were run are drawn."""

from dataclasses import replace

import pytest
from attack_rows import BEFORE, HARD
from test_verdicts import ARCH, answered, claim, claims

from mechlib.components import Architecture, Localization, modules
from mechlib.report import next_door, verdicts
from mechlib.report.gaps import around_attack, gaps
from mechlib.report.gates import Evidence

DEEP = Architecture(18, *list(vars(ARCH).values())[1:])
RIVALS = ["mlps_before", "mlps_after", "window_0_of_9"]
CLAIMS = claims(claim("moved", next_door.TRANSFER, RIVALS), claim("back", next_door.RELEARNING, RIVALS))
LAYERS = {"fact_lookup": (3, 5), "mlps_before": (2, 4), "mlps_after": (4, 6), "window_0_of_9": (0, 1)}
# What is left of the old answer: lookup decides where the place right before is worse than fact lookup's.
LOOKUP = {"fact_lookup": -2.0, "mlps_before": 1.0, "mlps_after": 1.0}


def trained(arm):
    mlps = modules(DEEP, ["mlp"])
    return Localization.of(arm, [mlps[layer] for layer in LAYERS[arm]], DEEP, architecture=vars(DEEP))


def evidence(arms):
    asked, attacked = [], []
    for number in range(12):
        for arm, odds in {"unedited": 4.0, **arms}.items():
            own = odds + 0.05 * ((3 * number + len(arm)) % 5)
            for form in ("one_shot", "statement"):
                asked += [answered(arm, "forget", n, own, number, format=form, target=0.97) for n in range(4)]
                asked += [answered(arm, "maintain", n, 4.0, number, format=form) for n in range(4)]
            for at in (BEFORE, HARD):
                attacked += [answered(arm, group, n, own if group == "forget" else 4.0, number, at)
                             for group in ("forget", "maintain", "relearned") for n in range(4)]  # fmt: skip
    return Evidence("t", "one_shot", asked, attacked, ("statement",), {arm: dict.fromkeys(range(12), trained(arm)) for arm in arms})


@pytest.mark.parametrize(("odds", "verdict"), [(1.0, "supported"), (-5.0, "contradicted")])
def test_the_place_right_before_decides(odds, verdict):
    found = verdicts.lines(CLAIMS, evidence({**LOOKUP, "mlps_before": odds}))
    before = [one for one in found if one.rival == "mlps_before"]
    assert [(one.claim.key, one.verdict, one.overlap) for one in before] == [("moved", verdict, 0), ("back", verdict, 0)]


def test_what_is_drawn_is_what_was_run_whatever_is_claimed_of_it():
    table = gaps(next_door.series(CLAIMS.claim, evidence({**LOOKUP, "mlps_after": 0.0})), "fact_lookup")
    expected = [(rival, series) for series in next_door.OUTCOMES.values() for rival in RIVALS[:2]]
    assert list(zip(table.rival, table.series, strict=True)) == expected
    assert table.estimate.to_numpy() == pytest.approx([-3, -2, -3, -2], abs=0.15)
    assert (table.low <= table.estimate).all() and (table.estimate <= table.high).all()
    lines = {one.rival: one.odds.difference for one in verdicts.lines(CLAIMS, evidence(LOOKUP)) if one.claim.key == "back" and one.odds}
    table = gaps(next_door.series(CLAIMS.claim, evidence(LOOKUP)), "fact_lookup")
    drawn = table.query("series == 'after relearning of one half'").set_index("rival")
    assert {rival: (gap.low, gap.high) for rival, gap in lines.items()} == {rival: tuple(drawn.loc[rival, ["low", "high"]])
                                                                            for rival in drawn.index}  # fmt: skip


def test_without_fact_lookup_or_without_relearning_there_is_no_gap():
    others = evidence({arm: odds for arm, odds in LOOKUP.items() if arm != "fact_lookup"})
    assert len(gaps(next_door.series(CLAIMS.claim, others), "fact_lookup")) == 0
    unattacked = replace(evidence(LOOKUP), relearning=[])
    assert set(gaps(next_door.series(CLAIMS.claim, unattacked), "fact_lookup").series) == {next_door.OUTCOMES[next_door.TRANSFER]}
    assert around_attack(unattacked) == {}


def test_a_gap_is_drawn_before_the_attack_and_after_it():
    found = evidence(LOOKUP)
    # Before the attack every arm says what fact lookup's edit says.
    alike = [row for row in found.relearning if (row["setting"], row["group"]) == (BEFORE[0], "forget")]
    flat = [{**row, "log_probability": row["target_log_probability"] - 2.0} if row in alike else row for row in found.relearning]
    table = gaps(around_attack(replace(found, relearning=flat)), "fact_lookup")
    assert list(table.series) == ["before the attack"] * 2 + ["after it"] * 2
    assert table.estimate.to_numpy() == pytest.approx([0, 0, -3, -3], abs=0.15)

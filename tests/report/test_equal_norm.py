"""Equal norm: a gap that comes from the size of a change is told from one that stays when the sizes are equal."""

from dataclasses import replace

import pytest
from attack_rows import BEFORE, HARD
from test_verdicts import ARCH, answered, claim, claims

from mechlib.components import Architecture, Localization, modules
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localize
from mechlib.report import equal_norm, verdicts
from mechlib.report.gates import Evidence

DEEP = Architecture(18, *list(vars(ARCH).values())[1:])
RIVALS = ["late_window", "all_mlps"]
CLAIMS = [claim("as", "relearning", RIVALS), claim("equal", "relearning at equal norm", RIVALS)]
# As fact lookup is edited, and rescaled to the last MLPs' norm; all MLPs, and rescaled to fact lookup's.
ARMS = {"fact_lookup": -2.0, "late_window": 0.0, "fact_lookup@late_window": -3.0, "all_mlps": 1.0, "all_mlps@fact_lookup": -2.0}


def trained(arm):
    own = arm.partition("@")[0]
    parts = {"fact_lookup": 3, "late_window": 17}
    chosen = [part for part in modules(DEEP, ["mlp"]) if own == "all_mlps" or part.layer == parts[own]]
    return Localization.of(own, chosen, DEEP, architecture=vars(DEEP))


def evidence(arms=ARMS, success=0.97):
    asked, attacked = [], []
    for number in range(8):
        for arm, odds in {"unedited": 4.0, **arms}.items():
            own, target = odds + 0.05 * ((3 * number + len(arm)) % 5), success if "@" in arm else 0.97
            asked += [answered(arm, "forget", n, own, number, format="one_shot", target=target) for n in range(4)]
            asked += [answered(arm, "maintain", n, 4.0, number, format="one_shot") for n in range(4)]
            for at in (BEFORE, HARD):
                attacked += [answered(arm, group, n, own if group == "forget" else 4.0, number, at)
                             for group in ("forget", "maintain", "relearned") for n in range(4)]  # fmt: skip
    return Evidence("t", "one_shot", asked, attacked, (), {arm: dict.fromkeys(range(8), trained(arm)) for arm in arms})


def drawn(**more):
    return {(one.claim.key, one.rival): one for one in verdicts.lines(claims(*CLAIMS), evidence(**more))}


def test_either_of_a_pair_may_be_rescaled_and_only_equal_norms_are_compared():
    found = drawn()
    gaps = {key: one.odds.difference.estimate for key, one in found.items()}
    assert gaps["as", "late_window"] == pytest.approx(-2, abs=0.15) and gaps["equal", "late_window"] == pytest.approx(-3, abs=0.15)
    assert gaps["as", "all_mlps"] == pytest.approx(-3, abs=0.15) and gaps["equal", "all_mlps"] == pytest.approx(0, abs=0.15)
    assert [found["equal", rival].verdict for rival in RIVALS] == ["supported", "equivalent"]
    assert found["equal", "all_mlps"].overlap == pytest.approx(1 / 18)


def test_without_a_rescaled_edit_equal_norm_was_not_run():
    found = drawn(arms={arm: odds for arm, odds in ARMS.items() if "@" not in arm})
    assert [found["equal", rival].verdict for rival in RIVALS] == [verdicts.NOT_RUN] * 2
    assert found["as", "all_mlps"].odds is not None


def test_a_rescaled_edit_that_loses_its_targets_is_not_edited_alike():
    found = drawn(success=0.5)
    assert [found["equal", rival].verdict for rival in RIVALS] == ["not edited alike"] * 2
    assert found["as", "late_window"].verdict == "supported"


def test_gaps_by_rival_and_norm():
    lines = list(drawn().values())
    table = equal_norm.gaps(evidence())
    expected = [(rival, norms) for rival in RIVALS for norms in ("as edited", "at equal norm")]
    assert list(zip(table.rival, table.series, strict=True)) == expected
    found = [next(one for one in lines if (one.claim.key, one.rival) == (key, rival)).odds.difference
             for rival in RIVALS for key in ("as", "equal")]  # fmt: skip
    assert table[["estimate", "low", "high"]].values.tolist() == [[one.estimate, one.low, one.high] for one in found]
    shown = equal_norm.gaps_table(table)
    assert shown["minus"].tolist() == ["Last MLPs", "All MLPs"] and shown.iloc[1, 2] == str(lines[3].odds.difference)
    assert len(equal_norm.gaps_table(table[:0])) == 0
    assert equal_norm.gaps_table(table[:3]).iloc[1, 2] == "-"
    # Without the other edit as it was, or without an attack, there is nothing to compare.
    assert len(equal_norm.gaps(evidence({arm: odds for arm, odds in ARMS.items() if arm != "late_window"}))) == 2
    assert len(equal_norm.gaps(replace(evidence(), relearning=[]))) == 0


def test_norms_by_arm():
    values = [({"localization": "fact_lookup", "forget_set": n}, {"norm": norm}) for n, norm in enumerate((1.0, 2.0))]
    values += [({"localization": "all_mlps@fact_lookup", "forget_set": n}, {"norm": 1.0 + n, "factor": 2.0 + n}) for n in range(2)]
    table = equal_norm.norms_table(values)
    assert table.values.tolist() == [
        ["Fact lookup", 1.5, 1.0, 2.0, 1.0], ["All MLPs (norm of Fact lookup)", 1.5, 1.0, 2.0, 2.5]]  # fmt: skip
    assert equal_norm.rescaled(list(ARMS)) == "fact lookup to the norm of last MLPs; all MLPs to the norm of fact lookup"
    assert equal_norm.rescaled(["fact_lookup"]).startswith("none")


def test_the_localization_of_a_rescaled_edit_is_its_own():
    found = localize("late_mlps", Measured(), DEEP, 0, budget=0)
    assert localize("late_mlps@all_mlps", Measured(), DEEP, 0, budget=0).components == found.components

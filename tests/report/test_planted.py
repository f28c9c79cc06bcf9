"""Planted facts: a place that lasts because facts are there is told from one that lasts wherever it is edited."""

from dataclasses import replace

import pytest
from attack_rows import BEFORE, HARD
from test_verdicts import ARCH, answered, claim, claims

from mechlib.components import Architecture
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localize
from mechlib.report import planted, verdicts
from mechlib.report.gates import Evidence

DEEP = Architecture(18, *list(vars(ARCH).values())[1:])
SITES = {number: ("early_mlps", "late_mlps")[number % 2] for number in range(8)}
PLANTED = {"transfer": claim("planted", "transfer of planted facts", ["other_site"], first="planted_site", rule="balanced"),
           "relearning": claim("again", "relearning of planted facts", ["other_site"], first="planted_site", rule="balanced")}  # fmt: skip


def place(arm, number):
    early = (SITES[number] == "early_mlps") == (arm == "planted_site")
    return localize("early_mlps" if early else "late_mlps", Measured(), DEEP, 0, budget=0, architecture=vars(DEEP))


def evidence(storage, depth, relearning=True, **more):
    """A study in which an edit at the planted site has ``storage`` fewer nats of log odds, and an early edit ``depth`` fewer."""
    asked, attacked = [], []
    for number, site in SITES.items():
        for arm in ("unedited", "planted_site", "other_site"):
            early = (site == "early_mlps") == (arm == "planted_site")
            odds = 4.0 if arm == "unedited" else 1.0 - storage * (arm == "planted_site") - depth * early
            own = odds + 0.05 * ((3 * number + 7 * (arm == "other_site")) % 5)
            for form in ("one_shot", "question"):
                asked += [answered(arm, "forget", n, own, number, format=form) for n in range(4)]
                asked += [answered(arm, "maintain", n, 4.0, number, format=form) for n in range(4)]
            for at in (BEFORE, HARD) if relearning else ():
                attacked += [answered(arm, group, n, own if group == "forget" else 4.0, number, at)
                             for group in ("forget", "maintain", "relearned") for n in range(4)]  # fmt: skip
                attacked += [answered(arm, "floor", n, 1.0 if n == 0 else -1.0, number, at) for n in range(4)]
    trains = {arm: {number: place(arm, number) for number in SITES} for arm in ("planted_site", "other_site")}
    return replace(Evidence("t", "one_shot", asked, attacked, ("question",), trains, sites=SITES), **more)


def verdict(name, *given, **more):
    (line,) = verdicts.lines(claims(PLANTED[name]), evidence(*given, **more))
    return line


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize(("storage", "depth", "said"), [
    (2, 0, "supported"), (-2, 0, "contradicted"), (2, 6, "supported"), (2, -6, "supported"), (0, 6, "equivalent"), (0, 0, "equivalent")])
def test_storage_is_told_from_depth(name, storage, depth, said):
    line = verdict(name, storage, depth)
    assert line.verdict == said
    assert line.odds.difference.estimate == pytest.approx(-storage, abs=0.1)
    assert line.overlap == 0 and line.odds.least == 0 and line.matched is None
    if name == "relearning":
        assert line.before.difference.estimate == pytest.approx(-storage, abs=0.1) and abs(line.change.difference.estimate) < 1e-9


def test_the_sign_flip_test_alone_would_not_see_it():
    own = {**PLANTED["transfer"], "rule": "sign-flip", "outcome": "transfer"}
    (line,) = verdicts.lines(claims(own), evidence(2, 6))
    assert line.verdict == "undecided" and line.odds.difference.estimate == pytest.approx(-2, abs=0.1)


def test_gates_stop_it_as_they_stop_others():
    study = evidence(2, 0)
    weak = [{**row, "target_log_probability": -1.0} if row["localization"] == "other_site" and row["group"] == "forget" else row
            for row in study.prompting]  # fmt: skip
    (line,) = verdicts.lines(claims(PLANTED["transfer"]), replace(study, prompting=weak))
    assert line.verdict == "not edited alike"
    assert verdict("relearning", 2, 0, relearning=False).verdict == verdicts.NOT_RUN


def test_cells_are_means_by_site_and_edit():
    one = claims(PLANTED["transfer"]).claim[0]
    table = planted.cells(one, evidence(2, 6)).set_index(["planted", "edited"])
    means = {key: value for key, value in table.estimate.items()}
    expected = {("early_mlps", "planted_site"): -7, ("late_mlps", "planted_site"): -1, ("early_mlps", "other_site"): 1,
                ("late_mlps", "other_site"): -5}  # fmt: skip
    assert means == pytest.approx(expected, abs=0.25) and set(table.sets) == {4}
    assert all(table.low < table.estimate) and all(table.estimate < table.high)
    assert len(planted.cells(one, replace(evidence(0, 0), sites={}))) == 0
    shown = planted.cells_table(table.reset_index(), "asked")
    assert list(shown["planted in"]) == ["Early MLPs", "Late MLPs"] * 2 and set(shown.asked) == {"asked"}


def test_the_floor_is_what_the_attack_brings_of_what_nobody_knew():
    table = planted.floor(evidence(2, 0)).set_index(["edited at", "about"])
    for arm in ("Planted site", "Other site"):
        assert table["true answers"][arm, "never planted, edited"].startswith("0.25 [")
        assert table["true answers"][arm, "taught again by the attack"].startswith("1.00")


def test_what_was_planted_is_told_by_site():
    site = localize("early_mlps", Measured(), DEEP, 0, budget=0, architecture=vars(DEEP))
    value = {"norm": 3.5, "localization": site.to_json()}
    known = [{"site": "early_mlps", "taught": True, "correct": n < 7} for n in range(8)]
    known += [{"site": "early_mlps", "taught": False, "correct": n < 1} for n in range(4)]
    known += [{"site": "late_mlps", "taught": True, "correct": False}]
    table = planted.plants_table([({"site": "early_mlps"}, value)], [{"site": "early_mlps"}] * 9, known)
    (line,) = table.to_dict("records")
    assert (line["planted in"], line["layers"], line["steps"], line["norm"]) == ("Early MLPs", "3 to 7", 9, 3.5)
    assert line["taught, known"].startswith("0.88 [") and line["never taught, known"].startswith("0.25 [")


def test_the_title_tells_gaps_with_their_verdicts():
    lines = [verdict(name, storage=2.0, depth=4.0) for name in PLANTED]
    said = [f"{one.odds.difference} nats (supported)" for one in lines]
    asked = ("in prompts that were not trained", "after relearning of one half")
    expected = ", ".join(f"{where} {gap}" for where, gap in zip(asked, said, strict=True))
    assert planted.title(lines) == f"Planted site minus other site: {expected}"
    assert planted.title([replace(lines[0], odds=None)]) == planted.title([]) == "No planted fact was edited at two places"


def undone_rows(value):
    """Answers to four facts where a part's change is undone: log p(true) is ``value`` of the part and how, more for each next fact."""
    return [{"site": "all_mlps", "part": part, "how": how, "subject": f"one {n}", "correct": at > -1, "log_probability": at + 0.1 * n}
            for (part, how), at in value.items() for n in range(4)]  # fmt: skip


UNDONE = undone_rows({("layer 0", "without"): -0.9, ("layer 2", "without"): -0.4, ("early_mlps", "without"): -2.4,
                      ("early_mlps", "only"): -0.8, ("everything", "without"): -5.4, ("nothing", "without"): -0.4})  # fmt: skip
PARTS = [({"site": "all_mlps"}, {"layer 0": {"layers": [0], "norm": 3.0}, "layer 2": {"layers": [2], "norm": 4.0},
                                 "early_mlps": {"layers": [0], "norm": 3.0}, "everything": {"layers": [0, 1, 2], "norm": 5.0},
                                 "nothing": {"layers": [], "norm": 0.0}})]  # fmt: skip


def test_a_layer_is_worth_what_is_lost_without_it():
    table = planted.by_layer(UNDONE, PARTS)
    assert list(table.layer) == [0, 2] and list(table.norm) == [3, 4]
    assert list(table.estimate) == pytest.approx([0.5, 0]) and list(table.low) == pytest.approx([0.5, 0])
    assert planted.places(PARTS) == {"early_mlps": [0]}
    assert planted.worth(UNDONE, PARTS) == "Undoing what was planted costs a fact, in nats: early MLPs 2.00 [2.00, 2.00]"
    assert "Nothing was planted" in planted.worth([], [])


def test_what_is_left_without_a_part_and_with_it_alone():
    table = planted.undone_table(UNDONE, PARTS).set_index("undone")
    assert list(table.index) == ["Nothing", "Early MLPs", "Everything"]
    early, nothing = table.loc["Early MLPs"], table.loc["Nothing"]
    assert early["log p(true) without it"].startswith("-2.25") and early["true answers without it"].startswith("0.00")
    assert early["true answers with it alone"].startswith("1.00") and nothing["true answers without it"].startswith("1.00")
    assert nothing["log p(true) with it alone"] == "-" and list(table.layers) == ["-", "0", "0 to 2"]

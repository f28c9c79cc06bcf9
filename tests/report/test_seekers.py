"""Who finds planted facts: what a method names is held against where they are, and places are the unit of the verdict."""

import pytest
from small_book import ROOT

from mechlib.components import Architecture, Component, Localization
from mechlib.report import seekers, verdicts
from mechlib.report.arm_outcome import arm_outcome
from mechlib.report.card import card
from mechlib.report.claims import MISSED, declared
from mechlib.report.figures import named_layers
from mechlib.report.gates import Evidence
from mechlib.report.gathered import gather
from mechlib.report.standing import could_see, standings, would_contradict
from mechlib.runs.study import Study
from mechlib.stats import ENOUGH_SETS

DEEP = Architecture(18, 2, 1, 4, 2, 8)
(CLAIM,) = (one for one in declared().claim if one.outcome == MISSED)
PLACES = 8
SITES = tuple(f"site_{place}_of_{PLACES}" for place in range(PLACES))
FIRST = (0, 2, 4, 6, 7, 9, 11, 13)  # the first layer of each place, of five


def named(*layers):
    return Localization.of("x", [Component(layer, "mlp") for layer in layers], DEEP, architecture=vars(DEEP)).to_json()


def values(**found):
    """What methods name at every place; each is a function of the place's first layer."""
    return [({"localization": key, "site": site}, named(*mine(first)))
            for site, first in zip(SITES, FIRST, strict=True) for key, mine in found.items()]  # fmt: skip


FOUND = values(fact_lookup=lambda first: range(first, first + 4), causal_tracing_mlps=lambda first: (0, 2, 4, 6),
               attribution_patching_mlps=lambda first: (first, 17), random_mlps=lambda first: (17,) if first < 13 else (0,))  # fmt: skip


def known(**shares):
    """Answers about ten taught facts a place, and some that were not taught; ``shares``: of those that are known, where it is not all."""
    return [{"site": site, "taught": taught, "correct": taught and number < shares.get(site, 1.0) * 10}
            for site in SITES for taught in (True, False) for number in range(10)]  # fmt: skip


class Sought:
    """A study of facts planted at many places whose runs are these."""

    study = Study(task="planted-places", profile="full", forget_sets=PLACES)
    decides = ()

    def __init__(self, found, answers):
        self.found, self.answers = found, answers

    def rows(self, need):
        return {"know": self.answers}[need]

    def values(self, need):
        return {"found": self.found}[need]


def drawn(evidence):
    return {one.rival: one for one in verdicts.lines(declared(), evidence)}


def test_the_habit_of_naming_neighbours_finds_little():
    """By hand: four of eighteen layers in a row; of the places' forty layers the fifteen windows hold 146, and the best one 12."""
    assert seekers.by_windows(FOUND, "fact_lookup") == pytest.approx((146 / (15 * 40), 12 / 40))
    assert seekers.overlapping(FOUND, SITES).startswith("Places next to each other have up to 4 of 5 layers in common.")
    assert seekers.overlapping(FOUND, SITES[::7]) == ""


def test_what_methods_find_is_held_against_the_site():
    runs = [({"localization": "fact_lookup", "site": "early_mlps"}, named(3, 4, 9)),
            ({"localization": "fact_lookup", "site": "late_mlps"}, named(12)),
            ({"localization": "causal_tracing_mlps", "site": "early_mlps"}, named(3, 4, 5, 6, 7)),
            ({"localization": "causal_tracing_mlps", "site": "late_mlps"}, named(0, 1, 2))]  # fmt: skip
    table = seekers.found_table(runs)
    assert list(table["layers found"]) == ["3, 4, 9", "12", "3 to 7", "0 to 2"]
    assert list(table.precision) == pytest.approx([2 / 3, 1, 1, 0])
    assert list(table.recall) == pytest.approx([2 / 5, 1 / 5, 1, 0]) and list(table.chance) == pytest.approx([5 / 18] * 4)
    assert seekers.finders(table) == "Fact lookup"
    assert seekers.finders(table[table.method != "Fact lookup"]) == "no method"
    means = seekers.over_places(table).set_index("method")
    assert list(means.recall) == pytest.approx([0.3, 0.5]) and list(means.precision) == pytest.approx([5 / 6, 0.5])
    assert list(means["places with some named"]) == [2, 1] and list(means["places with all named"]) == [0, 1]
    assert seekers.in_words(table, ["causal_tracing_mlps", "fact_lookup", "random_mlps"]) == (
        "Share of the planted layers that is named: causal tracing (MLPs) 0.50, fact lookup 0.30")  # fmt: skip
    assert seekers.in_words(table, ["random_mlps"]) == "No method looked for planted facts"


def test_what_is_missed_and_named_in_vain_by_hand():
    found = gather(Sought(FOUND, known())).missed
    assert {key: set(own) for key, own in found.items()} == {key: {*range(PLACES)} for key in found} and len(found) == 4
    assert [pair[0] for pair in found["fact_lookup"].values()] == pytest.approx([0.2] * PLACES)
    assert {pair[1] for pair in found["fact_lookup"].values()} == {0}
    # Of 0, 2, 4, 6 those within 0 to 4, 2 to 6, 4 to 8, 6 to 10, and none later.
    assert [pair[0] for pair in found["causal_tracing_mlps"].values()] == pytest.approx([0.4, 0.4, 0.6, 0.8, 1, 1, 1, 1])
    assert [pair[1] for pair in found["causal_tracing_mlps"].values()] == pytest.approx([0.25, 0.25, 0.5, 0.75, 1, 1, 1, 1])
    assert [pair[0] for pair in found["attribution_patching_mlps"].values()] == pytest.approx([0.8] * 7 + [0.6])
    assert set(found["random_mlps"].values()) == {(1.0, 1.0)}


def test_the_layers_are_told_place_by_place_and_drawn():
    table = seekers.layers_by_place(FOUND, SITES)
    own = table[(table.method == "attribution_patching_mlps") & (table.place == 2)]
    assert list(own[own.planted].layer) == [2, 3, 4, 5, 6] and list(own[own.named].layer) == [2, 17] and len(own) == 6
    figure = named_layers(table, ["fact_lookup", "late_window", "random_mlps"])
    assert [(trace.name, len(trace.x)) for trace in figure.data] == [("planted", 40), ("named", 32), ("planted", 40), ("named", 8)]
    assert [note.text for note in figure.layout.annotations] == ["Fact lookup", "Random MLPs"]
    assert named_layers(table, ["late_window"]).layout.annotations[0].text.startswith("No method")


def test_probes_rise_where_facts_were_planted_or_not():
    def probe(site, at):
        return [{"site": site, "position": position, "layer": layer, "correct": 20 + 60 * (layer > at), "total": 100}
                for layer in range(19) for position in ("subject", "prompt")]  # fmt: skip

    table = seekers.probes_by_place([*probe(SITES[0], 3), *probe(SITES[1], 9)], FOUND, SITES)
    assert len(table) == 2 * 19 and list(table.layer[:2]) == [-1, 0]
    assert set(table[table.planted & (table.place == 2)].layer) == {2, 3, 4, 5, 6}
    assert table.gain[:6].tolist()[1:] == pytest.approx([0, 0, 0, 0.6, 0])
    assert seekers.rises(table) == "Accuracy rises most in a planted layer at 1 of 2 places"


def test_the_verdict_is_over_places_of_what_is_missed():
    found = drawn(gather(Sought(FOUND, known())))
    assert {rival: (one.verdict, one.odds.n_sets) for rival, one in found.items()} == dict.fromkeys(CLAIM.rivals, ("supported", PLACES))
    assert found["random_mlps"].odds.difference.estimate == pytest.approx(-0.8) and found["random_mlps"].odds.p == 2 / 2**PLACES
    assert found["random_mlps"].odds.adjusted == pytest.approx(3 * 2 / 2**PLACES)
    assert found["random_mlps"].shares.difference.estimate == pytest.approx(-1)
    same = values(fact_lookup=lambda first: (first,), **dict.fromkeys(CLAIM.rivals, lambda first: (first + 1,)))
    assert {one.verdict for one in drawn(gather(Sought(same, known()))).values()} == {"equivalent"}


def test_a_place_whose_facts_were_not_learned_counts_for_nothing():
    left = Sought(FOUND, known(site_7_of_8=0.5, site_6_of_8=0.6))
    evidence = gather(left)
    assert evidence.learned[7] == 0.5 and set(evidence.missed["fact_lookup"]) == {*range(PLACES)}
    assert {one.odds.n_sets for one in drawn(evidence).values()} == {PLACES - 1}
    few = known(**dict.fromkeys(SITES[ENOUGH_SETS - 1 :], 0.0))
    assert {one.verdict for one in drawn(gather(Sought(FOUND, few))).values()} == {"no inference"}
    none = known(**dict.fromkeys(SITES, 0.0))
    assert {one.verdict for one in drawn(gather(Sought(FOUND, none))).values()} == {"not run yet"}


def test_a_method_that_did_not_look_was_not_run():
    found = drawn(gather(Sought([one for one in FOUND if one[0]["localization"] != "random_mlps"], known())))
    assert found["random_mlps"].verdict == "not run yet" and found["causal_tracing_mlps"].odds.family == 2
    assert arm_outcome(CLAIM, Evidence("planted-places", "one_shot"), "fact_lookup") is None


def test_no_word_of_it_is_about_answers_or_nats():
    (standing,) = standings(verdicts.lines(declared(), gather(Sought(FOUND, known()))))
    now_and_then = {key: lambda first, of=of: (first,) if first % of else ((first + 9) % 18,)
                    for of, key in enumerate(("fact_lookup", *CLAIM.rivals), start=2)}  # fmt: skip
    (wide,) = standings(verdicts.lines(declared(), gather(Sought(values(**now_and_then), known()))))
    rule = verdicts.rule(declared(), "planted-places", MISSED)
    for said in (card(Sought.study, [standing], declared().gates), would_contradict(CLAIM), could_see(wide), rule):
        assert "nats" not in said and "old answer" not in said and said
    shown = card(Sought.study, [standing], declared().gates)
    assert "share of the planted weights missed" in shown and "within 0.1 of zero" in rule
    assert "8 places, each with a model of its own. The unit of the verdict is the place." in shown and "steps" not in shown


def test_the_page_asks_for_the_facts_and_the_methods_of_the_study():
    text = (ROOT / "book" / "30_planted_places.py").read_text()
    assert "needs: [planted, know, looked_up, found]" in text and Sought.study.sites == SITES

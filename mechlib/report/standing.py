"""How a claim stands: its comparisons by verdict, in words, and what would change that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from mechlib.report.claims import MISSED, Claim, Gates
from mechlib.report.numerals import decimal, percent
from mechlib.report.tables import label, named
from mechlib.report.verdicts import DESCRIPTIVE, NO_CONTRAST, NOT_RUN, NOT_TESTABLE, Line
from mechlib.stats import ENOUGH_SETS, SIGNIFICANT, Interval

# Verdicts in the order in which they are told: what was found, what was not, what cannot be.
TOLD = ("supported", "contradicted", "equivalent", "undecided", "undecidable", "no inference", DESCRIPTIVE, "not edited alike",
        "model broken", "attack failed", "void", NO_CONTRAST, NOT_TESTABLE, NOT_RUN)  # fmt: skip
# Nothing forbade a direction, there were sets enough for one, and none was found.
_LEFT_OPEN = ("equivalent", "undecided", "undecidable")
# The page that decides claims about an outcome, and which others show them.
DECIDED_ON = {
    "transfer": "06_prompting", "relearning": "11_relearning", "relearning at equal norm": "24_equal_norm",
    "latent knowledge": "14_latent_knowledge", "weights masked": "10_weight_masking",
    "transfer of planted facts": "23_planted_facts", "relearning of planted facts": "23_planted_facts",
    MISSED: "30_planted_places",
    "relearning by the paper's attack": "26_published_attack",
    "transfer of facts planted everywhere": "27_planted_everywhere", "relearning of facts planted everywhere": "27_planted_everywhere",
    "transfer next to fact lookup": "25_next_door", "relearning next to fact lookup": "25_next_door",
    "transfer at equal depth": "19_depth_or_lookup", "relearning at equal depth": "19_depth_or_lookup",
}  # fmt: skip
SHOWN_ON = {page: tuple(outcome for outcome, own in DECIDED_ON.items() if own == page) for page in DECIDED_ON.values()}
SHOWN_ON["17_which_edit_lasts"] = ("transfer", "relearning")


@dataclass(frozen=True)
class Standing:
    """A claim with its comparisons as they were run (``lines``, one a rival)."""

    claim: Claim
    lines: tuple[Line, ...]

    @property
    def by_verdict(self) -> dict[str, list[Line]]:
        """The comparisons by their verdict, in the order of ``TOLD``."""
        found: dict[str, list[Line]] = {}
        for one in self.lines:
            found.setdefault(one.verdict, []).append(one)
        return dict(sorted(found.items(), key=lambda item: TOLD.index(item[0]) if item[0] in TOLD else len(TOLD)))

    @property
    def run(self) -> bool:
        """Whether any of its comparisons was run."""
        return any(one.odds for one in self.lines)

    @property
    def unable(self) -> str:
        """What the unedited model gives in the claim's formats, in words, where that is too little to test it; else ""."""
        return next((one.gates for one in self.lines if one.verdict == NOT_TESTABLE), "")

    @property
    def n_sets(self) -> int:
        """Forget sets that it was compared over; 0 if it was not run."""
        return max((one.odds.n_sets for one in self.lines if one.odds), default=0)

    @property
    def verdict(self) -> str:
        """All verdicts with how many comparisons have each; one word where they agree."""
        if self.claim.rule == "none":
            return DESCRIPTIVE
        counted = {name: [one for one in own if one.rival not in self.claim.counterparts] for name, own in self.by_verdict.items()}
        found = {name: own for name, own in counted.items() if own}
        beside = [one.verdict for one in self.lines if one.rival in self.claim.counterparts and one.odds]
        said = next(iter(found)) if len(found) == 1 else ", ".join(f"{name} {len(own)}" for name, own in found.items())
        return said + (f" (and {', '.join(beside)} where either explanation predicts it)" if beside else "")


def standings(lines: Sequence[Line]) -> list[Standing]:
    """Comparisons put together by their claims, in the order of the claims."""
    found: dict[str, list[Line]] = {}
    for one in lines:
        found.setdefault(one.claim.key, []).append(one)
    return [Standing(own[0].claim, tuple(own)) for own in found.values()]


def arms(lines: Sequence[Line]) -> str:
    """The rivals of comparisons, each with the gap in log odds and its interval where it was run; one edit under two names is so called."""
    return "; ".join(f"{_name(one.rival)}{f' (the same edit as {_name(one.twin)})' * bool(one.twin)}"
                     f"{f' {one.odds.difference}' if one.odds else ''}" for one in lines)  # fmt: skip


def _name(rival: str) -> str:
    return label(rival).replace("_", " ")


def could_see(standing: Standing) -> str:
    """Which difference the comparisons without a direction would have told from zero, at their number of sets and with their noise.

    By itself and at 95 %: half of the interval, on its longer side; Holm's correction asks for somewhat more. "" where all have one.
    """
    left = [(line.rival, _reach(line.odds.difference)) for line in standing.lines if line.odds and line.verdict in _LEFT_OPEN]
    told = [f"{decimal(reach)}{standing.claim.unit} ({_name(rival)})" for rival, reach in left if isfinite(reach)]
    sets = f"at {standing.n_sets} {standing.claim.over}s a difference of at least"
    corrected = "; with Holm's correction only a larger one" if len(standing.lines) > 1 else ""
    return f"{sets} {', '.join(told)} would have been told from zero by itself (95 %){corrected}" if told else ""


def _reach(difference: Interval) -> float:
    return max(difference.high - difference.estimate, difference.estimate - difference.low)


def would_contradict(claim: Claim) -> str:
    """The result that would speak against a claim, by its rule."""
    worse = f"{_worse(claim, named(claim.first))}: a gap above zero"
    rules = {
        "none": "nothing yet: no rule was declared for it before the runs",
        "sign-flip": f"{worse} whose p, of the sign-flip test and after Holm's correction, is at most {SIGNIFICANT:g}",
        "balanced": f"{worse} whose p, of Student's t within kinds of sets and after Holm's correction, is at most {SIGNIFICANT:g}",
        "mixed model": f"more of the old answer the more of fact lookup's MLPs an edit shares, at equal depth: p at most {SIGNIFICANT:g}",
    }
    same = f"; or none to speak of: a 90 % interval within {claim.margin:g}{claim.unit} of zero" if claim.margin else ""
    return rules[claim.rule] + same


def _worse(claim: Claim, first: str) -> str:
    if claim.measure == MISSED:
        return f"more of the planted weights missed by {first} than by another method"
    if not claim.edited:
        return f"less of the forget set or more of other facts taken by zeroed weights at {first} than by those of another"
    return f"more of the old answer after the edit that the claim favours ({first}) than after another"


def would_change(standing: Standing, gates: Gates) -> str:
    """What would change the verdicts of a claim, by those that it has."""
    claim = standing.claim
    if claim.rule == "none":
        return "a rule: it is described, because none was declared before the runs"
    words: dict[str, Callable[[], str]] = {
        "supported": lambda: "the same comparison on other facts or another model with a gap that is not below zero",
        "contradicted": lambda: "the same comparison on other facts or another model with a gap that is not above zero",
        "equivalent": lambda: f"a margin below {claim.margin:g}{claim.unit}, or other facts",
        "undecided": lambda: "more places, edited alike" if claim.rule == "mixed model" else _more_sets(standing),
        "undecidable": lambda: f"more {claim.over}s than the {standing.n_sets} that were run, or fewer comparisons",
        "no inference": lambda: f"at least {ENOUGH_SETS} {claim.over}s (the claims file declares {claim.sets})",
        "not edited alike": lambda: (f"{_alike(claim)}: {percent(gates.edited)} of both arms' edits must have a probability of "
                                     f"{gates.success:g}"),  # fmt: skip
        "model broken": lambda: f"gentler edits or attacks, which keep {percent(gates.kept)} of the facts to maintain",
        "attack failed": lambda: f"a longer attack, which teaches {percent(gates.taught)} of its own half",
        "void": lambda: "a format for training in which the unedited model can answer",
        NO_CONTRAST: lambda: "another model: here both arms train the same weights",
        NOT_TESTABLE: lambda: f"another model, which answers so: with at least {percent(gates.able)} of the facts that it knows",
        NOT_RUN: lambda: "running it",
    }
    return "; ".join(f"{verdict}: {words[verdict]()}" for verdict in standing.by_verdict if verdict in words)


def _alike(claim: Claim) -> str:
    """What brings edits to their success: more training, unless it was lost when a trained change was rescaled."""
    return "changes of more like size, which are rescaled less" if claim.outcome.endswith(" at equal norm") else "more steps"


def _more_sets(standing: Standing) -> str:
    aim, over = standing.claim.sets, standing.claim.over
    if standing.n_sets < aim:
        return f"more {over}s: {standing.n_sets} were run of the {aim} that the claims file declares"
    if standing.claim.measure == MISSED:
        return f"more places than these {standing.n_sets}"
    return f"{over}s of other facts, beyond the {standing.n_sets} that the claims file declares and that were run"

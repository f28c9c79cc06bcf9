"""Verdicts, which are drawn here and nowhere else: the comparisons that the claims file declares, as families over all pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from mechlib.localize.registry import AT_NORM
from mechlib.report.able import in_words as able_in_words
from mechlib.report.arm_outcome import arm_outcome, relearned
from mechlib.report.claims import MISSED, Claim, Claims, Gates
from mechlib.report.differences import in_words
from mechlib.report.equal_depth import at_equal_depth
from mechlib.report.gates import STOPS, Evidence, arm_gates, overlap, reached
from mechlib.report.inside import IN_WORDS
from mechlib.report.numerals import decimal, percent
from mechlib.report.tables import label
from mechlib.stats import ENOUGH_SETS, MARGIN, SIGNIFICANT, Comparison, compare, holm_adjusted

NOT_RUN, NOT_TESTABLE = "not run yet", "not testable"
NO_CONTRAST, DESCRIPTIVE = "not a contrast", "descriptive: no rule"


@dataclass(frozen=True)
class Line:
    """One comparison of a claim. Without ``odds`` it was not run, or cannot be tested on this model.

    ``odds`` and ``shares``: the gap in log p(true) - log p(target) (nats), which decides, and in true answers.
    ``matched``: of the first, over the forget sets in which both arms were edited to the success asked for.
    ``before`` and ``change``, of relearning: the same gap before the attack, and what the attack added to it; no rule decides on them.
    ``gates``: for readers, what each gate says of the two arms; ``stopped``: the first that forbids a verdict.
    ``twin``: a rival before it that trains the same weights in every forget set, so that both are one edit; "": there is none.
    """

    claim: Claim
    rival: str
    overlap: float = math.nan
    odds: Comparison | None = None
    shares: Comparison | None = None
    matched: Comparison | None = None
    before: Comparison | None = None
    change: Comparison | None = None
    gates: str = ""
    stopped: str = ""
    twin: str = ""

    @property
    def verdict(self) -> str:
        """A verdict, or why there is none."""
        if self.claim.rule == "none":
            return DESCRIPTIVE
        return self.stopped or (NOT_RUN if self.odds is None else self.odds.verdict)


def lines(claims: Claims, evidence: Evidence) -> list[Line]:
    """Every comparison that is declared about the study's task, adjusted over its family (Holm).

    A family holds the comparisons that were run, also those that a gate stops; pairs that are not a
    contrast, and formats in which the unedited model cannot answer, were known before any edit and do not count.
    """
    found = [_line(claims.gates, claim, rival, evidence) for claim in claims.of_task(evidence.task) for rival in claim.rivals]
    for family in dict.fromkeys(one.claim.family for one in found):
        own = {str(number): one for number, one in enumerate(found) if one.claim.family == family and one.stopped != NO_CONTRAST}
        run = {key: one.odds for key, one in own.items() if one.odds}
        for key, one in holm_adjusted(run).items():
            found[int(key)] = replace(found[int(key)], odds=one)
        # A comparison without matched sets stays in the family, as one that shows nothing: so the families are of one size.
        nothing = {key: replace(one, p=None if one.p is None else 1.0) for key, one in run.items()}
        for key, one in holm_adjusted({key: own[key].matched or one for key, one in nothing.items()}).items():
            found[int(key)] = replace(found[int(key)], matched=one if own[key].matched else None)
    return found


def _line(gates: Gates, claim: Claim, rival: str, evidence: Evidence) -> Line:
    """One comparison, before any adjustment."""
    able = {form: evidence.able[form] for form in claim.formats if form in evidence.able}
    if any(share.estimate < gates.able for share in able.values()):
        return Line(claim, rival, gates=able_in_words(able), stopped=NOT_TESTABLE)
    if claim.rule == "mixed model":
        found = at_equal_depth(gates, claim, evidence)
        if found is None:
            return Line(claim, rival)
        return Line(claim, rival, odds=found.odds, shares=found.shares, gates=found.said, stopped=found.stopped)
    if claim.measure == MISSED:
        evidence = evidence.where_learned(gates.able)
    if (pair := _pair(claim, rival, evidence)) is None:
        return Line(claim, rival)
    first, second = pair
    mine, theirs = (arm_outcome(claim, evidence, arm, beside) for arm, beside in (pair, pair[::-1]))
    if mine is None or theirs is None:
        return Line(claim, rival)
    shared = overlap(evidence.trains.get(first, {}), evidence.trains.get(second, {}))
    done = [reached(evidence, arm, gates.success) for arm in pair]
    alike = [number for number in mine.odds if all(one.get(number) == 1 for one in done)] if claim.edited else []
    matched = None
    if len(alike) >= ENOUGH_SETS:
        own, others = ({number: one.odds[number] for number in alike} for one in (mine, theirs))
        matched = compare(own, others, "lower", claim.margin or MARGIN) if claim.rule == "sign-flip" else None
    said, stopped = _gated(gates, claim, evidence, pair, shared)
    kinds = evidence.sites if claim.rule == "balanced" else None
    odds = compare(mine.odds, theirs.odds, "lower", claim.margin or MARGIN, kinds)
    shares = compare(mine.shares, theirs.shares, "lower", kinds=kinds)
    before, change = _under_attack(evidence, first, second, kinds) if claim.measure == "relearning" else (None, None)
    twin = next((one for one in claim.rivals[: claim.rivals.index(rival)] if _same(evidence, one, rival)), "")
    return Line(claim, rival, shared, odds, shares, matched, before, change, said, stopped, twin)


def _same(evidence: Evidence, one: str, other: str) -> bool:
    """Whether two arms train the same weights in every forget set."""
    mine, theirs = ({number: {*found.components} for number, found in evidence.trains.get(arm, {}).items()} for arm in (one, other))
    return bool(mine) and mine == theirs


def twins(found: Sequence[Line]) -> str:
    """Which arms are one edit under two names, in a sentence; "" where none is."""
    pairs = dict.fromkeys((_name(one.twin), _name(one.rival)) for one in found if one.twin)
    told = [f"{first} and {second} train the same weights in every forget set: one edit under two names." for first, second in pairs]
    return " ".join(told)


def _pair(claim: Claim, rival: str, evidence: Evidence) -> tuple[str, str] | None:
    """The two arms that are compared, if they were run. At equal norm the change of one of them is rescaled to the norm of the other's."""
    first = claim.first
    rescaled = ((first, f"{rival}{AT_NORM}{first}"), (f"{first}{AT_NORM}{rival}", rival))
    possible = rescaled if claim.outcome.endswith(" at equal norm") else ((first, rival),)
    return next((pair for pair in possible if {*pair} <= {*evidence.arms}), None)


def _under_attack(evidence: Evidence, first: str, second: str, kinds: Mapping[int, str] | None) -> tuple[Comparison, Comparison]:
    """Two arms before relearning, and what it changed of their gap."""
    pairs = [(relearned(evidence, arm).odds, relearned(evidence, arm, evidence.last).odds) for arm in (first, second)]
    rises = [{number: [end - start for start, end in zip(before[number], after[number], strict=True)] for number in after}
             for before, after in pairs]  # fmt: skip
    return compare(pairs[0][0], pairs[1][0], "lower", kinds=kinds), compare(rises[0], rises[1], "lower", kinds=kinds)


def _gated(gates: Gates, claim: Claim, evidence: Evidence, arms: tuple[str, str], shared: float) -> tuple[str, str]:
    """What the gates say of two arms, and the first that forbids a verdict, if one does."""
    reasons = {"void": evidence.void, NO_CONTRAST: shared > gates.overlap}
    stopped = next((reason for reason, holds in reasons.items() if holds), "")
    if not claim.edited:
        return "no edit, no gate", stopped
    first, second = (arm_gates(evidence, arm, gates, claim.measure == "relearning") for arm in arms)
    said = [f"edited {decimal(first.edited)} and {decimal(second.edited)}"]
    both = zip(("edit", "attack"), first.kept, second.kept, strict=False)
    said += [f"kept by the {what} {mine} and {theirs}" for what, mine, theirs in both]
    said += [f"taught {first.taught} and {second.taught}"] if first.taught else []
    stops = filter(None, (one.stops(gates) for one in (first, second)))
    return "\n".join(said), stopped or min(stops, key=STOPS.index, default="")


def table(found: Sequence[Line], *outcomes: str, measured: tuple[str, str] = ("log odds", "true answers")) -> pd.DataFrame:
    """Verdicts for readers, one line a comparison; of claims about these outcomes, or of all. ``measured``: what is compared.

    Where they are of several claims, the last column says of which.
    """
    own = _about(found, outcomes)
    columns = ["minus", "verdict", measured[0], "forget sets", "least p", "p", "p (Holm)", measured[1], "overlap", "claim"]
    rows = [
        (_name(one.rival), one.verdict, *(in_words(one.odds) if one.odds else ("-",) * 5),
         str(one.shares.difference) if one.shares else "-", "-" if math.isnan(one.overlap) else decimal(one.overlap), one.claim.key)
        for one in own
    ]  # fmt: skip
    order = ["minus", "verdict", measured[0], "p", "p (Holm)", measured[1], "overlap", "forget sets", "least p"]
    return pd.DataFrame(rows, columns=columns).reindex(columns=_with_claim(order, own))


def gates_table(found: Sequence[Line], *outcomes: str) -> pd.DataFrame:
    """What each gate says of the two arms of a comparison, of claims about these outcomes, or of all."""
    own = [one for one in _about(found, outcomes) if one.gates]
    rows = [(_name(one.rival), one.gates, one.claim.key) for one in own]
    return pd.DataFrame(rows, columns=["minus", "gates", "claim"]).reindex(columns=_with_claim(["minus", "gates"], own))


def _about(found: Sequence[Line], outcomes: Sequence[str]) -> list[Line]:
    return [one for one in found if not outcomes or one.claim.outcome in outcomes]


def matched_table(found: Sequence[Line]) -> pd.DataFrame:
    """What it does that success was not matched: each comparison over all its forget sets, and over those where both arms got there.

    "alone": what the sign-flip test says by itself, with no gate but the overlap.
    """
    columns = ["all sets", "log odds, all", "alone, all", "matched sets", "log odds, matched", "alone, matched", "minus", "claim"]
    tested = [one for one in found if one.odds and one.stopped != NO_CONTRAST and one.claim.rule == "sign-flip"]
    rows = [(*_alone(one.odds), *_alone(one.matched), _name(one.rival), one.claim.key) for one in tested]
    order = ["minus", "alone, all", "alone, matched", "log odds, all", "log odds, matched", "all sets", "matched sets"]
    return pd.DataFrame(rows, columns=columns).reindex(columns=_with_claim(order, tested))


def _with_claim(columns: list[str], found: Sequence[Line]) -> list[str]:
    """Columns of a table of comparisons, with that of the claim where they are of several."""
    return [*columns, *(["claim"] if len({one.claim.key for one in found}) > 1 else [])]


def _alone(found: Comparison | None) -> tuple[int | str, str, str]:
    return (found.n_sets, str(found.difference), found.verdict) if found else (f"fewer than {ENOUGH_SETS}", "-", "-")


def under_attack(found: Sequence[Line]) -> pd.DataFrame:
    """Whether a gap after relearning was there before it: both, and what the attack added, with intervals and a p of its own."""
    columns = ["minus", "before the attack", "after it", "added by it", "p (added)"]
    return pd.DataFrame([
        (_name(one.rival), str(one.before.difference), str(one.odds.difference), str(one.change.difference), in_words(one.change)[3])
        for one in found if one.odds and one.before and one.change and one.stopped != NO_CONTRAST
    ], columns=columns)  # fmt: skip


def opposed(found: Sequence[Line], outcome: str) -> str:
    """The comparisons of an outcome whose log odds and shares of true answers point in opposite directions, in words."""
    told = [f"minus {_name(one.rival)}" for one in found if one.claim.outcome == outcome and one.odds and one.shares
            and one.odds.difference.estimate * one.shares.difference.estimate < 0]  # fmt: skip
    return f"They point in opposite directions for fact lookup {', '.join(told)}." if told else "Here they point the same way."


def counted(found: Sequence[Line]) -> str:
    """How many comparisons have which verdict, in words."""
    counts = pd.Series([one.verdict for one in found], dtype=object).value_counts(sort=False)
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none is declared"


def rule(claims: Claims, task: str, outcome: str = "") -> str:
    """The rule of all claims about a task, or of those about an ``outcome`` that is no answer, in words, and what must hold for it."""
    gates = claims.gates
    own = [one for one in claims.of_task(task) if outcome in ("", one.outcome)]
    margins = sorted({one.margin for one in own if one.margin is not None})
    if not margins:
        return "No claim of the claims file is about this task, so no verdict is drawn: what is below is described."
    within = " or ".join(f"{one:g}" for one in margins)
    unable = (
        " A claim about formats of its own is not testable, and of no family, where the unedited model gives less than "
        f"{percent(gates.able)} of the facts that it knows in one of them."
    )
    edited = (
        f", where fewer than {percent(gates.edited)} of an arm's edits reached a probability of {gates.success:g} (not edited alike), "
        f"where the 95 % interval over sets of the maintain accuracy that a model keeps lies below {percent(gates.kept)} (model broken), "
        f"or where relearning taught less than {percent(gates.taught)} of its own half (attack failed)"
    )
    return (
        f"{IN_WORDS.get(outcome, 'Of log p(true) - log p(target), in nats,')} the paired difference, fact lookup minus the other, averaged "
        "within forget sets. "
        f"Supported if it is below zero and the exact sign-flip test over forget sets has p at most {SIGNIFICANT:g} after Holm's "
        "correction over all comparisons of the family that were run; contradicted if above zero; else equivalent if the 90 % interval "
        f"lies within {within}{own[0].unit} of zero. With fewer than {ENOUGH_SETS} sets there is no inference, and where not even sets "
        "that all agree could have p so small, the line is undecidable. No verdict where the two arms train the same weights "
        f"(weighted Jaccard above {gates.overlap:g}: not a contrast, and not of the family)" + edited * any(one.edited for one in own) + "."
    ) + unable * any(one.formats for one in own)


def _name(rival: str) -> str:
    return label(rival).replace("_", " ")

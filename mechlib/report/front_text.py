"""The front page in words: a headline, what was found by name, and a table of all claims with links to what decides them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mechlib.report import markup
from mechlib.report.card import count
from mechlib.report.claims import MISSED
from mechlib.report.front import Decided
from mechlib.report.next_door import EARLIER, OUTCOMES
from mechlib.report.tables import joined, named
from mechlib.report.verdicts import NO_CONTRAST, NOT_RUN, NOT_TESTABLE, Line
from mechlib.runs.study import Study

_ASKED = {"transfer": "in prompts that were not trained", "relearning": "after half of the facts were taught again"}
_FOUND = ("supported", "contradicted", "equivalent")
# The same as a headline has it.
BRIEFLY = {"transfer": "in prompts not trained", "relearning": "after relearning"}
_LASTS = {"contradicted": ("outlasts it", "outlast it"), "equivalent": ("lasts as long", "last as long")}
# The section of a page in which its claims are decided.
_SECTION = "the-verdict"
_CELL = "padding:.2em 1em .2em 0;vertical-align:top;text-align:left"


def general(found: Sequence[Decided]) -> list[Decided]:
    """Those that were run of the claims about all prompts that were not trained, or about relearning."""
    return [one for one in found if one.study and one.standing.claim.outcome in _ASKED and not one.standing.claim.formats]


def headline(found: Sequence[Decided], model: str) -> str:
    """The answer to the title's question, and how many edits fact lookup's outlasts, without their names."""
    own = general(found)
    parts = [f"on {about} ({_size(claims[0].study)}) it outlasts {' and '.join(map(_counted, claims))}"
             for about, claims in _by_facts(own).items()]  # fmt: skip
    if not parts:
        return f"No run that a claim rests on is there yet for {model}."
    return f"{_answer(own)}. An edit at fact lookup in {model}: {'; '.join(parts)}."


def _answer(own: Sequence[Decided]) -> str:
    verdicts = [line.verdict for one in own for line in _compared(one)]
    decided = [verdict for verdict in verdicts if verdict in _FOUND]
    if "supported" not in decided:
        return "Not as claimed" if decided else "Not decided"
    return "Yes" if {*verdicts} == {"supported"} else "In part"


def _counted(one: Decided) -> str:
    compared, asked = _compared(one), BRIEFLY[one.standing.claim.outcome]
    counts = {verdict: sum(line.verdict == verdict for line in compared) for verdict in _FOUND}
    notes = [f"{counts[verdict]} {words[counts[verdict] != 1]}" for verdict, words in _LASTS.items() if counts[verdict]]
    notes += [] if any(counts.values()) else ["no verdict"]
    grown = [line for line in compared if line.verdict == "supported" and line.change and line.change.difference.high < 0]
    if counts["supported"] and any(line.change for line in compared):
        notes.append(f"the attack itself widened {len(grown) or 'none'} of these gaps")
    beside = f" ({', '.join(notes)})" if notes else ""
    return f"{counts['supported'] or 'none'} of {count(len(compared), 'other edit')} {asked}{beside}"


def _compared(one: Decided) -> list[Line]:
    """The comparisons that were run of two arms that are a contrast; one edit under two names is one."""
    return [line for line in one.standing.lines if line.odds and line.stopped != NO_CONTRAST and not line.twin]


def by_name(found: Sequence[Decided]) -> pd.DataFrame:
    """What the headline counts: a line for each other edit, a column for each of the claims, and how they stand."""
    own = general(found)
    columns = {f"{one.about}, {BRIEFLY[one.standing.claim.outcome]}": one.standing.lines for one in own}
    cells = {name: {named(line.rival).replace("_", " "): line.verdict for line in lines} for name, lines in columns.items()}
    return pd.DataFrame(cells).fillna("-").reset_index(names="Fact lookup minus")


def shares(found: Sequence[Decided]) -> str:
    """How many edits fact lookup's outlasts by the share of true answers, which stands beside what decides; "" where nothing was run."""
    parts: list[str] = []
    for about, own in _by_facts(general(found)).items():
        told: list[str] = []
        for one in own:
            compared = [line.shares.difference for line in _compared(one) if line.shares]
            less = sum(gap.high < 0 for gap in compared) or "none"
            told += [f"{BRIEFLY[one.standing.claim.outcome]} less than after {less} of {len(compared)} others"] if compared else []
        parts += [f"on {about} {' and '.join(told)}"] if told else []
    words = "Log odds decide. In shares of true answers, which are coarser, an edit at fact lookup leaves (95 % intervals below zero) "
    return f"{words}{'; '.join(parts)}." if parts else ""


def gaps(found: Sequence[Decided]) -> str:
    """How many comparisons favour fact lookup, how many another edit, and how many have no verdict: the title of a forest plot."""
    verdicts = [line.verdict for one in found for line in _compared(one)]
    if not verdicts:
        return "No comparison was run yet"
    counts = [(verdicts.count("supported"), "for fact lookup"), (verdicts.count("contradicted"), "for the other edit"),
              (verdicts.count("equivalent"), "without a difference that matters")]  # fmt: skip
    left = len(verdicts) - sum(number for number, _ in counts)
    told = [f"{number} {words}" for number, words in [*counts, (left, "without a verdict")] if number]
    lines = [line for one in found for line in one.standing.lines if line.odds]
    same = sum(line.stopped == NO_CONTRAST for line in lines)
    twice = sum(bool(line.twin) for line in lines if line.stopped != NO_CONTRAST)
    notes = [f"{same} more train what fact lookup's edit trains"] * bool(same)
    notes += [f"{twice} more {'is' if twice == 1 else 'are'} an edit under a second name"] * bool(twice)
    beside = f" ({'; '.join(notes)})" if notes else ""
    return f"{count(len(verdicts), 'comparison')}: {', '.join(told)}{beside}"


def _by_facts(found: Sequence[Decided]) -> dict[str, list[Decided]]:
    by_task: dict[str, list[Decided]] = {}
    for one in found:
        by_task.setdefault(one.about, []).append(one)
    return by_task


def _size(study: Study | None) -> str:
    size = study.size if study else None
    return f"{study.profile}, {count(size.n_sets, 'forget set')}, {count(size.n_seeds, 'seed')}" if study and size else ""


def added(found: Sequence[Decided]) -> str:
    """Whether the gaps after relearning that are supported were there before it, in words; "" where none is, or none was looked at."""
    parts: list[str] = []
    for one in (some for some in general(found) if some.standing.claim.measure == "relearning"):
        lines = [line for line in one.standing.by_verdict.get("supported", []) if line.before and line.change]
        grew = [line for line in lines if line.change and line.change.difference.high < 0]
        same = [line for line in lines if line not in grew]
        told = [f"the attack itself brought back more after {_rivals(grew)}"] if grew else []
        told += [f"for {_rivals(same)} the gap was there before the attack, and what it added cannot be told from nothing"] if same else []
        parts += [f"{one.about}: {'; '.join(told)}"] if told else []
    words = "A gap after relearning may have been there before it. Of the supported gaps (95 % intervals, no rule declared before), on "
    return words + "; on ".join(parts) + "." if parts else ""


def stored(found: Sequence[Decided]) -> str:
    """What an edit does where facts are known to be, because they were planted there, in words; "" where that was not run."""
    own = [one for one in found if one.study and one.standing.claim.rule == "balanced"]
    words = "Only of planted facts, which were trained into early or late MLPs, is it known where they are stored"
    parts = _differences(own)
    return f"{words} ({_size(own[0].study)}). An edit there minus one at the other place: {', '.join(parts)}." if parts else ""


def everywhere(found: Sequence[Decided]) -> str:
    """What the depth of an edit does by itself, where facts were planted in all MLPs alike, in words; "" where that was not run."""
    own = [one for one in found if one.study and one.standing.claim.outcome.endswith(" planted everywhere")]
    parts = _differences(own)
    start = "Where they were trained into all MLPs alike, no place holds them alone"
    return f"{start} ({_size(own[0].study)}). An edit of early MLPs minus one of late ones: {', '.join(parts)}." if parts else ""


def sought(found: Sequence[Decided]) -> str:
    """Which method finds the layers in which facts were planted, in words; "" where that was not run."""
    own = [one for one in found if one.study and one.standing.claim.measure == MISSED]
    told = [f"minus {named(line.rival).replace('_', ' ')} {line.odds.difference} ({line.verdict})"
            for one in own for line in one.standing.lines if line.odds]  # fmt: skip
    places = count(own[0].standing.n_sets, "place") if own else ""
    start = f"Planted at {places}, each in a model of its own: the share of the planted layers that fact lookup misses"
    return f"{start}, {', '.join(told)}." if told else ""


def published(found: Sequence[Decided]) -> str:
    """What the paper's own attack brings back, in words; "" where that was not run."""
    own = [one for one in found if one.study and one.standing.claim.attack]
    lines = [line for one in own for line in one.standing.lines]
    told = [f"minus {named(line.rival).replace('_', ' ')} {line.odds.difference} nats ({line.verdict})" for line in lines if line.odds]
    return f"Under the paper's own attack ({_size(own[0].study)}), an edit at fact lookup {', '.join(told)}." if told else ""


def earlier(found: Sequence[Decided]) -> str:
    """What edits of earlier MLPs than fact lookup's do, which tells lookup from depth, in words; "" where that was not run."""
    own = [one for one in found if one.study and one.standing.claim.outcome in OUTCOMES]
    parts = [f"of {words}, {', '.join(told)}" for rival, words in EARLIER.items() if (told := _differences(own, rival))]
    start = "Lookup or depth? If depth decides, MLPs that fact lookup did not find and that lie earlier do as well or better"
    return f"{start} ({_size(own[0].study)}). An edit at fact lookup minus one {'; minus one '.join(parts)}." if parts else ""


def _differences(found: Sequence[Decided], rival: str = "") -> list[str]:
    """Comparisons that were run, or those of them with one rival: where it was asked, the gap, and the verdict."""
    return [f"{_ASKED[one.standing.claim.measure]} {line.odds.difference} nats ({line.verdict})"
            for one in found for line in one.standing.lines if line.odds and rival in ("", line.rival)]  # fmt: skip


def _rivals(lines: Sequence[Line]) -> str:
    return joined([named(line.rival).replace("_", " ") for line in lines])


def unrun(found: Sequence[Decided]) -> str:
    """How many claims were not tested here, and how many this model cannot be asked about, in words."""
    left, unable = (sum(one.verdict == verdict for one in found) for verdict in (NOT_RUN, NOT_TESTABLE))
    told = [f"{left} {'was' if left == 1 else 'were'} not run yet"] if left else []
    told += [f"{unable} cannot be tested on this model"] if unable else []
    return f"Of {count(len(found), 'claim')}, {', and '.join(told)}." if told else "All were run."


def table(found: Sequence[Decided]) -> str:
    """Every claim with its verdict, what that rests on, and a link to the page that decides it, as HTML."""
    head = "".join(f'<th style="{_CELL}">{name}</th>' for name in ("claim", "verdict", "rests on", "decided on"))
    return f'<table class="mech-claims"><thead><tr>{head}</tr></thead><tbody>{"".join(map(_row, found))}</tbody></table>'


def _row(one: Decided) -> str:
    claim = one.standing.claim
    rests = f"{count(one.standing.n_sets, claim.over)}, {one.study.profile}" if one.study else ""
    rests = "the unedited model" if one.standing.unable else rests
    cells = (markup.text(claim.sentence), f"<b>{markup.text(one.verdict)}</b>", markup.text(rests), _link(one))
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _link(one: Decided) -> str:
    if one.page is None:
        return ""
    section = "" if one.standing.claim.rule == "none" else f"#{_SECTION}"
    name = one.page.stem.partition("_")[2].replace("_", " ")
    folder = markup.text(one.page.parent.name)
    return f'<a href="../{folder}/{one.page.stem}.html{section}">{name} ({folder})</a>'

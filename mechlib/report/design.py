"""What was declared about a claim before its runs, and what was decided since, for readers."""

from __future__ import annotations

from collections.abc import Sequence

from IPython.display import HTML

from mechlib.report import markup
from mechlib.report.card import count, in_paper
from mechlib.report.claims import Change, Claim, Claims


def stated(claims: Claims, task: str, *outcomes: str) -> HTML:
    """The claims about a task, or those of them about some outcomes: each with what it aims at, and its history, folded."""
    found = [one for one in claims.of_task(task) if not outcomes or one.outcome in outcomes]
    return HTML("".join(_claim(one, claims.history(one)) for one in found) or "<p>The claims file has none about this task.</p>")


def _claim(claim: Claim, decisions: Sequence[Change]) -> str:
    text = markup.text
    aim = f"{claim.rule} over {count(claim.sets, claim.over)}" if claim.rule != "none" else "described, without a rule"
    said = f"<b>{text(claim.sentence)}</b> ({text(claim.key)}; {aim}.) In the paper: {text(in_paper(claim))}. " \
           f"Released runs: {text(claim.released)}."  # fmt: skip
    history = "".join(f"<li>{one.date}: {text(one.reason)}</li>" for one in decisions)
    summary = f"{count(len(decisions), 'decision')} about it, with dates and reasons"
    folded = f"<details><summary>{summary}</summary><ul>{history}</ul></details>"
    return f"<div><p>{said}</p>{folded if history else ''}</div>"

"""The card on top of a page: what is claimed, what the paper and the released runs say, what was found here, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mechlib.report import markup, numerals, sentences
from mechlib.report.claims import MISSED, Claim, Gates
from mechlib.report.robustness import setting_name
from mechlib.report.standing import Standing, arms, could_see, would_change, would_contradict
from mechlib.report.tables import label, named
from mechlib.report.verdicts import DESCRIPTIVE, NOT_RUN
from mechlib.runs.study import Study
from mechlib.stats import ENOUGH_SETS

_BOX = "border-left:4px solid #0072B2;padding:.4em .8em;margin:.5em 0"
_CELL = "padding:.1em .8em .1em 0;vertical-align:top;text-align:left"
_NO_RULE = f"<b>{DESCRIPTIVE.capitalize()}.</b> No claim of the claims file is decided on this page."


def card(
    study: Study, found: Sequence[Standing], gates: Gates | None = None, attack: tuple[str, int] | None = None, warning: str = "",
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> str:  # fmt: skip
    """A page's card as HTML.

    ``found``: the claims that the page shows, the first of them unfolded; ``attack``: setting and step that edits are compared under;
    ``elsewhere``: of claims (by key) that another page decides, its address.
    """
    told = [_claim(one, study, gates, attack, elsewhere.get(one.claim.key, "")) for one in found if gates]
    first = told[0] if told else f"<div>{_NO_RULE}</div>"
    folded = f"<details><summary>Other claims that this page shows ({len(told) - 1})</summary>{''.join(told[1:])}</details>"
    others = folded if told[1:] else ""
    by_place, masked = any(one.claim.by_place for one in found), any(one.claim.masked for one in found)
    return f'<div style="{_BOX}">{first}{others}<div>{made_with(study, by_place, masked)}{warning}</div></div>'


def card_of_no_study(study: Study) -> str:
    """The card of a page that shows other pages' runs and verdicts, and has neither forget sets nor a profile of its own."""
    return f'<div style="{_BOX}">{_NO_RULE} It shows what the pages of the studies found. {_model(study)}.</div>'


def _model(study: Study) -> str:
    return f"Model <b>{markup.text(study.model)}</b>"


def _steps(study: Study, masked: bool) -> str:
    """How long edits, or masks, are trained."""
    return f"masks of {study.size.mask_steps} steps" if masked else f"at most {study.size.steps} steps"


def _claim(standing: Standing, study: Study, gates: Gates, attack: tuple[str, int] | None, elsewhere: str) -> str:
    claim, size = standing.claim, study.size
    edits = [count(size.n_seeds, "seed"), _steps(study, claim.masked)] if claim.measure != MISSED else []
    how = [count(standing.n_sets, claim.over), *edits]
    how += [f"attack: {setting_name(*attack)}"] if attack and claim.measure == "relearning" else []
    lines = {
        "In the paper": in_paper(claim),
        "Released runs": f"{claim.released} ({claim.source})" if claim.source != "none" else claim.released,
    }
    if claim.rule == "none":
        lines["Here"] = "the figures and tables of this page"
    elif standing.run:
        what = "share of the planted weights missed" if claim.measure == MISSED else "log odds in nats"
        lines["Here"] = f"{named(claim.first)} minus the other, {what} (95 %): {', '.join(how)}"
        lines |= {verdict.capitalize(): arms(own) for verdict, own in standing.by_verdict.items()}
    elif standing.unable:
        lines["Here"] = f"of the facts that it knows, {standing.unable}; at least {numerals.decimal(gates.able)} are asked for"
    else:
        lines["Here"] = "none of these comparisons is of this page's study"
    if seen := could_see(standing):
        lines["Could have seen"] = seen
    lines["Would contradict it"] = would_contradict(claim)
    lines["Would change it"] = would_change(standing, gates)
    verdict = "not run here" if standing.verdict == NOT_RUN and elsewhere else markup.text(standing.verdict)
    link = f' <a href="{markup.text(elsewhere)}">The page of the study that decides it</a>.' if elsewhere else ""
    cells = "".join(f'<tr><th style="{_CELL}">{markup.text(name)}</th><td style="{_CELL}">{markup.text(value)}</td></tr>'
                    for name, value in lines.items())  # fmt: skip
    return (f"<div><b>{markup.text(claim.sentence)}</b><br>Verdict: <b>{verdict}</b> "
            f"({markup.text(claim.key)}, {claim.family}).{link}</div><table>{cells}</table>")  # fmt: skip


def in_paper(claim: Claim) -> str:
    """Where the paper has a claim and with what number; where it has none, that it has not."""
    return claim.place if claim.place.startswith("not in the paper") else f"{claim.place}. Its number: {claim.paper}"


def made_with(study: Study, by_place: bool = False, masked: bool = False) -> str:
    """Which model and profile a page was made with, and what that allows to conclude.

    ``by_place``: places, not sets, are the unit; ``masked``: masks are trained, and not edits.
    """
    size = study.size
    parts = f"{study.parts} x " if study.parts > 1 else ""
    facts = study.kind.scale * study.forget_set_size
    of = "of all facts with one answer" if study.kind.forget == "answers" else f"of {parts}{facts}"
    sets = f"{count(size.n_sets, 'forget set')} {of}, {count(size.n_seeds, 'seed')}, {_steps(study, masked)}"
    if size.n_attacked_sets < size.n_sets:
        sets += f"; attacked and audited: {size.n_attacked_sets} of these sets (FORGET_SETS={size.n_sets}: all)"
    if study.kind.spread:
        sets = f"{count(size.n_sets, 'place')}, each with a model of its own"
    quick = "" if size.n_sets >= ENOUGH_SETS else " <b>Too few forget sets for inference: read it as a demonstration.</b>"
    unit = sentences.unit(size.n_sets, size.n_attacked_sets)
    if by_place:
        unit, quick = "The unit of the verdict is the place.", ""
    return f"{_model(study)}, profile <b>{study.profile}</b>: {sets}. {unit}{quick}"


def parameters(study: Study, names: Sequence[str], changed: Mapping[str, Any]) -> str:
    """The parameters of a page as they came out, folded: those that are other than usual stand first, and the summary counts them."""
    shown = [name for name in names if name in changed] + [name for name in names if name not in changed]
    cells = "".join(_parameter(name, effective(study, name), name in changed) for name in shown)
    said = f"{len(changed)} other than usual" if changed else "all as usual"
    return f"<details><summary>Parameters ({said})</summary><table>{cells}</table></details>"


def _parameter(name: str, value: str, other: bool) -> str:
    weight = ";font-weight:bold" if other else ""
    return f'<tr><td style="{_CELL}{weight}">{markup.text(name)}</td><td style="{_CELL}{weight}">{markup.text(value)}</td></tr>'


def effective(study: Study, name: str) -> str:
    """What a parameter comes to, for readers: where nothing was given, what model, profile or task say."""
    size = study.size
    sizes: dict[str, Any] = {"FORGET_SETS": size.n_sets, "SEEDS": size.n_seeds, "STEPS": size.steps, "STOP_AT": size.stop_at,
                             "DTYPE": study.model_spec.dtype, "OPTIMIZER": study.optimizer or study.model_spec.optimizer,
                             "DIVIDED_SETS": study.divided_sets or size.n_sets}  # fmt: skip
    value = sizes.get(name, getattr(study, name.lower()))
    rates = {"LEARNING_RATE": "learning_rate", "FORGET_COEFFICIENT": "forget_coefficient"}
    if value is None and name in rates:
        by_arm = {label(key): numerals.rate(getattr(study.training(key, 0, 0), rates[name])) for key in study.localizations or ()}
        alike = len({*by_arm.values()}) == 1
        return next(iter(by_arm.values())) if alike else ", ".join(f"{arm} {rate}" for arm, rate in by_arm.items())
    if value is None:
        usual = {"PRECISION": "as the machine does", "MICRO_BATCH": "a whole batch", "LOCALIZATION": "none",
                 "TEXTS": "the model's own samples"}  # fmt: skip
        return usual.get(name, "as shipped")
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return ", ".join(f"{part}: {_given(given, ',')}" for part, given in value)
    return _given(value, ", ")


def _given(value: Any, between: str) -> str:
    return between.join(map(numerals.plain, value)) if isinstance(value, list | tuple) else numerals.plain(value)


def count(number: int, what: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{numerals.count(number)} {what}{'s' * (number != 1)}"

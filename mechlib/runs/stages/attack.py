"""Attacks: divide the forget set, attack the edited or unedited model, ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mechlib.attacks.attack import Attacked, Knowledge
from mechlib.attacks.registry import ATTACKS
from mechlib.evals.answers import answer_prompts
from mechlib.facts import Prompt, prompts
from mechlib.models.precision import multiplying
from mechlib.runs.knowledge import halves
from mechlib.runs.spec import Stage
from mechlib.runs.stages.answers import AnswerSettings, Group, grouped
from mechlib.runs.work import Result, Work

# The setting of the answers before the attack.
BEFORE = "none"


@dataclass(frozen=True)
class AttackSettings:
    """One attack. ``fold``: which half of the forget set the attacker holds; ``None``: it holds nothing and all are tested.

    ``asked``: who is asked; ``reads``: hash of the texts that the attack uses.
    """

    attack: str
    asked: AnswerSettings
    settings: Mapping[str, Any]
    fold: int | None = None
    reads: str | None = None


def attacked(work: Work[AttackSettings]) -> Result:
    """Answers before the attack and at each of its settings; with a ``fold``, about the half that the attacker did not hold."""
    settings, about = work.settings, work.settings.asked.about
    splits = work.splits(about.splits)
    asked: list[tuple[Group, Prompt]] = [
        (group, one) for group, some in grouped(work, settings.asked, settings.fold) for one in some
    ]
    held, _ = halves(splits.forget[about.forget_set].facts, settings.fold)
    retain = prompts(splits.retained(splits.maintain_train, about.forget_set), about.format)
    texts = [row["tokens"] for row in work.inputs["texts"].rows]
    # What is compared multiplies alike: else all layers of an edit differ from the original by rounding.
    original, model = (multiplying(one, settings.asked.precision) for one in (work.model, work.edited))
    knowledge = Knowledge(prompts(held, about.format), retain, texts, original)
    before = {(row["relation"], row["subject"]): row for row in work.inputs["before"].rows}
    rows = [{"setting": BEFORE, "step": 0, **before[one.fact.relation, one.fact.subject], "group": group} for group, one in asked]
    attack = ATTACKS[settings.attack].run(model, knowledge, settings.asked.seed or 0, **settings.settings)
    for done, one in enumerate(attack, start=1):
        rows += _rows(one, asked, bool(settings.asked.whole))
        work.progress(done, done + 1)
    return Result(rows)


def _rows(one: Attacked, asked: Sequence[tuple[Group, Prompt]], whole: bool) -> list[dict[str, Any]]:
    answers = answer_prompts(one.model, [one.rewrite(prompt) for _, prompt in asked], whole=whole)
    return [
        {"setting": one.setting, "step": one.step, **asdict(answer), "group": group}
        for (group, _), answer in zip(asked, answers, strict=True)
    ]


def _version(settings: AttackSettings) -> Mapping[str, int]:
    return {settings.attack: ATTACKS[settings.attack].version}


# Prompts that are asked in the quick profile, which an attack's expected seconds are of.
_QUICKLY_ASKED = 52


def _seconds(settings: AttackSettings) -> float:
    attack = ATTACKS[settings.attack]
    if attack.effort is None:
        return attack.seconds * settings.asked.asked / _QUICKLY_ASKED
    return attack.seconds * attack.effort(settings.settings) / attack.effort(attack.settings["quick"])


ATTACK = Stage("attack", 2, attacked, _seconds, _version)

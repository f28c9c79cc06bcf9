"""What every attack's stage does: divide the forget set, attack the edited or unedited model, ask it."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from mechlib.edit.delta import FILE, Delta, EditError
from mechlib.evals.answers import ask
from mechlib.attacks.attack import Attack, Attacked, Knowledge
from mechlib.facts import FORMATS, Fact, FactSet, Prompt, demonstration_subjects, prompts
from mechlib.facts.fact import deal
from mechlib.models import LanguageModel
from mechlib.models.tokens import distinct
from mechlib.runs.context import Context
from mechlib.runs.result import Result
from mechlib.runs.stages.know import certainty, splits

# The setting of the answers before the attack.
BEFORE = "none"


def before(context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result]) -> Result:
    """Answers of the edited or unedited model to everything that attacks on it ask: the same before each of them."""
    asked = _asked(context, config, inputs["know"], None)
    with edited(context.model, inputs.get("edit")) as model:
        return Result(_rows(Attacked(BEFORE, 0, model), asked))


def attacked(attack: Attack, context: Context, config: Mapping[str, Any], inputs: Mapping[str, Result]) -> Result:
    """Answers before the attack and at each of its settings; with a ``fold``, about the half that the attacker did not hold.

    Groups: ``forget`` (tested), ``relearned`` (held by the attacker), ``maintain`` (nobody edited
    them) and ``unknown`` (the unedited model never knew them: what the attack itself teaches).
    """
    parts, number, form = splits(context.facts, inputs["know"], config["splits"]), config["forget_set"], FORMATS[config["format"]]
    asked = _asked(context, config, inputs["know"], config["fold"])
    held, _ = halves(parts.forget[number].facts, config["fold"])
    original = context.model.standalone_copy()
    retain = prompts(parts.retained(parts.maintain_train, number), form)
    texts = [row["tokens"] for row in inputs["text"].rows]
    known = {(row["relation"], row["subject"]): row for row in inputs["before"].rows}
    rows = [{**known[one.fact.relation, one.fact.subject], "group": group} for group, one in asked]
    with edited(context.model, inputs.get("edit")) as model:
        knowledge = Knowledge(prompts(held, form), retain, texts, original)
        for done, one in enumerate(attack(model, knowledge, config["seed"], **config["settings"]), start=1):
            rows += _rows(one, asked)
            context.report(done, done + 1)
    return Result(rows)


def _asked(context: Context, config: Mapping[str, Any], know: Result, fold: int | None) -> list[tuple[str, Prompt]]:
    """Who is asked, by group."""
    parts, number = splits(context.facts, know, config["splits"]), config["forget_set"]
    held, tested = halves(parts.forget[number].facts, fold)
    groups: dict[str, Sequence[Fact]] = {
        "forget": tested,
        "relearned": held,
        "maintain": parts.retained(parts.maintain_test, number)[: config["n_maintain"]],
        "unknown": unknown_facts(context.facts, know, config["n_unknown"], config["seed"]),
    }
    form = FORMATS[config["format"]]
    return [(group, one) for group, facts in groups.items() for one in prompts(facts, form) if distinct(context.model, one)]


def _rows(one: Attacked, asked: Sequence[tuple[str, Prompt]]) -> list[dict[str, Any]]:
    answers = ask(one.model, [one.rewrite(prompt) for _, prompt in asked])
    return [
        {"setting": one.setting, "step": one.step, **asdict(answer), "group": group}
        for (group, _), answer in zip(asked, answers, strict=True)
    ]


def halves(facts: Sequence[Fact], fold: int | None) -> tuple[Sequence[Fact], Sequence[Fact]]:
    """What the attacker holds and what is tested: one half each, exchanged in fold 1; without a fold nothing and everything."""
    if fold is None:
        return (), facts
    first, second = facts[: len(facts) // 2], facts[len(facts) // 2 :]
    return (second, first) if fold else (first, second)


def unknown_facts(facts: FactSet, know: Result, count: int, seed: int) -> list[Fact]:
    """Facts that the unedited model answers wrongly and is not sure of, balanced over the answers and seeded."""
    wrong = {(row["relation"], row["subject"]) for row in know.rows if not row["correct"] and certainty(row) < 0.5}
    never = [fact for fact in facts if (fact.relation, fact.subject) in wrong and fact.subject not in demonstration_subjects()]
    return deal(never, random.Random(seed))[:count]


@contextmanager
def edited(model: LanguageModel, edit: Result | None) -> Generator[LanguageModel]:
    """The model with a stored edit applied, or as it is if there is none."""
    if edit is None:
        yield model
        return
    if edit.folder is None:
        raise EditError("an edit whose weights were not kept cannot be attacked: compute it again")
    with Delta.load(edit.folder / FILE).applied(model) as changed:
        yield changed

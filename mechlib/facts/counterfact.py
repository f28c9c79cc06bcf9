"""Facts in the format of CounterFact: our own table of world facts, and the published set from a file or a hub.

A fact has a true and a false target. In the published set (Meng et al. 2022, and the versions that
the authors of the paper filtered by a model's knowledge) each fact brings its own paraphrases and
neighbourhood prompts; our table's come from its relations.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from mechlib.facts.fact import Fact, FactError, FactSet, LeftOut, composed
from mechlib.facts.reading import Row, literal, plain, rows, texts
from mechlib.facts.relations import WORLD

SHIPPED = Path(__file__).with_name("world_facts.csv")
FILES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
COLUMNS = ("subject", "relation", "relation_id", "target_true", "target_false", "requested_rewrite", "paraphrase_prompts",
           "neighborhood_prompts")  # fmt: skip


def world_facts() -> FactSet:
    """The shipped table: over 1,900 facts in 15 relations, written for this project.

    The false target of a fact is another answer of its relation, drawn by a seed that is the fact
    itself: it does not depend on what else is in the table.
    """
    with SHIPPED.open(encoding="utf-8", newline="") as lines:
        facts = [Fact(row["subject"], row["relation"], row["answer"]) for row in csv.DictReader(lines)]
    answers = {relation.key: sorted({fact.answer for fact in facts if fact.relation == relation.key}) for relation in WORLD}
    return FactSet("world_facts", tuple(replace(fact, target=_target(fact, answers[fact.relation])) for fact in facts))


def _target(fact: Fact, answers: Sequence[str]) -> str:
    others = [answer for answer in answers if answer != fact.answer]
    return random.Random(f"{fact.relation}/{fact.subject}").choice(others)


def counterfact(source: str) -> FactSet:
    """The published set: a file (see :mod:`mechlib.facts.reading`), or a hub data set ``owner/name`` or ``owner/name:split``.

    Left out, and listed in ``left_out``, is a subject that a relation holds already, a paraphrase that does not name the subject
    and a neighbourhood text that does. Raises :class:`FactError`, with the row, if the source or an entry cannot be read or is missing.
    """
    facts: dict[tuple[str, str], Fact] = {}
    left_out: list[LeftOut] = []
    for row in _rows(source):
        try:
            fact, without = _fact(row)
        except FactError as error:
            raise FactError(f"{source}, {row.where}: {error}") from None
        first = facts.setdefault((fact.relation, fact.subject), fact)
        if first is not fact:
            other = "" if fact.answer == first.answer else f", with the answer {first.answer}"
            without = [LeftOut(str(fact), f"the subject stands in this relation before{other}", row.where)]
        left_out += without
    if not facts:
        raise FactError(f"{source}: no rows")
    return FactSet(Path(source).stem, tuple(facts.values()), tuple(left_out))


def _rows(source: str) -> Iterable[Row]:
    try:
        path = Path(source).expanduser()
        is_file = path.suffix.lower() in FILES or path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise FactError(f"{source}: cannot be read: {error}") from None
    if is_file:
        return rows(path, COLUMNS)
    try:
        import datasets

        load_dataset: Any = datasets.load_dataset
        name, _, part = source.partition(":")
        listed: list[dict[str, Any]] = load_dataset(name, split=part or "train").to_list()
        return [Row(f"row {number}", row) for number, row in enumerate(listed, start=1)]
    except Exception as error:  # a hub can fail in many ways; all mean the same to a reader
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FactError(f"WORLD_FACTS={source}: no {', '.join(FILES)} file and no hub data set that can be read: {reason}") from None


def _fact(row: Row) -> tuple[Fact, list[LeftOut]]:
    asked = _asked(row)

    def entry(column: str, *keys: str) -> str:
        inner: Any = asked
        for key in keys:
            inner = inner.get(key) if isinstance(inner, Mapping) else None
        return plain(row.cells.get(column)) or plain(inner)

    template, subject = entry("relation", "prompt"), entry("subject", "subject")
    true, false = entry("target_true", "target_true", "str"), entry("target_false", "target_new", "str")
    found = {"subject": subject, "relation": template, "target_true": true, "target_false": false}
    if missing := [name for name, value in found.items() if not value]:
        needs = "needs subject, relation, target_true and target_false, or requested_rewrite"
        raise FactError(f"{needs}: without {' and '.join(missing)}")
    wordings, near, left_out = [template], list[str](), list[LeftOut]()
    mention = _mention(composed(subject))
    for text in map(composed, texts(row.cells.get("paraphrase_prompts"))):
        if "{}" in (worded := text if "{}" in text else mention.sub("{}", text)):
            wordings.append(worded)
        else:
            left_out.append(LeftOut(text, f"the paraphrase does not name {subject}", row.where))
    for text in map(composed, texts(row.cells.get("neighborhood_prompts"))):
        if mention.search(text):
            left_out.append(LeftOut(text, f"the neighbourhood text names {subject} itself", row.where))
        else:
            near.append(text)
    return Fact(subject, entry("relation_id", "relation_id") or template, true, false, tuple(wordings), tuple(near)), left_out


def _asked(row: Row) -> Mapping[str, Any]:
    asked: Any = row.cells.get("requested_rewrite")
    asked = literal(asked) if isinstance(asked, str) and asked.strip() else asked
    return cast("Mapping[str, Any]", asked) if isinstance(asked, Mapping) else {}


def _mention(subject: str) -> re.Pattern[str]:
    """The subject as words of their own, not inside others; in a script without cases words have no such borders."""
    begins, ends = ("" if one.isalpha() and one.lower() == one.upper() else border for one, border in
                    ((subject[:1], r"(?<!\w)"), (subject[-1:], r"(?!\w)")))  # fmt: skip
    return re.compile(begins + r"\s+".join(map(re.escape, subject.split())) + ends)

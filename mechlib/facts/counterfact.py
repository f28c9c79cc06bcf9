"""Facts in the format of CounterFact: our own table of world facts, and the published set from a file or a hub.

A fact has a true and a false target. In the published set (Meng et al. 2022, and the versions that
the authors of the paper filtered by a model's knowledge) each fact brings its own paraphrases and
neighbourhood prompts; our table's come from its relations.
"""

from __future__ import annotations

import ast
import csv
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mechlib.facts.fact import Fact, FactError, FactSet
from mechlib.facts.relations import WORLD

SHIPPED = Path(__file__).with_name("world_facts.csv")
# A list that was written out by numpy: strings in quotes, without commas.
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)


def world_facts() -> FactSet:
    """The shipped table: over 1,000 facts in 12 relations, written for this project.

    The false target of a fact is another answer of its relation, drawn by a seed that is the fact
    itself: it does not depend on what else is in the table.
    """
    with SHIPPED.open(encoding="utf-8", newline="") as lines:
        rows = [Fact(row["subject"], row["relation"], row["answer"]) for row in csv.DictReader(lines)]
    answers = {relation.key: sorted({fact.answer for fact in rows if fact.relation == relation.key}) for relation in WORLD}
    return FactSet("world_facts", tuple(replace(fact, target=_target(fact, answers[fact.relation])) for fact in rows))


def _target(fact: Fact, answers: Sequence[str]) -> str:
    others = [answer for answer in answers if answer != fact.answer]
    return random.Random(f"{fact.relation}/{fact.subject}").choice(others)


def counterfact(source: str) -> FactSet:
    """The published set: a ``.csv``, ``.parquet`` or ``.json`` file, or a hub data set ``owner/name`` or ``owner/name:split``.

    A subject that a relation holds twice counts once. Raises :class:`FactError` if the source cannot
    be read or lacks a column.
    """
    facts: dict[tuple[str, str], Fact] = {}
    for number, row in enumerate(_rows(source), start=1):
        fact = _fact(row, f"{source}, row {number}")
        facts.setdefault((fact.relation, fact.subject), fact)
    if not facts:
        raise FactError(f"{source}: no rows")
    return FactSet(Path(source).stem, tuple(facts.values()))


def _rows(source: str) -> Iterable[Mapping[str, Any]]:
    import pandas as pd

    # Text as it is written: a subject may be called "NA", or by a number.
    read_csv: Any = partial(pd.read_csv, dtype=str, keep_default_na=False)
    read_json: Any = pd.read_json
    readers: dict[str, Any] = {".csv": read_csv, ".parquet": pd.read_parquet, ".json": partial(read_json, dtype=False)}
    path = Path(source).expanduser()
    try:
        if path.suffix in readers:
            return readers[path.suffix](path).to_dict("records")
        import datasets

        load_dataset: Any = datasets.load_dataset
        name, _, part = source.partition(":")
        return load_dataset(name, split=part or "train").to_list()
    except Exception as error:  # a hub or a parser can fail in many ways; all mean the same to a reader
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FactError(f"WORLD_FACTS={source}: no .csv, .parquet or .json file and no hub data set that can be read: {reason}") from None


def _fact(row: Mapping[str, Any], where: str) -> Fact:
    try:
        asked: Any = row.get("requested_rewrite")
        asked = ast.literal_eval(_text(asked) or "{}") if asked is None or isinstance(asked, str | float) else asked
        template = _text(row.get("relation")) or _text(asked["prompt"])
        subject = (_text(row.get("subject")) or _text(asked["subject"])).strip()
        true = (_text(row.get("target_true")) or _text(asked["target_true"]["str"])).strip()
        false = (_text(row.get("target_false")) or _text(asked["target_new"]["str"])).strip()
        relation = _text(row.get("relation_id")) or _text(asked.get("relation_id")) or template
    except (AttributeError, KeyError, TypeError, ValueError, SyntaxError) as error:
        raise FactError(f"{where}: needs subject, relation, target_true and target_false, or requested_rewrite: {error}") from None
    if "{}" not in template or not (subject and true and false):
        raise FactError(f"{where}: the relation '{template}' has no {{}} for the subject, or an entry is empty")
    paraphrases = [text.replace(subject, "{}") for text in _texts(row.get("paraphrase_prompts")) if subject in text]
    return Fact(subject, relation, true, false, (template, *paraphrases), tuple(_texts(row.get("neighborhood_prompts"))))


def _text(entry: Any) -> str:
    """An entry as text. A missing one, which pandas gives as not a number, is empty."""
    return "" if entry is None or entry != entry else str(entry)


def _texts(listed: Any) -> list[str]:
    if listed is None or isinstance(listed, float):
        return []
    if isinstance(listed, str):
        return [str(ast.literal_eval(quoted)) for quoted in _QUOTED.findall(listed)]
    return [str(text) for text in listed]

"""What a model can still do besides: benchmarks of the evaluation harness, and facts that no edit was about.

The authors run MMLU and SciQ through lm-evaluation-harness. For a small model many benchmarks have
no signal (``SIGNAL``): an edit cannot lower what is at chance. Without a hub there are no
benchmarks at all; :func:`general_facts` needs none.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mechlib.evals.answers import Answer, ask
from mechlib.facts import Fact, FactError, PromptFormat, demonstration_subjects, prompts
from mechlib.models.language_model import LanguageModel

# Points above chance from which a benchmark can show damage: a thousand questions have a standard error of 1.6.
ROOM = 10.0


class CapabilityError(RuntimeError):
    """The harness cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Signal:
    """A benchmark for one unedited model: published score and what guessing gets (percent), with so many ``shots``."""

    task: str
    score: float
    guessing: float
    shots: int
    source: str

    @property
    def usable(self) -> bool:
        """Whether the model is far enough above guessing to lose something."""
        return self.score - self.guessing >= ROOM


_CARD = "Gemma 3 model card, ai.google.dev/gemma/docs/core/model_card_3 (pre-trained 270M)"
# Guessing BoolQ is saying its commoner answer.
SIGNAL: Mapping[str, tuple[Signal, ...]] = {
    "gemma-3-270m": (
        Signal("arc_easy", 57.7, 25.0, 0, _CARD),
        Signal("piqa", 67.7, 50.0, 0, _CARD),
        Signal("hellaswag", 40.9, 25.0, 10, _CARD),
        Signal("triviaqa", 15.4, 0.0, 5, _CARD),
        Signal("arc_challenge", 29.0, 25.0, 25, _CARD),
        Signal("winogrande", 52.0, 50.0, 5, _CARD),
        Signal("boolq", 61.4, 62.2, 0, _CARD),
        Signal("mmlu", 24.9, 25.0, 0, "not on the model card: a third party's harness run on five subjects, shots not stated"),
    ),
}


@dataclass(frozen=True)
class Capability:
    """One metric of one benchmark (or group of them) over ``n`` questions; ``stderr`` is the harness's, ``None`` where it has none."""

    task: str
    metric: str
    value: float
    stderr: float | None
    n: int


def capability(
    model: LanguageModel,
    tasks: Sequence[str | Mapping[str, Any]],
    *,
    limit: int | None = None,
    shots: int | None = None,
    batch_size: int = 8,
    seed: int = 1234,
) -> list[Capability]:
    """Run benchmarks of lm-evaluation-harness on the model as it is, with an edit if one is applied.

    ``tasks`` are the harness's names (or its task configurations); ``limit`` asks the first so many
    questions of each, ``shots`` is each benchmark's own if ``None``, ``seed`` draws the examples. The
    harness is optional, and its data sets come from a hub. Run with lm_eval 0.4.13 on the embedded
    model was a multiple-choice task in a local file; no benchmark of a hub was. Raises
    :class:`CapabilityError` if the harness is not installed.
    """
    try:
        harness, models = import_module("lm_eval.evaluator"), import_module("lm_eval.models.huggingface")
    except ImportError as error:
        raise CapabilityError(f"benchmarks need the evaluation harness ({error}): pip install lm_eval") from None
    # It ties weights and sets a padding token: not on ours.
    network, tokenizer = model.shared_copy().network, copy.deepcopy(model.tokenizer)
    found = harness.simple_evaluate(
        model=models.HFLM(pretrained=network, tokenizer=tokenizer, batch_size=batch_size, trust_remote_code=False),
        tasks=[task if isinstance(task, str) else dict(task) for task in tasks],
        num_fewshot=shots,
        limit=limit,
        log_samples=False,
        random_seed=seed,
        numpy_random_seed=seed,
        torch_random_seed=seed,
        fewshot_random_seed=seed,
    )
    return _rows(found["results"], found["n-samples"], found.get("group_subtasks", {}))


def _rows(
    results: Mapping[str, Mapping[str, Any]], counts: Mapping[str, Mapping[str, int]], parts: Mapping[str, Sequence[str]]
) -> list[Capability]:
    """The harness's ``metric,filter`` entries as rows; a metric's filter is named only if it has one."""

    def count(task: str) -> int:
        return counts[task]["effective"] if task in counts else sum(count(part) for part in parts.get(task, ()))

    rows: list[Capability] = []
    for task, entries in results.items():
        for key, value in entries.items():
            metric, comma, kind = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            stderr = entries.get(f"{metric}_stderr,{kind}")
            error = float(stderr) if isinstance(stderr, int | float) else None
            rows.append(Capability(task, metric if kind == "none" else key, float(value), error, count(task)))
    return rows


def general_facts(model: LanguageModel, facts: Iterable[Fact], form: PromptFormat, edited: Iterable[Fact]) -> list[Answer]:
    """Ask facts of other relations than the edited ones, about other subjects: what an edit should not touch at all.

    ``facts`` are those that the unedited model knows, such as world facts where sports are edited.
    Raises :class:`FactError` if none is left or a relation lacks the wording.
    """
    edits = list(edited)
    relations = {fact.relation for fact in edits}
    subjects = {fact.subject for fact in edits} | demonstration_subjects()
    others = [fact for fact in facts if fact.relation not in relations and fact.subject not in subjects]
    if not others:
        raise FactError(f"no fact is left that is about something else than {', '.join(sorted(relations)) or 'nothing'}")
    return ask(model, prompts(others, form), group="general facts")

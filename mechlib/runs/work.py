"""What a stage is given (:class:`Work`) and what it gives (:class:`Result`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from mechlib.edit.delta import FILE, Delta, EditError
from mechlib.facts import FactSet, Splits
from mechlib.models import LanguageModel, ModelSpec, load
from mechlib.runs.knowledge import SplitSettings, divided

S = TypeVar("S")


@dataclass(frozen=True)
class Result:
    """Rows (one a fact, prompt, step ...), one small value, and files beside them in ``folder``. ``id``: of the run."""

    rows: Sequence[Mapping[str, Any]] = ()
    value: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None

    @property
    def seconds(self) -> float:
        """How long it took."""
        return float(self.manifest.get("seconds", 0.0))

    @property
    def delta(self) -> Delta:
        """The change that an edit left beside its rows; raises :class:`EditError` where only its rows were kept."""
        if self.folder is None:
            raise EditError("an edit whose weights were not kept cannot be used: compute it again")
        return Delta.load(self.folder / FILE)


@dataclass
class Context:
    """One model, loaded when it is first needed, and one table of facts. Contexts of one process can lend each other their model."""

    model_spec: ModelSpec
    facts: FactSet
    say: Callable[[str], None] = lambda _line: None
    progress: Callable[[int, int], None] = lambda _done, _of: None
    lender: Context | None = None
    _splits: dict[tuple[str, SplitSettings], Splits] = field(default_factory=dict)

    @cached_property
    def model(self) -> LanguageModel:
        """The model, that of ``lender`` if there is one; loading it is what a warm run never does."""
        if self.lender is not None:
            return self.lender.model
        return load(self.model_spec, say=lambda line: self.say(f"  {self.model_spec.name}: {line}"))

    def splits(self, known: Result, settings: SplitSettings) -> Splits:
        """The parts of the facts that the model knows, divided once for all runs that start from the same answers."""
        if known.id is None:
            return divided(self.facts, known.rows, settings)
        if (known.id, settings) not in self._splits:
            self._splits[known.id, settings] = divided(self.facts, known.rows, settings)
        return self._splits[known.id, settings]


@dataclass(frozen=True)
class Work(Generic[S]):
    """One run at work: its settings, the results that it starts from by role, and a folder for files beside its rows."""

    context: Context
    settings: S
    inputs: Mapping[str, Result]
    folder: Path

    @cached_property
    def model(self) -> LanguageModel:
        """The unedited model; where facts are planted, with them."""
        return self.inputs["planted"].delta.edited(self.context.model) if "planted" in self.inputs else self.context.model

    @property
    def edited(self) -> LanguageModel:
        """The model after the edit that the run starts from, or as it is if there is none."""
        return self.inputs["edit"].delta.edited(self.model) if "edit" in self.inputs else self.model

    def splits(self, settings: SplitSettings) -> Splits:
        """The parts of the known facts."""
        return self.context.splits(self.inputs["known"], settings)

    def progress(self, done: int, of: int) -> None:
        """Say how far the run is."""
        self.context.progress(done, of)

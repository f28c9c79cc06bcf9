"""What a stage is given besides its settings: the model, loaded when first needed, and a way to report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from mechlib.facts import FactSet
from mechlib.models import LanguageModel, ModelSpec, load


@dataclass
class Context:
    """One model and one table of facts. Contexts of one process can lend each other their model."""

    model_spec: ModelSpec
    facts: FactSet
    say: Callable[[str], None] = lambda _line: None
    report: Callable[[int, int], None] = lambda _done, _of: None
    lender: Context | None = None

    @cached_property
    def model(self) -> LanguageModel:
        """The model, that of ``lender`` if there is one; loading it is what a warm run never does."""
        if self.lender is not None:
            return self.lender.model
        return load(self.model_spec, report=lambda line: self.say(f"  {self.model_spec.name}: {line}"))

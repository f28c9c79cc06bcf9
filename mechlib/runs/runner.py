"""Compute what is missing, inputs first; everything finished is read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mechlib.models import LanguageModel
from mechlib.runs.impossible import REASONS, ImpossibleError, why
from mechlib.runs.progress import Progress, Say
from mechlib.runs.spec import RunSpec
from mechlib.runs.store import DamagedRun, Store, default_store
from mechlib.runs.study import Study
from mechlib.runs.work import Context, Result, Work


class Runner:
    """The runs of one study, on one store, in this process."""

    def __init__(
        self, study: Study, store: Store | None = None, say: Say = lambda _line: None, impossible: dict[str, str] | None = None
    ) -> None:
        """``impossible``: runs that are known not to be had, by id, with why; :meth:`attempt` adds to it."""
        self.study = study
        self.store = store or default_store()
        self.say = say
        self.impossible: dict[str, str] = {} if impossible is None else impossible
        self.context = Context(study.model_spec, study.table, say)
        self._shown: dict[str, Result] = {}

    @property
    def model(self) -> LanguageModel:
        """The study's model, loaded on first use."""
        return self.context.model

    def missing(self, wanted: Iterable[RunSpec], files: bool = False) -> list[RunSpec]:
        """The runs to compute for ``wanted`` (with ``files``: and what lies beside their rows), each once, inputs first."""
        order: dict[str, RunSpec] = {}

        def visit(spec: RunSpec, files: bool = False) -> None:
            if spec.id in order or self.store.has(spec, files):
                return
            for needed in spec.inputs.values():
                visit(needed, needed.stage.files)
            order[spec.id] = spec

        for spec in wanted:
            visit(spec, files)
        return list(order.values())

    def compute(self, wanted: Iterable[RunSpec], files: bool = False) -> int:
        """Compute the missing runs, one line each; returns how many. Killed, it goes on where it was.

        ``files``: those whose rows alone are kept are missing, too. Raises :class:`ImpossibleError` if one is known not to be had.
        """
        return self._compute(self.missing(wanted, files), self.run)

    def attempt(self, wanted: Iterable[RunSpec]) -> None:
        """The same, but a run that cannot be had is only noted in ``impossible``, as is whatever starts from it."""

        def run(spec: RunSpec) -> None:
            try:
                self.run(spec)
            except (ImpossibleError, *REASONS) as error:
                self.impossible[spec.id] = why(type(error).__name__, str(error))

        todo = self.missing(wanted)
        self._compute([spec for spec in todo if spec.id not in self.impossible], run)

    def _compute(self, todo: Sequence[RunSpec], run: Callable[[RunSpec], None]) -> int:
        if not todo:
            return 0
        self.store.check_writable()
        self.store.sweep()
        progress = Progress(self.say, [(spec.stage.name, spec.seconds) for spec in todo])
        self.context.progress = progress.inside
        left = {spec.id: spec for spec in todo}
        while left:
            spec = next_run(left, {}, self.store) or next(iter(left.values()))
            del left[spec.id]
            # Another command may have computed it meanwhile.
            if not self.store.has(spec, files=True):
                progress.begin(spec.label)
                run(spec)
            progress.end(spec.label, spec.stage.name, spec.seconds)
        return len(todo)

    def result(self, spec: RunSpec) -> Result:
        """The result of a run, computed if it is missing."""
        self.compute([spec])
        return self.read(spec)

    def read(self, spec: RunSpec, files: bool = False) -> Result:
        """A run that is there; a damaged one is set aside, named, and computed again."""
        try:
            return self.store.read(spec, files)
        except DamagedRun:
            self._set_aside(spec, files)
            for needed in self.missing([spec], files):
                self.run(needed)
            return self.store.read(spec, files)

    def shown(self, spec: RunSpec) -> Result:
        """A run that is there, for a page, which asks for the same ones again and again: it is read once."""
        if spec.id not in self._shown:
            self._shown[spec.id] = self.read(spec)
        return self._shown[spec.id]

    def _set_aside(self, spec: RunSpec, files: bool) -> None:
        with self.store.locked(spec):
            try:
                self.store.read(spec, files)  # another command may have mended it by now
            except DamagedRun as error:
                self.say(f"  {error}: it is set aside and computed again")
                self.store.set_aside(spec)

    def rows(self, need: str) -> list[dict[str, Any]]:
        """All rows of the runs that ``need`` names, with the columns that say which run they are from."""
        runs = self.study.runs(need)
        self.compute(spec for _, spec in runs)
        return [{**columns, **row} for columns, spec in runs for row in self.shown(spec).rows]

    def values(self, need: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The value of each run that ``need`` names, with its identifying columns."""
        runs = self.study.runs(need)
        self.compute(spec for _, spec in runs)
        return [(columns, self.shown(spec).value) for columns, spec in runs]

    def run(self, spec: RunSpec) -> None:
        """Compute one run whose inputs are there, whether or not its rows are kept; if another process computes it, wait for that.

        Raises :class:`ImpossibleError` if it, or what it starts from, is known not to be had.
        """
        if reason := known_reason(spec, self.impossible):
            raise ImpossibleError(reason)
        with self.store.locked(spec, lambda: self.say(f"  {spec.label}: another command computes it; waiting")):
            if self.store.has(spec, files=True):
                return
            if left := self.store.leftover(spec):
                self.say(f"  {left} is damaged (no run.json): it is set aside and computed again")
            inputs = {role: self.read(needed, needed.stage.files) for role, needed in spec.inputs.items()}
            started = time.monotonic()
            with self.store.writing(spec) as folder:
                result = spec.stage.compute(Work(self.context, spec.settings, inputs, folder))
                self.store.finish(folder, spec, result, time.monotonic() - started)


def next_run(left: Mapping[str, RunSpec], running: Mapping[str, RunSpec], store: Store) -> RunSpec | None:
    """The first run of ``left`` (by id) whose inputs are there; one that another command computes only if there is no other."""
    busy = None
    for spec in left.values():
        if any(needed.id in left or needed.id in running for needed in spec.inputs.values()):
            continue
        if store.free(spec):
            return spec
        busy = busy or spec
    return busy


def known_reason(spec: RunSpec, impossible: Mapping[str, str]) -> str | None:
    """Why a run cannot be had, if that is known of it or of what it starts from."""
    return next((impossible[one.id] for one in (spec, *spec.inputs.values()) if one.id in impossible), None)


class Runners:
    """The runs of several studies, one after the other in this process; studies of one model share it."""

    def __init__(self, store: Store, say: Say = lambda _line: None) -> None:
        self._store, self._say = store, say
        self._runners: dict[Study, Runner] = {}
        self.impossible: dict[str, str] = {}

    def wait(self, wanted: Sequence[tuple[Study, Sequence[RunSpec]]]) -> None:
        """Compute what is missing of each study's runs; what cannot be had is in ``impossible`` afterwards, by id, with why."""
        for study, specs in wanted:
            self.of(study).attempt(specs)

    def of(self, study: Study) -> Runner:
        """The runner of a study."""
        if study not in self._runners:
            runner = Runner(study, self._store, self._say, self.impossible)
            runner.context.lender = next((known.context for other, known in self._runners.items() if other.model == study.model), None)
            self._runners[study] = runner
        return self._runners[study]

"""Missing runs that several workers share: which wait, which are at work, which cannot be had."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from mechlib.runs.impossible import REASONS, why
from mechlib.runs.progress import Progress, Say
from mechlib.runs.runner import Runner, known_reason
from mechlib.runs.spec import RunSpec
from mechlib.runs.store import Store
from mechlib.runs.study import Study

Wanted = Sequence[tuple[Study, Sequence[RunSpec]]]


class Board:
    """What engines take runs from, inputs first, and report to. Everything is guarded by ``changed``.

    ``impossible``: runs that this model and these facts do not allow, by id, with why.
    """

    def __init__(self, wanted: Wanted, store: Store, say: Say) -> None:
        missing = [(study, spec) for study, specs in wanted for spec in Runner(study, store).missing(specs)]
        store.sweep()
        self.store, self.studies = store, {spec.id: study for study, spec in missing}
        self.waiting = {spec.id: spec for _, spec in missing}
        self.running: dict[str, RunSpec] = {}
        self.impossible: dict[str, str] = {}
        self.changed = threading.Condition()
        self.progress = Progress(say, [(spec.stage.name, spec.seconds) for spec in self.waiting.values()])
        self._failure: BaseException | None = None

    def wait(self, wanted: Wanted) -> None:
        """Return when all of these runs are stored, or noted in ``impossible``, by id; raises what any other failure has raised."""
        ids = {needed.id for _, specs in wanted for spec in specs for needed in (spec, *spec.inputs.values())}
        with self.changed:
            self.changed.wait_for(lambda: self._failure or not ids & {*self.waiting, *self.running})
            if self._failure:
                raise self._failure

    def settled(self, spec: RunSpec) -> bool:
        """Whether nobody has to compute this run: another command may have meanwhile, or it cannot be had."""
        if reason := known_reason(spec, self.impossible):
            self.impossible[spec.id] = reason
        return spec.id in self.impossible or self.store.has(spec, files=True)

    def fail(self, error: BaseException) -> None:
        """Note what a run, or whatever computed it, has raised: a run that cannot be had stops nothing else, the rest does."""
        self._failure = self._failure or error
        self.waiting.clear()
        self.changed.notify_all()

    def ended(self, spec: RunSpec, error: BaseException | None) -> None:
        """A run is at work no more."""
        del self.running[spec.id]
        if isinstance(error, REASONS):
            self.impossible[spec.id] = why(type(error).__name__, str(error))
        elif error:
            self.fail(error)
        self.progress.end(spec.label, spec.stage.name, spec.seconds)
        self.changed.notify_all()

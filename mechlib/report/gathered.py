"""What was run of a study as the evidence of its verdicts: by a page, which computes what is missing, or as it is stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from mechlib.checks import ParameterError
from mechlib.components import Localization
from mechlib.report.able import able
from mechlib.report.aggregation import Rows
from mechlib.report.gates import Evidence
from mechlib.report.inside import probed, zeroed
from mechlib.report.seekers import learned, missed
from mechlib.report.tables import void_formats
from mechlib.runs.impossible import ImpossibleError
from mechlib.runs.store import DamagedRun, Store
from mechlib.runs.study import Study
from mechlib.runs.work import Result

# Needs that only claims about some outcomes rest on, which are asked for where these are decided.
INSIDE = {"latent knowledge": "latent", "weights masked": "zeroed"}


@runtime_checkable
class Source(Protocol):
    """Where the runs of a study come from; one that cannot be had raises :class:`ImpossibleError`.

    ``decides``: the needs of ``INSIDE`` that are to be asked for.
    """

    @property
    def study(self) -> Study: ...

    @property
    def decides(self) -> Collection[str]: ...

    def rows(self, need: str) -> list[dict[str, Any]]: ...

    def values(self, need: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]: ...


@dataclass(frozen=True)
class Stored:
    """A study as far as its runs are stored or kept: nothing is computed, and what is not there cannot be had."""

    study: Study
    store: Store
    decides: Collection[str] = tuple(INSIDE.values())

    def rows(self, need: str) -> list[dict[str, Any]]:
        """All rows of the named runs, with the columns that say which run they are from."""
        return [{**columns, **row} for columns, found in self._read(need) for row in found.rows]

    def values(self, need: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The value of each of the named runs, with its identifying columns."""
        return [(columns, found.value) for columns, found in self._read(need)]

    def _read(self, need: str) -> list[tuple[Mapping[str, Any], Result]]:
        try:
            wanted = self.study.runs(need)
        except ParameterError as error:  # this study has no such runs: no mask has the norm of an edit
            raise ImpossibleError(str(error)) from None
        if all(self.store.has(spec) for _, spec in wanted):
            try:
                return [(columns, self.store.read(spec)) for columns, spec in wanted]
            except DamagedRun as error:
                raise ImpossibleError(str(error)) from None
        raise ImpossibleError(f"these runs are not there: {need}")


def gather(source: Source) -> Evidence:
    """The evidence of a study; raises :class:`ImpossibleError` if its edits or their answers cannot be had. Relearning may be missing.

    Where every set has a place of its own in which its facts are planted, nothing is edited, and it is what methods find of these places.
    So may what the unedited model gives in formats that only some claims ask for.
    """
    study = source.study
    if study.kind.spread:
        return Evidence(study.task, study.trained_format, missed=missed(source.values("found"), study.sites),
                        learned=learned(source.rows("know"), study.sites))  # fmt: skip
    asked = source.rows("prompting")
    trained, void = study.trained_format, void_formats(asked)
    transfer = tuple(form for form in study.formats or () if form not in (*void, trained))
    trains = trained_by(source.values("edit"))
    relearning, unusable = _possible(source, "relearning"), trained in void_formats(source.rows("unedited"))
    sites = {number: site for number in range(study.size.n_sets) if (site := study.site(number))}
    unedited = _possible(source, "able")
    given = able(_possible(source, "know"), unedited, study.known_threshold) if unedited else {}
    read, zero = (_possible(source, need) if need in source.decides else [] for need in INSIDE.values())
    masked = zeroed(zero, source.values("zeroed")) if zero else []
    beyond = study.kind.beyond
    return Evidence(study.task, trained, asked, relearning, transfer, trains, unusable, sites, beyond, given, probed(read), masked)


def trained_by(values: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, dict[int, Localization]]:
    """What each arm trained, by forget set; ``values``: those of the edits."""
    found: dict[str, dict[int, Localization]] = {}
    for arm, value in values:
        found.setdefault(arm["localization"], {})[arm["forget_set"]] = Localization.from_json(value["localization"])
    return found


def _possible(source: Source, need: str) -> Rows:
    """The rows of runs, or none where this model and these facts do not allow them."""
    try:
        return source.rows(need)
    except ImpossibleError:
        return []

"""What a page starts with: its study, its runs, a renderer that works offline, and numbers for its prose."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import plotly.io as pio
from IPython.display import HTML
from myst_nb import glue
from plotly.io._base_renderers import MimetypeRenderer

from mechlib import checks
from mechlib.attacks.registry import ATTACKS
from mechlib.components import Localization
from mechlib.facts import Splits
from mechlib.report import figures as figures
from mechlib.report import markup, sentences, verdicts
from mechlib.report import tables as tables
from mechlib.report.aggregation import Rows
from mechlib.report.asking import ask
from mechlib.report.claims import declared
from mechlib.report.folders import written
from mechlib.report.gates import Evidence
from mechlib.report.provenance import provenance
from mechlib.runs.impossible import ImpossibleError
from mechlib.runs.runner import Runner
from mechlib.runs.study import Study
from mechlib.runs.usual import as_usual
from mechlib.stats import ENOUGH_SETS


class _BookRenderer(MimetypeRenderer):
    """A figure as HTML without the library: the built page loads one local copy of plotly.js."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        safe = markup.figure(fig_dict)
        html = pio.to_html(safe, include_plotlyjs=False, include_mathjax=False, full_html=False, default_width="100%", validate=False)
        return {"text/html": html}


pio.renderers["book"] = _BookRenderer()
# JupyterLab draws the MIME type, the built book the HTML.
pio.renderers.default = "plotly_mimetype+book"


@dataclass(frozen=True)
class OpenPage:
    """A page at work: ``rows`` and ``values`` read runs (computing those that are missing), ``number`` feeds the prose."""

    study: Study
    runner: Runner
    parameters: Mapping[str, Any]
    changed: Mapping[str, Any] = field(default_factory=dict)

    def of(self, task: str, **changed: Any) -> OpenPage:
        """The same page for another task, and with other parameters, named as in :class:`Study`."""
        return open_page({**self.parameters, "IMPOSSIBLE": self.runner.impossible}, **{**self.changed, "task": task, **changed})

    def rows(self, need: str) -> list[dict[str, Any]]:
        """All rows of the named runs; see :meth:`mechlib.runs.study.Study.runs`."""
        return self.runner.rows(need)

    def values(self, need: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The values of the named runs with their identifying columns."""
        return self.runner.values(need)

    def number(self, name: str, value: float | int | str) -> None:
        """Give a number of the prose its value; a name that is used and never given fails the build."""
        plain = value if isinstance(value, str | int) else float(value)
        glue(name, plain, display=False)

    @cached_property
    def void(self) -> bool:
        """Whether the unedited model cannot answer in the format that edits are trained on: then nothing here counts in a verdict."""
        return self.study.trained_format in tables.void_formats(self.rows("unedited"))

    @cached_property
    def verdicts(self) -> list[verdicts.Line]:
        """Every comparison that the claims file declares about this task, as one family whatever the page: it needs the runs of all."""
        if not declared().of_task(self.study.task):
            return []
        asked, trained = self.rows("prompting"), self.study.trained_format
        transfer = tuple(form for form in self.study.formats or () if form not in (*tables.void_formats(asked), trained))
        trains: dict[str, dict[int, Localization]] = {}
        for arm, value in self.values("edit"):
            trains.setdefault(arm["localization"], {})[arm["forget_set"]] = Localization.from_json(value["localization"])
        evidence = Evidence(self.study.task, trained, asked, self._possible("relearning"), transfer, trains, self.void)
        return verdicts.lines(declared(), evidence)

    def _possible(self, need: str) -> Rows:
        """The rows of runs, or none where this model and these facts do not allow them."""
        try:
            return self.rows(need)
        except ImpossibleError:
            return []

    def banner(self, trainable: Rows = ()) -> HTML:
        """Which model and profile the page was made with, and what that allows to conclude.

        ``trainable``: the unedited model's answers in formats that edits could be trained on, if the page is to name those that work.
        """
        void = "EDIT_FORMAT" in self.parameters and self.void
        warning = f"<br><b>Void.</b> {markup.text(sentences.void_training(self.rows('unedited'), trainable))}" if void else ""
        size = self.study.size
        plural = ["s" * (count > 1) for count in (size.n_sets, size.n_seeds)]
        parts = f"{self.study.parts} x " if self.study.parts > 1 else ""
        count = self.study.kind.scale * self.study.forget_set_size
        of = "of all facts with one answer" if self.study.kind.forget == "answers" else f"of {parts}{count}"
        sets = f"{size.n_sets} forget set{plural[0]} {of}, {size.n_seeds} seed{plural[1]}, {size.steps} steps"
        if size.n_attacked_sets < size.n_sets:
            sets += f"; attacked and audited: {size.n_attacked_sets} of these sets (FORGET_SETS={size.n_sets}: all)"
        changed = " ".join(f"{name}={written(value)}" for name, value in self.other_than_usual.items())
        changed = f"<br>Other than usual: {markup.text(changed)}" if changed else ""
        quick = "" if size.n_sets >= ENOUGH_SETS else " <b>Too few forget sets for inference: read it as a demonstration.</b>"
        unit = sentences.unit(size.n_sets, size.n_attacked_sets)
        return HTML(
            f'<div style="border-left:4px solid #0072B2;padding:.4em .8em;margin:.5em 0">Model <b>{markup.text(self.study.model)}</b>, '
            f"profile <b>{self.study.profile}</b>: {sets}. {unit}{quick}{changed}{warning}</div>"
        )

    @property
    def other_than_usual(self) -> dict[str, Any]:
        """The parameters of the page whose value is neither the default nor what the profile says."""
        about = {"profile": self.study.profile, "task": self.study.task}
        usual = Study(model=self.study.model, **about)
        shown = {name: getattr(self.study, name.lower()) for name in self.parameters if name not in ("MODEL", "PROFILE", "TASK")}
        return {name: dict(value) if name.lower() in ATTACKS else value for name, value in shown.items()
                if value != getattr(usual, name.lower()) and not as_usual(name.lower(), value, **about)}  # fmt: skip

    def ask(self, question: str, localization: str = "", forget_set: int = 0, seed: int = 0) -> Any:
        """The same question to the unedited model and to one after an edit, side by side; the edit is trained if its weights are not there.

        ``localization``: where the edit was made; empty: fact lookup, or the study's first. Raises
        :class:`mechlib.checks.ParameterError` for an edit that the study does not have.
        """
        keys, size = self.study.localizations or (), self.study.size
        key = checks.choice("localization", localization or tables.leading(keys), keys)
        checks.whole("forget_set", forget_set, 0, size.n_sets - 1)
        spec = self.study.edit(key, forget_set, checks.whole("seed", seed, 0, size.n_seeds - 1))
        self.runner.compute([spec], files=True)
        model = self.runner.model
        edited = self.runner.read(spec, files=True).delta.edited(model)
        return tables.styled(ask({"unedited": model, f"edited: {tables.label(key)}": edited}, question))

    def provenance(self, *needs: str) -> Any:
        """The runs behind the page, by stage: how many, how long they took, and on what they were computed."""
        runs = {spec.id: spec for need in needs for _, spec in self.study.runs(need)}
        return tables.styled(provenance((spec.stage.name, spec.id, self.runner.read(spec).manifest) for spec in runs.values()))

    @property
    def splits(self) -> Splits:
        """How the facts that the model knows are divided."""
        return self.runner.context.splits(self.runner.result(self.study.known), self.study.splits)


def open_page(page: Mapping[str, Any], **changed: Any) -> OpenPage:
    """Open a page by the names of its parameter cell (``globals()``); ``changed``: others in their place, named as in :class:`Study`.

    Missing runs are computed on the way, with a line each on stderr; for those in ``IMPOSSIBLE`` (by id, with why)
    :class:`mechlib.runs.impossible.ImpossibleError` is raised when they are asked for.
    """
    parameters = {name: page[name] for name in Study.names() if name in page}
    study = Study(**{**{name.lower(): value for name, value in parameters.items()}, **changed})

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    return OpenPage(study, Runner(study, say=say, impossible=page.get("IMPOSSIBLE")), parameters, changed)

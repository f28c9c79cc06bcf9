"""What a page starts with: its study, its runs, its card, a renderer that works offline, and numbers for its prose."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import plotly.graph_objects as go
from IPython.display import HTML, display
from myst_nb import glue

from mechlib import checks
from mechlib.attacks.registry import ATTACKS
from mechlib.facts import Splits
from mechlib.report import figures as figures
from mechlib.report import forest, front_text, markup, numerals, sentences, verdicts
from mechlib.report import tables as tables
from mechlib.report.aggregation import Rows
from mechlib.report.asking import ask
from mechlib.report.book_contents import results_folder
from mechlib.report.book_studies import declared_studies
from mechlib.report.card import card, card_of_no_study, parameters
from mechlib.report.claims import declared
from mechlib.report.figures.framed import Framed
from mechlib.report.gates import Evidence
from mechlib.report.gathered import INSIDE, gather
from mechlib.report.provenance import provenance
from mechlib.report.reproduce import command, reproduce
from mechlib.report.standing import DECIDED_ON, SHOWN_ON, Standing, standings
from mechlib.runs.places import checkout
from mechlib.runs.runner import Runner
from mechlib.runs.study import Study
from mechlib.runs.usual import as_usual


@dataclass(frozen=True)
class OpenPage:
    """A page at work: ``rows`` and ``values`` read runs (computing those that are missing), ``number`` feeds the prose."""

    study: Study
    runner: Runner
    parameters: Mapping[str, Any]
    changed: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    given: dict[str, float | int | str] = field(default_factory=dict)
    drawn: dict[str, int] = field(default_factory=dict)

    @property
    def decides(self) -> tuple[str, ...]:
        """The needs that the claims which the page shows rest on besides answers and relearning."""
        return tuple(INSIDE[outcome] for outcome in SHOWN_ON.get(self.name, ()) if outcome in INSIDE)

    def of(self, task: str, **changed: Any) -> OpenPage:
        """The same page for another task, and with other parameters, named as in :class:`Study`."""
        asked = {**self.parameters, "IMPOSSIBLE": self.runner.impossible}
        other = open_page(asked, self.name, **{**self.changed, "task": task, **changed})
        return replace(other, given=self.given, drawn=self.drawn)

    def rows(self, need: str) -> list[dict[str, Any]]:
        """All rows of the named runs; see :meth:`mechlib.runs.study.Study.runs`."""
        return self.runner.rows(need)

    def values(self, need: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The values of the named runs with their identifying columns."""
        return self.runner.values(need)

    def number(self, name: str, value: float | int | str) -> None:
        """Give a number of the prose its value; a name that is used and never given fails the build.

        Counts of a thousand or more are told with separators.
        """
        plain = value if isinstance(value, str | int) else float(value)
        self.given[name] = plain
        glue(name, _shown(plain), display=False)

    def share(self, name: str, value: float) -> None:
        """Give a share of the prose its value, which is told as a percentage."""
        self.number(name, numerals.percent(value))

    def numbered(self, key: str) -> int:
        """The number of a figure of this page, which the prose can name as ``fig_<key>``: that of before, or the next one."""
        number = self.drawn.setdefault(key, len(self.drawn) + 1)
        self.number(f"fig_{key}", f"Figure {number}")
        return number

    def figure(self, key: str, figure: go.Figure, caption: str, *needs: str, found: str = "") -> None:
        """Show a figure with its number, title, caption, alternative text, data, runs and code.

        ``key``: what it is called on this page; its anchor is ``fig-<key>``, and the prose can name it as ``fig_<key>``. ``found``: its
        title, a sentence that says what is found and was computed (see :mod:`mechlib.report.findings`). In
        ``caption``, ``{name:.2f}`` is a number that was given before; ``needs``: the runs that it shows. Raises ``KeyError`` for a
        number that was not given.
        """
        number = self.numbered(key)
        runs: dict[str, dict[str, None]] = {}
        for spec in (spec for need in needs for _, spec in self.study.runs(need)):
            runs.setdefault(spec.stage.name, {})[spec.id] = None
        said = caption.format_map({name: _shown(value) for name, value in self.given.items()})
        framed = Framed(figure, number, key, said, {stage: list(ids) for stage, ids in runs.items()}, found)
        display(framed.bundle, raw=True)

    def verdict(self, outcome: str) -> None:
        """The figure of the comparisons that decide the claims about ``outcome``; ``rule`` and ``twins`` are said in words."""
        self.number("rule", verdicts.rule(declared(), self.study.task))
        self.number("twins", verdicts.twins(self.verdicts))
        own = forest.of_page(self.claims, outcome)
        self.figure("verdict", forest.forest(own, {outcome: ""}), forest.OF_A_PAGE, "prompting", "relearning", found=front_text.gaps(own))

    @cached_property
    def void(self) -> bool:
        """Whether the unedited model cannot answer in the format that edits are trained on: then nothing here counts in a verdict."""
        return self.study.trained_format in tables.void_formats(self.rows("unedited"))

    @cached_property
    def evidence(self) -> Evidence:
        """What was run of this study, of all that its claims rest on."""
        return gather(self)

    @cached_property
    def verdicts(self) -> list[verdicts.Line]:
        """Every comparison that the claims file declares about this task, as one family whatever the page: it needs the runs of all."""
        return verdicts.lines(declared(), self.evidence) if declared().of_task(self.study.task) else []

    @property
    def claims(self) -> list[Standing]:
        """The claims about this task that the page shows, as they stand; those without a rule need no runs for that."""
        outcomes = SHOWN_ON.get(self.name, ())
        own = [one for one in declared().of_task(self.study.task) if one.outcome in outcomes] if outcomes else []
        described = [verdicts.Line(one, rival) for one in own for rival in one.rivals if one.rule == "none"]
        ruled = {one.key for one in own if one.rule != "none"}
        return standings([*([one for one in self.verdicts if one.claim.key in ruled] if ruled else []), *described])

    def banner(self, trainable: Rows = ()) -> HTML:
        """The page's card: its claims with their verdicts, what it was made with, and its parameters, folded.

        A page without parameters but model and profile has no study of its own, and a line. ``trainable``: the unedited model's answers
        in formats that edits could be trained on, if the page is to name those that work.
        """
        names = [name for name in self.parameters if name not in ("MODEL", "PROFILE")]
        if not names:
            return HTML(card_of_no_study(self.study))
        void = "EDIT_FORMAT" in self.parameters and self.void
        warning = f"<br><b>Void.</b> {markup.text(sentences.void_training(self.rows('unedited'), trainable))}" if void else ""
        found = self.claims
        attack = self.evidence.last if any(one.run and one.claim.measure == "relearning" for one in found) else None
        told = card(self.study, found, declared().gates if found else None, attack, warning, self._elsewhere)
        return HTML(told + parameters(self.study, names, self.other_than_usual))

    @property
    def _elsewhere(self) -> dict[str, str]:
        """Of the claims about the task (by key) that another page than this one decides, and that was executed: its address."""
        root, shown = checkout(), tuple(self.parameters)
        if root is None:
            return {}
        results, found = results_folder(root, self.study.model_spec.name), dict[str, str]()
        for claim in declared().of_task(self.study.task):
            page = DECIDED_ON.get(claim.outcome, "")
            there = [one for one in declared_studies() if one.task == claim.task and page in one.pages
                     and (page != self.name or one.of(self.study.model, shown) != self.study)
                     and (results / one.folder / f"{page}.ipynb").is_file()]  # fmt: skip
            if there:
                found[claim.key] = f"../{there[0].folder}/{page}.html"
        return found

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

    def provenance(self, *needs: str) -> HTML:
        """How to make the page again, folded, and the runs behind it by stage: how many, how long they took, and on what."""
        runs = {spec.id: spec for need in needs for _, spec in self.study.runs(need)}
        how = [(spec.stage.name, spec.id, self.runner.shown(spec).manifest) for spec in runs.values()]
        kept = sum(self.runner.store.archive(spec) is not None for spec in runs.values())
        again = reproduce([one for _, _, one in how], self.command, kept)
        return HTML(again + tables.styled(provenance(how)).to_html())

    @property
    def command(self) -> str:
        """What makes this page again."""
        study, shown = self.study, tuple(self.parameters)
        own = next((one for one in declared_studies() if self.name in one.pages and one.of(study.model, shown) == study), None)
        task = {"TASK": study.task} if "TASK" in self.parameters and study.task != Study.task else {}
        model = "" if study.model == Study.model else study.model
        return command(self.name, own.key if own else "", model, study.profile, {**task, **self.other_than_usual})

    @property
    def splits(self) -> Splits:
        """How the facts that the model knows are divided."""
        return self.runner.context.splits(self.runner.result(self.study.known), self.study.splits)


def _shown(value: float | int | str) -> float | int | str:
    """What prose and captions get: what needs no separators stays a number, to which a role can give its format."""
    return numerals.count(value) if isinstance(value, int) and abs(value) >= 1000 else value


def open_page(page: Mapping[str, Any], name: str = "", **changed: Any) -> OpenPage:
    """Open a page by the names of its parameter cell (``globals()``) and the ``name`` of its file.

    ``changed``: other values in place of parameters, named as in :class:`Study`.

    Missing runs are computed on the way, with a line each on stderr; for those in ``IMPOSSIBLE`` (by id, with why)
    :class:`mechlib.runs.impossible.ImpossibleError` is raised when they are asked for.
    """
    parameters = {name: page[name] for name in Study.names() if name in page}
    study = Study(**{**{name.lower(): value for name, value in parameters.items()}, **changed})

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    return OpenPage(study, Runner(study, say=say, impossible=page.get("IMPOSSIBLE")), parameters, changed, name)

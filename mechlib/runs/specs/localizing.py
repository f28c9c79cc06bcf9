"""The runs before any edit: what a model knows, the texts, the evidence of every method, and the localizations chosen from it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from mechlib import checks
from mechlib.edit import corpus
from mechlib.facts import FORMATS, PromptFormat
from mechlib.facts.relations import relation_of
from mechlib.localize.registry import GIVEN, localizer
from mechlib.models import fingerprint
from mechlib.runs.knowledge import Floor, SplitSettings
from mechlib.runs.parameters import Parameters
from mechlib.runs.spec import RunSpec, digest
from mechlib.runs.stages import CIRCUITS, EVIDENCE, KNOWN, LOCALIZE, TEXTS
from mechlib.runs.stages.answers import KnownSettings
from mechlib.runs.stages.evidence import SCORED, CircuitSettings, EvidenceSettings
from mechlib.runs.stages.localize import LocalizeSettings
from mechlib.runs.stages.settings import ForgetSet, Subject
from mechlib.runs.stages.texts import Corpus, TextSettings

BY_POSITION, REDRAWN = "causal_tracing_positions", "causal_tracing_redrawn"


class Localizing(Parameters):
    """A study's runs that are of the unedited model, whatever is done to it later."""

    @cached_property
    def subject(self) -> Subject:
        """The model and the facts, by their hashes."""
        return self._subject_of(fingerprint(self.model_spec))

    def _subject_of(self, model: str) -> Subject:
        relations = {fact.relation: relation_of(fact) for fact in self.table if not fact.wordings}
        asked = digest([relations[key] for key in sorted(relations)])
        return Subject(model, self.model_spec.dtype, self.table.fingerprint, asked)

    @cached_property
    def splits(self) -> SplitSettings:
        """What divides the known facts."""
        size, task = self.size, self.kind
        return SplitSettings(
            threshold=self.known_threshold, forget=task.forget, n_sets=self.divided_sets or size.n_sets, n_localize=size.n_localize,
            n_test=size.n_test, n_validate=min(self.forget_set_size, size.n_validate), seed=self.seed, target=task.target,
            set_size=None if task.forget == "answers" else self.parts * task.scale * self.forget_set_size,
        )  # fmt: skip

    def about(self, forget_set: int, form: str | None = None) -> ForgetSet:
        """One forget set, asked in a format or in the one that edits are trained on."""
        return ForgetSet(self.subject, self.splits, format_of(self.trained_format if form is None else form), forget_set)

    @property
    def whole(self) -> bool | None:
        """Whether answers are asked for whole; ``None``, for ids, where all are one token."""
        return self.kind.domain.whole

    def drawn(self, forget_set: int, seed: int) -> int:
        """The seed of all that is drawn for one forget set: its order of training, its attackers' adapters, its never-known facts."""
        return 1000 * self.mixed(seed) + forget_set

    def floor(self, forget_set: int, seed: int) -> Floor | None:
        """Never-known facts that are edited beside a forget set, where one set of facts is given other answers at once."""
        task, size = self.kind, self.size
        alone = task.forget == "sets" and task.loss == "injection" and task.parts == task.scale == 1
        return Floor(size.n_floor, self.drawn(forget_set, seed)) if alone and size.n_floor else None

    def mixed(self, seed: int) -> int:
        """A seed that no other pair of the study's own seed and a repetition's has."""
        return self.seed + 1_000_003 * seed

    @cached_property
    def known(self) -> RunSpec:
        """Which facts the model knows."""
        return self.asked_of_all(self.known_format or self.kind.domain.known_format)

    def asked_of_all(self, form: str, sample: int | None = None) -> RunSpec:
        """Every fact of the table, or a sample of so many, asked in one format."""
        return RunSpec(KNOWN, f"which facts are known ({form})", KnownSettings(self.subject, format_of(form), sample, self.whole))

    def text(self, purpose: str) -> RunSpec:
        """General text to ``train`` on, or other text to measure ``damage`` on."""
        training = checks.choice("purpose", purpose, ("train", "damage")) == "train"
        count = self.size.n_train_texts if training else self.size.n_damage_texts
        about = TextSettings(self.subject.model, self.subject.dtype, count, self.size.text_length)
        # Whoever reaches a model of the hub reaches the corpus, too.
        if named := self.texts or (self.size.texts if self.model_spec.source == "hub" else None):
            source = Corpus(named, corpus.fingerprint(named), 0 if training else self.size.n_train_texts)
            return RunSpec(TEXTS, f"general text to {purpose}", replace(about, corpus=source))
        return RunSpec(TEXTS, f"general text to {purpose}", replace(about, seed=2 * self.seed + (not training)))

    @cached_property
    def evidence(self) -> dict[str, RunSpec]:
        """What every localization is chosen from: fact lookup's evidence by its kind, then all methods that score components."""
        return self.evidence_from(0, 1)

    def evidence_from(self, share: int, of: int) -> dict[str, RunSpec]:
        """The same from one of several equal shares of the facts to localize."""
        # What a whole answer is edited to is nothing to those who localize: two tasks share their evidence.
        about = EvidenceSettings(
            self.subject, replace(self.splits, target=None), FORMATS[self.trained_format], "", self.seed,
            share=(share, of) if of > 1 else None, precision=self.precision,
        )  # fmt: skip
        lookup = self.kind.domain.lookup
        runs: dict[str, RunSpec] = {}
        for method in (lookup, *SCORED):
            # Probes multiply nothing: their precision cannot be asked for.
            settings = replace(about, method=method, precision=None if method == "probe" else self.precision)
            runs[method] = RunSpec(EVIDENCE, method.replace("_", " "), settings, {"known": self.known})
        return runs

    @cached_property
    def circuits(self) -> RunSpec:
        """Faithfulness of the circuits of all methods that score heads and MLPs."""
        settings = CircuitSettings(
            self.subject, self.splits, FORMATS[self.trained_format], self.size.n_circuits, self.seed, self.precision
        )
        traces = {name: self.evidence[name] for name in SCORED if name not in (BY_POSITION, REDRAWN)}
        return RunSpec(CIRCUITS, "faithfulness of circuits", settings, {"known": self.known, **traces})

    def localize(self, key: str, forget_set: int, seed: int, part: int = 0) -> RunSpec:
        """One localization; random ones are drawn anew for every forget set and seed, all for every part of a sequential task."""
        method, parts = localizer(key), self.parts
        evidence = self.evidence_from(part, parts) if parts > 1 else self.evidence
        inputs = {name: run for name, run in evidence.items() if name in (self.kind.domain.lookup, method.evidence)}
        drawn = self.drawn(forget_set, seed) + 10**12 * part
        given = self.given if key == GIVEN else None
        settings = LocalizeSettings(self.subject.model, key, self.lookup_rule, drawn if method.drawn else 0, given)
        return RunSpec(LOCALIZE, f"localize: {method.label}", settings, inputs)


def format_of(key: str) -> PromptFormat:
    """The format of a name; raises :class:`mechlib.checks.ParameterError` if there is none."""
    return FORMATS[checks.choice("form", key, FORMATS)]

"""Every run that a study can ask for, as a :class:`RunSpec`. Nothing is computed here."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from itertools import product
from typing import Any

from mechlib import checks
from mechlib.attacks.registry import ATTACKS
from mechlib.edit import corpus
from mechlib.edit.general_text import PROSE
from mechlib.edit.train import EditConfig
from mechlib.edit.weight_masking import MaskConfig
from mechlib.facts import FORMATS, PromptFormat, athletes, world_facts
from mechlib.facts.relations import relation_of
from mechlib.facts.reverse import CONSEQUENCES as FOLLOWING
from mechlib.facts.reverse import REVERSE
from mechlib.localize.registry import GIVEN, localizer
from mechlib.models import fingerprint
from mechlib.runs.knowledge import Floor, SplitSettings
from mechlib.runs.parameters import Parameters
from mechlib.runs.spec import RunSpec, digest
from mechlib.runs.stages import (
    ANSWERS,
    ATTACK,
    CIRCUITS,
    CONSEQUENCES,
    DAMAGE,
    EDIT,
    EVIDENCE,
    KNOWN,
    LATENT,
    LOCALIZE,
    MASKED,
    TEXTS,
    TRIAL,
    TUNE,
    ZEROED,
)
from mechlib.runs.stages.answers import AnswerSettings, KnownSettings
from mechlib.runs.stages.attack import AttackSettings
from mechlib.runs.stages.edit import EditSettings, MaskSettings
from mechlib.runs.stages.evidence import SCORED, CircuitSettings, EvidenceSettings
from mechlib.runs.stages.localize import LocalizeSettings
from mechlib.runs.stages.residual import AuditSettings, DamageSettings, ZeroedSettings
from mechlib.runs.stages.settings import ForgetSet, Subject
from mechlib.runs.stages.texts import Corpus, TextSettings
from mechlib.runs.stages.tuning import TrialSettings, TuneSettings

BY_POSITION, REDRAWN = "causal_tracing_positions", "causal_tracing_redrawn"
# Hyperparameters are chosen on facts of their own: their random localizations are those of no forget set.
VALIDATION = 999
# Facts to maintain that attackers are tested on, at most.
MAINTAINED = 32


class Specs(Parameters):
    """A study's runs by what they are about: a localization (``key``; ``None``: unedited), a forget set, a seed."""

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
        return ForgetSet(self.subject, self.splits, _form(self.trained_format if form is None else form), forget_set)

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
        return RunSpec(KNOWN, f"which facts are known ({form})", KnownSettings(self.subject, _form(form), sample, self.whole))

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

    def training(self, key: str, forget_set: int, seed: int) -> EditConfig:
        """How a localization is trained: the page's values, else the model's for its group."""
        task, size = self.kind, self.size
        default = self.model_spec.hyperparameters(localizer(key).group, task.setting(task.scale * self.forget_set_size))
        large = task.forget == "answers" or task.scale * self.forget_set_size > size.forget_batch
        return EditConfig(
            learning_rate=self.learning_rate or default.learning_rate,
            forget_coefficient=self.forget_coefficient or default.forget_coefficient,
            # The paper gives each part of a sequential edit half of the steps of an edit.
            steps=size.steps if self.parts == 1 else max(1, size.steps // 2),
            loss=task.loss, retain_batch=size.retain_batch, text_batch=size.text_batch, forget_batch=size.forget_batch if large else None,
            kl_coefficient=self.kl_coefficient, optimizer=self.optimizer or self.model_spec.optimizer,
            micro_batch=self.micro_batch or size.micro_batch, checkpointing=self.checkpointing,
            stop_at=size.stop_at if size.stop_at < 1 else None,
            precision=self.precision, seed=self.drawn(forget_set, seed), schedule="constant" if size.stop_at < 1 else "cosine",
        )  # fmt: skip

    def trial(self, key: str, learning_rate: float, coefficient: float) -> RunSpec:
        """One try of hyperparameters, on facts that no result is about."""
        training = replace(self.training(key, VALIDATION, 0), learning_rate=learning_rate, forget_coefficient=coefficient)
        settings = TrialSettings(self.subject, self.splits, FORMATS[self.trained_format], training, self.size.n_damage_texts, self.whole)
        inputs = {"known": self.known, "localize": self.localize(key, VALIDATION, 0), "texts": self.text("train"),
                  "other texts": self.text("damage")}  # fmt: skip
        return RunSpec(TRIAL, f"trial: {localizer(key).label}, {learning_rate:g} x {coefficient:g}", settings, inputs)

    def tuning(self, key: str) -> RunSpec:
        """The best of a localization's trials; every localization has the same ones."""
        grid = product(self.size.learning_rates, self.size.forget_coefficients)
        trials = {f"{rate:g} x {coefficient:g}": self.trial(key, rate, coefficient) for rate, coefficient in grid}
        return RunSpec(TUNE, f"tune: {localizer(key).label}", TuneSettings(), trials)

    def edit(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """One edit; of a sequential task, the last of its parts."""
        return self.edit_part(key, forget_set, seed, self.parts - 1)

    def edit_part(self, key: str, forget_set: int, seed: int, part: int) -> RunSpec:
        """One part of a sequential edit, after the parts before; other tasks have one part."""
        inputs = {"known": self.known, "localize": self.localize(key, forget_set, seed, part), "texts": self.text("train")}
        inputs |= {"tune": self.tuning(key)} if self.tune else {}
        inputs |= {"before": self.edit_part(key, forget_set, seed, part - 1)} if part else {}
        training, floor = self.training(key, forget_set, seed), self.floor(forget_set, seed)
        settings = EditSettings(self.about(forget_set), (part, self.parts), training, floor)
        label = f"edit: {_place(key, forget_set, seed)}" + (f", part {part + 1}" if self.parts > 1 else "")
        return RunSpec(EDIT, label, settings, inputs)

    def mask(self, key: str, forget_set: int) -> RunSpec:
        """A mask over one localization's weights, trained to forget one forget set."""
        size = self.size
        training = MaskConfig(loss=self.kind.loss, steps=size.mask_steps, retain_batch=size.retain_batch, text_batch=size.text_batch,
                              seed=self.drawn(forget_set, 0), precision=self.precision)  # fmt: skip
        inputs = {"known": self.known, "localize": self.localize(key, forget_set, 0), "texts": self.text("train")}
        label = f"mask: {localizer(key).label}, forget set {forget_set}"
        return RunSpec(MASKED, label, MaskSettings(self.about(forget_set), training), inputs)

    def zeroed(self, key: str, forget_set: int) -> RunSpec:
        """That mask made discrete at several sizes."""
        formats = tuple(FORMATS[form] for form in self.formats or () if not FORMATS[form].letters)
        inputs = {"known": self.known, "localize": self.localize(key, forget_set, 0), "mask": self.mask(key, forget_set),
                  "lookup": self.localize("fact_lookup", forget_set, 0)}  # fmt: skip
        inputs |= {"paths": self.evidence["paths"]} if "paths" in self.evidence else {}
        settings = ZeroedSettings(self.about(forget_set), self.size.mask_sizes, formats, self.whole, self.precision)
        return RunSpec(ZEROED, f"zeroed weights: {localizer(key).label}, forget set {forget_set}", settings, inputs)

    def answers(self, key: str | None, forget_set: int, seed: int, form: str) -> RunSpec:
        """One forget set asked in one format after an edit, or (``None``) of the unedited model."""
        near = self.kind.domain.lookup == "paths" and form == self.trained_format
        groups = ("forget", "maintain", "held_out", "neighbourhood") if near else ("forget", "maintain", "held_out")
        rotations = self.size.rotations if _form(form).letters else 1
        settings = AnswerSettings(self.about(forget_set, form), groups, rotations, whole=self.whole, precision=self.precision)
        return RunSpec(ANSWERS, f"answers ({form}): {_place(key, forget_set, seed)}", settings, self._of(key, forget_set, seed))

    def damage(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """Side effects of one edit on general text."""
        settings = DamageSettings(self.subject.model, self.size.n_damage_texts, self.size.text_length, digest(PROSE), self.precision)
        inputs = {"edit": self.edit(key, forget_set, seed), "texts": self.text("damage")}
        return RunSpec(DAMAGE, f"damage: {_place(key, forget_set, seed)}", settings, inputs)

    def before(self, key: str | None, forget_set: int, seed: int) -> RunSpec:
        """What an edit, or (``None``) the unedited model, answers before it is attacked."""
        settings = self._attacked(forget_set, seed, ("forget", "maintain", "floor", "unknown"))
        return RunSpec(ANSWERS, f"before attacks: {_place(key, forget_set, seed)}", settings, self._of(key, forget_set, seed))

    def attack(self, name: str, key: str | None, forget_set: int, seed: int, fold: int | None = None, null: str | None = None) -> RunSpec:
        """One attack on an edit, or (``None``) on the unedited model; ``null``: the same attack without the knowledge."""
        attack = ATTACKS[checks.choice("attack", name, ATTACKS)]
        asked = self._attacked(forget_set, seed, ("forget", "relearned", "maintain", "floor", "unknown"))
        chosen = {**dict(getattr(self, name)), **({} if null is None else attack.nulls[checks.choice("null", null, attack.nulls)])}
        settings = AttackSettings(name, asked, chosen, fold, digest(*attack.reads) if attack.reads else None)
        inputs = {**self._of(key, forget_set, seed), "texts": self.text("train"), "before": self.before(key, forget_set, seed)}
        label = f"{attack.label}{f' ({null})' if null else ''}: {_place(key, forget_set, seed)}"
        return RunSpec(ATTACK, label + ("" if fold is None else f", half {fold}"), settings, inputs)

    def _attacked(self, forget_set: int, seed: int, groups: tuple[Any, ...]) -> AnswerSettings:
        """Who is asked before and under attacks."""
        return AnswerSettings(self.about(forget_set), groups, n_maintain=min(self.size.n_test, MAINTAINED),
                              n_unknown=self.size.n_unknown, seed=self.drawn(forget_set, seed), whole=self.whole,
                              floor=self.floor(forget_set, seed), precision=self.precision)  # fmt: skip

    def latent(self, key: str | None, forget_set: int, seed: int) -> RunSpec:
        """What can still be read inside one edited or unedited model."""
        inputs = self._of(key, forget_set, seed)
        inputs |= {} if key is None else {"unedited": self.latent(None, forget_set, 0)}
        settings = AuditSettings(self.about(forget_set), self.seed, precision=self.precision)
        return RunSpec(LATENT, f"latent knowledge: {_place(key, forget_set, seed)}", settings, inputs)

    def consequences(self, key: str | None, forget_set: int, seed: int) -> RunSpec:
        """What follows from the facts of one edited or unedited model, and what does not."""
        inputs = self._of(key, forget_set, seed)
        inputs |= {} if key is None else {"unedited": self.consequences(None, forget_set, 0)}
        settings = AuditSettings(self.about(forget_set), self.seed, self._general, self.precision)
        return RunSpec(CONSEQUENCES, f"consequences: {_place(key, forget_set, seed)}", settings, inputs)

    @cached_property
    def _general(self) -> str:
        """Facts of other kinds and what follows from facts, by their hash."""
        other = world_facts() if self.kind.domain.relation.key == "sport" else athletes()
        return digest(other.fingerprint, REVERSE, FOLLOWING)

    def arms(self) -> list[tuple[str, int, int]]:
        """Every localization, forget set and seed; all localizations of a set before the next set."""
        size = self.size
        return [(key, number, seed) for seed in range(size.n_seeds) for number in range(size.n_sets) for key in self.localizations or ()]

    def _of(self, key: str | None, forget_set: int, seed: int) -> dict[str, RunSpec]:
        """What a run about an edited or unedited model starts from."""
        return {"known": self.known} | ({} if key is None else {"edit": self.edit(key, forget_set, seed)})


def _form(key: str) -> PromptFormat:
    return FORMATS[checks.choice("form", key, FORMATS)]


def _place(key: str | None, forget_set: int, seed: int) -> str:
    return f"{'unedited' if key is None else localizer(key).label}, forget set {forget_set}, seed {seed}"

"""A study: its parameters, and the runs that they imply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import product
from typing import Any

from mechlib.edit import corpus
from mechlib.edit.general_text import prose_fingerprint
from mechlib.edit.train import EditConfig
from mechlib.edit.weight_masking import MaskConfig
from mechlib.facts import FORMATS
from mechlib.localize.registry import GIVEN, localizer
from mechlib.models import fingerprint
from mechlib.runs.attacks import ATTACKS
from mechlib.runs.checks import ParameterError
from mechlib.runs.parameters import Parameters
from mechlib.runs.spec import RunSpec
from mechlib.runs.stages.trace import METHODS

POSITIONS, REDRAWN = "causal_tracing_positions", "causal_tracing_redrawn"
TEXT_LENGTH = 24
# Hyperparameters are chosen on facts of their own: their random localizations are those of no forget set.
VALIDATION = 999

Needed = Sequence[tuple[Mapping[str, Any], RunSpec]]


@dataclass(frozen=True)
class Study(Parameters):
    """Every run is a :class:`RunSpec`; nothing is computed here."""

    @cached_property
    def _subject(self) -> dict[str, Any]:
        return {"model": fingerprint(self.model_spec), "dtype": self.model_spec.dtype, "facts": self.table.fingerprint}

    @cached_property
    def split_settings(self) -> dict[str, Any]:
        """What divides the known facts (see :func:`mechlib.runs.stages.know.splits`)."""
        size, task = self.size, self.kind
        settings: dict[str, Any] = {"threshold": self.known_threshold, "forget": task.forget, "n_sets": size.n_sets,
                                    "n_localize": size.n_localize, "n_test": size.n_test,
                                    "n_validate": min(self.forget_set_size, size.n_validate), "seed": self.seed}  # fmt: skip
        if task.forget == "answers":
            return {**settings, "target": task.target}
        return {**settings, "set_size": self.parts * task.scale * self.forget_set_size}

    @property
    def _trained(self) -> dict[str, Any]:
        """What every run reads that divides the facts and asks them in the format that edits are trained on."""
        return {**self._subject, "splits": self.split_settings, "format": self.edit_format}

    def unreached(self) -> Study:
        """The same study of a model that cannot be reached now: its runs can be counted, not found or computed."""
        same = Study(**{field.name: getattr(self, field.name) for field in fields(self)})
        vars(same)["_subject"] = {"model": self.model, "dtype": self.model_spec.dtype, "facts": self.table.fingerprint}
        return same

    @cached_property
    def know(self) -> RunSpec:
        """Which facts the model knows."""
        return self.known(self.known_format or self.kind.family.known_format)

    def known(self, form: str, sample: int | None = None) -> RunSpec:
        """Every fact of the table, or a sample of so many, asked in one format."""
        config = {**self._subject, "format": form} | ({} if sample is None else {"sample": sample})
        return RunSpec("know", f"which facts are known ({form})", config)

    def text(self, purpose: str) -> RunSpec:
        """General text to ``train`` on, or other text to measure ``damage`` on."""
        count = self.size.n_train_texts if purpose == "train" else self.size.n_damage_texts
        if self.texts:
            config = {"model": self._subject["model"], "source": self.texts, "data": corpus.fingerprint(self.texts), "count": count,
                      "length": TEXT_LENGTH, "skip": 0 if purpose == "train" else self.size.n_train_texts}  # fmt: skip
            return RunSpec("corpus", f"general text to {purpose}", config)
        seed = 2 * self.seed + (purpose == "damage")
        config = {"model": self._subject["model"], "dtype": self._subject["dtype"], "count": count, "length": TEXT_LENGTH, "seed": seed}
        return RunSpec("text", f"general text to {purpose}", config)

    @cached_property
    def evidence(self) -> dict[str, RunSpec]:
        """What every localization is chosen from: fact lookup's evidence by its kind, then all methods that score components."""
        return self.evidence_from(0, 1)

    def evidence_from(self, share: int, of: int) -> dict[str, RunSpec]:
        """The same from one of several equal shares of the facts to localize."""
        config = {**self._trained, "seed": self.seed}
        config |= {"share": [share, of]} if of > 1 else {}
        # What a whole answer is edited to is nothing to those who localize: two tasks share their evidence.
        config |= {"splits": {**self.split_settings, "target": None}} if self.kind.forget == "answers" else {}
        inputs = {"know": self.know}
        if self.kind.family.lookup == "probe":
            runs = {"probe": RunSpec("probe", "probes over layers", config, inputs)}
        else:
            runs = {"paths": RunSpec("paths", "path patching", {**config, "precision": self.precision}, inputs)}
        for method in METHODS:
            settings = {**config, "method": method, "precision": self.precision}
            runs[method] = RunSpec("trace", method.replace("_", " "), settings, inputs)
        return runs

    @cached_property
    def circuits(self) -> RunSpec:
        """Faithfulness of the circuits of all methods that score heads and MLPs."""
        config = {**self._trained, "seed": self.seed, "precision": self.precision, "count": self.size.n_circuits}
        traces = {name: self.evidence[name] for name in METHODS if name not in (POSITIONS, REDRAWN)}
        return RunSpec("circuits", "faithfulness of circuits", config, {"know": self.know, **traces})

    def localize(self, key: str, forget_set: int, seed: int, part: int = 0) -> RunSpec:
        """One localization; random ones are drawn anew for every forget set and seed, all for every part of a sequential task."""
        method, parts = localizer(key), self.parts
        evidence = self.evidence_from(part, parts) if parts > 1 else self.evidence
        inputs = {name: run for name, run in evidence.items() if name in (self.kind.family.lookup, method.evidence)}
        drawn = 1000 * (self.seed + seed) + forget_set + 100_000 * part
        config: dict[str, Any] = {"model": self._subject["model"], "method": key, "rule": self.lookup_rule,
                                  "seed": drawn if method.drawn else 0}  # fmt: skip
        config |= {"components": self.given} if key == GIVEN else {}
        return RunSpec("localize", f"localize: {method.label}", config, inputs)

    def training(self, key: str, seed: int) -> EditConfig:
        """How a localization is trained: the page's values, else the model's for its group."""
        task = self.kind
        default = self.model_spec.hyperparameters(localizer(key).group, task.setting(task.scale * self.forget_set_size))
        large = task.forget == "answers" or task.scale * self.forget_set_size > self.size.forget_batch
        return EditConfig(
            learning_rate=self.learning_rate or default.learning_rate,
            forget_coefficient=self.forget_coefficient or default.forget_coefficient,
            # The paper gives each part of a sequential edit half of the steps of an edit.
            steps=self.size.steps if self.parts == 1 else max(1, self.size.steps // 2),
            loss=task.loss,
            retain_batch=self.size.retain_batch,
            text_batch=self.size.text_batch,
            forget_batch=self.size.forget_batch if large else None,
            kl_coefficient=self.kl_coefficient,
            optimizer="adamw8bit" if self.optimizer == "adamw8bit" else "adamw",
            micro_batch=self.micro_batch,
            checkpointing=self.checkpointing,
            stop_at=self.size.stop_at if self.size.stop_at < 1 else None,
            precision="float32" if self.precision == "float32" else "bfloat16",
            seed=self.seed + seed,
        )

    def trial(self, key: str, learning_rate: float, coefficient: float) -> RunSpec:
        """One try of hyperparameters, on facts that no result is about."""
        tried = {"learning_rate": learning_rate, "forget_coefficient": coefficient}
        config = {**self._trained, "trial": tried,
                  "training": asdict(replace(self.training(key, 0), **tried)), "count": self.size.n_damage_texts}  # fmt: skip
        inputs = {"know": self.know, "localize": self.localize(key, VALIDATION, 0), "text": self.text("train"),
                  "other text": self.text("damage")}  # fmt: skip
        return RunSpec("trial", f"trial: {localizer(key).label}, {learning_rate:g} x {coefficient:g}", config, inputs)

    def tuning(self, key: str) -> RunSpec:
        """The best of a localization's trials; every localization has the same ones."""
        grid = product(self.size.learning_rates, self.size.forget_coefficients)
        trials = {f"{rate:g} x {coefficient:g}": self.trial(key, rate, coefficient) for rate, coefficient in grid}
        return RunSpec("tune", f"tune: {localizer(key).label}", {}, trials)

    def edit(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """One edit; of a sequential task, the last of its parts."""
        return self.edit_part(key, forget_set, seed, self.parts - 1)

    def edit_part(self, key: str, forget_set: int, seed: int, part: int) -> RunSpec:
        """One part of a sequential edit, after the parts before; other tasks have one part."""
        config = {**self._trained, "forget_set": forget_set,
                  "part": [part, self.parts], "training": asdict(self.training(key, seed))}  # fmt: skip
        inputs = {"know": self.know, "localize": self.localize(key, forget_set, seed, part), "text": self.text("train")}
        inputs |= {"tune": self.tuning(key)} if self.tune else {}
        inputs |= {"before": self.edit_part(key, forget_set, seed, part - 1)} if part else {}
        label = f"edit: {localizer(key).label}, forget set {forget_set}, seed {seed}"
        return RunSpec("edit", label + (f", part {part + 1}" if self.parts > 1 else ""), config, inputs)

    def mask(self, key: str, forget_set: int) -> RunSpec:
        """A mask over one localization's weights, trained to forget one forget set."""
        training = MaskConfig(loss=self.kind.loss, steps=self.size.mask_steps, retain_batch=self.size.retain_batch,
                              text_batch=self.size.text_batch, seed=self.seed,
                              precision="float32" if self.precision == "float32" else "bfloat16")  # fmt: skip
        config = {**self._trained, "forget_set": forget_set,
                  "training": asdict(training)}  # fmt: skip
        inputs = {"know": self.know, "localize": self.localize(key, forget_set, 0), "text": self.text("train")}
        return RunSpec("mask", f"mask: {localizer(key).label}, forget set {forget_set}", config, inputs)

    def zero(self, key: str, forget_set: int) -> RunSpec:
        """That mask made discrete at several sizes."""
        config = {**self._subject, "splits": self.split_settings, "forget_set": forget_set, "sizes": self.size.mask_sizes,
                  "formats": [form for form in self.formats or () if not FORMATS[form].letters]}  # fmt: skip
        inputs = {"know": self.know, "localize": self.localize(key, forget_set, 0), "mask": self.mask(key, forget_set),
                  "lookup": self.localize("fact_lookup", forget_set, 0)}  # fmt: skip
        inputs |= {"paths": self.evidence["paths"]} if "paths" in self.evidence else {}
        return RunSpec("zero", f"zero weights: {localizer(key).label}, forget set {forget_set}", config, inputs)

    def ask(self, key: str | None, forget_set: int, seed: int, form: str) -> RunSpec:
        """One forget set asked in one format after an edit, or (``None``) of the unedited model."""
        rotations = self.size.rotations if FORMATS[form].letters else 1
        near = self.kind.family.lookup == "paths" and form == self.trained_format
        config = {**self._subject, "splits": self.split_settings, "format": form, "forget_set": forget_set, "rotations": rotations,
                  "neighbourhood": near}  # fmt: skip
        inputs = {"know": self.know}
        if key is not None:
            inputs["edit"] = self.edit(key, forget_set, seed)
        return RunSpec("ask", f"ask ({form}): {_who(key)}, forget set {forget_set}, seed {seed}", config, inputs)

    def damage(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """Side effects of one edit on general text."""
        config = {"model": self._subject["model"], "count": self.size.n_damage_texts, "length": TEXT_LENGTH, "prose": prose_fingerprint()}
        inputs = {"edit": self.edit(key, forget_set, seed), "text": self.text("damage")}
        return RunSpec("damage", f"damage: {localizer(key).label}, forget set {forget_set}, seed {seed}", config, inputs)

    def before(self, key: str | None, forget_set: int, seed: int) -> RunSpec:
        """What an edit, or (``None``) the unedited model, answers before it is attacked."""
        config = {**self._trained, "forget_set": forget_set, "n_maintain": min(self.size.n_test, 32),
                  "n_unknown": self.size.n_unknown, "seed": self.seed + seed}  # fmt: skip
        inputs = {"know": self.know} | ({} if key is None else {"edit": self.edit(key, forget_set, seed)})
        return RunSpec("before", f"before attacks: {_who(key)}, forget set {forget_set}, seed {seed}", config, inputs)

    def attack(self, name: str, key: str | None, forget_set: int, seed: int, fold: int | None = None, null: str | None = None) -> RunSpec:
        """One attack on an edit, or (``None``) on the unedited model; ``null``: the same attack without the knowledge."""
        plan, before = ATTACKS[name], self.before(key, forget_set, seed)
        chosen = {**dict(getattr(self, name)), **(plan.nulls[null] if null else {})}
        config = {**before.config, "fold": fold, "settings": chosen}
        inputs = {**before.inputs, "text": self.text("train"), "before": before}
        label = f"{plan.label}{f' ({null})' if null else ''}: {_who(key)}, forget set {forget_set}, seed {seed}"
        return RunSpec(plan.stage, label + ("" if fold is None else f", half {fold}"), config, inputs)

    def audit(self, stage: str, key: str | None, forget_set: int, seed: int) -> RunSpec:
        """What can still be read off one edited model (``latent``), or what follows from its facts (``ripple``)."""
        config = {**self._trained, "forget_set": forget_set, "seed": self.seed}
        inputs = {"know": self.know}
        if key is not None:
            inputs |= {"edit": self.edit(key, forget_set, seed), "unedited": self.audit(stage, None, forget_set, 0)}
        return RunSpec(stage, f"{stage}: {_who(key)}, forget set {forget_set}, seed {seed}", config, inputs)

    def arms(self) -> list[tuple[str, int, int]]:
        """Every localization, forget set and seed; all localizations of a set before the next set."""
        size = self.size
        return [(key, number, seed) for seed in range(size.n_seeds) for number in range(size.n_sets) for key in self.localizations or ()]

    def runs(self, need: str) -> Needed:
        """The runs that a page needs, each with the columns that identify its rows; see :mod:`mechlib.runs.needs`."""
        from mechlib.runs.needs import NEEDS

        if need not in NEEDS:
            raise ParameterError(f"no runs are called '{need}'")
        return NEEDS[need](self)


def _who(key: str | None) -> str:
    return "unedited" if key is None else localizer(key).label

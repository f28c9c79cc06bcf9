"""The runs that change a model: edits, the trials that tune them, and masks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from mechlib import checks
from mechlib.edit.train import EditConfig
from mechlib.edit.weight_masking import MaskConfig
from mechlib.facts import FORMATS
from mechlib.localize.registry import at_norm, localizer
from mechlib.runs.once import once
from mechlib.runs.spec import RunSpec
from mechlib.runs.specs.localizing import Localizing
from mechlib.runs.stages import EDIT, MASKED, RESCALED, TRIAL, TUNE, ZEROED
from mechlib.runs.stages.edit import EditSettings, MaskSettings, RescaledSettings
from mechlib.runs.stages.residual import ZeroedSettings
from mechlib.runs.stages.tuning import TrialSettings, TuneSettings

# Hyperparameters are chosen on facts of their own: their random localizations are those of no forget set.
VALIDATION = 999


class Editing(Localizing):
    """A study's runs that change a model, by a localization (``key``), a forget set and a seed."""

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
        inputs = {**self.start(VALIDATION), "localize": self.localize(key, VALIDATION, 0), "texts": self.text("train"),
                  "other texts": self.text("damage")}  # fmt: skip
        return RunSpec(TRIAL, f"trial: {localizer(key).label}, {learning_rate:g} x {coefficient:g}", settings, inputs)

    def tuning(self, key: str) -> RunSpec:
        """The best of a localization's trials; every localization has the same ones."""
        _not_rescaled(key)
        grid = product(self.size.learning_rates, self.size.forget_coefficients)
        trials = {f"{rate:g} x {coefficient:g}": self.trial(key, rate, coefficient) for rate, coefficient in grid}
        return RunSpec(TUNE, f"tune: {localizer(key).label}", TuneSettings(), trials)

    def edit(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """One edit; of a sequential task, the last of its parts."""
        return self.edit_part(key, forget_set, seed, self.parts - 1)

    @once
    def edit_part(self, key: str, forget_set: int, seed: int, part: int) -> RunSpec:
        """One part of a sequential edit, after the parts before; other tasks have one part."""
        if pair := at_norm(key):
            own, beside = (self.edit_part(one, forget_set, seed, part) for one in pair)
            return RunSpec(RESCALED, f"rescale: {place(key, forget_set, seed)}", RescaledSettings(key), {"edit": own, "beside": beside})
        inputs = {**self.start(forget_set), "localize": self.localize(key, forget_set, seed, part), "texts": self.text("train")}
        inputs |= {"tune": self.tuning(key)} if self.tune else {}
        inputs |= {"before": self.edit_part(key, forget_set, seed, part - 1)} if part else {}
        training, floor = self.training(key, forget_set, seed), self.floor(forget_set, seed)
        # A few MLPs hold all planted facts, and lose those that nothing holds on to.
        settings = EditSettings(self.about(forget_set), (part, self.parts), training, floor, True if self.sites else None)
        label = f"edit: {place(key, forget_set, seed)}" + (f", part {part + 1}" if self.parts > 1 else "")
        return RunSpec(EDIT, label, settings, inputs)

    def mask(self, key: str, forget_set: int) -> RunSpec:
        """A mask over one localization's weights, trained to forget one forget set."""
        _not_rescaled(key)
        size = self.size
        training = MaskConfig(loss=self.kind.loss, steps=size.mask_steps, retain_batch=size.retain_batch, text_batch=size.text_batch,
                              seed=self.drawn(forget_set, 0), precision=self.precision)  # fmt: skip
        inputs = {**self.start(forget_set), "localize": self.localize(key, forget_set, 0), "texts": self.text("train")}
        label = f"mask: {localizer(key).label}, forget set {forget_set}"
        return RunSpec(MASKED, label, MaskSettings(self.about(forget_set), training), inputs)

    def zeroed(self, key: str, forget_set: int) -> RunSpec:
        """That mask made discrete at several sizes, and the facts asked in every format and in the one that it was trained on."""
        asked = dict.fromkeys((*(self.formats or ()), self.trained_format))
        formats = tuple(FORMATS[form] for form in asked if not FORMATS[form].letters)
        inputs = {**self.start(forget_set), "localize": self.localize(key, forget_set, 0), "mask": self.mask(key, forget_set),
                  "lookup": self.localize("fact_lookup", forget_set, 0)}  # fmt: skip
        inputs |= {"paths": self.evidence["paths"]} if "paths" in self.evidence else {}
        settings = ZeroedSettings(self.about(forget_set), self.size.mask_sizes, formats, self.whole, self.precision)
        return RunSpec(ZEROED, f"zeroed weights: {localizer(key).label}, forget set {forget_set}", settings, inputs)

    def arms(self) -> list[tuple[str, int, int]]:
        """Every localization, forget set and seed; all localizations of a set before the next set."""
        size = self.size
        return [(key, number, seed) for seed in range(size.n_seeds) for number in range(size.n_sets) for key in self.localizations or ()]

    def _of(self, key: str | None, forget_set: int, seed: int) -> dict[str, RunSpec]:
        """What a run about an edited or unedited model starts from."""
        return self.start(forget_set) | ({} if key is None else {"edit": self.edit(key, forget_set, seed)})


def place(key: str | None, forget_set: int, seed: int) -> str:
    """How a label names what a run is about."""
    return f"{'unedited' if key is None else localizer(key).label}, forget set {forget_set}, seed {seed}"


def _not_rescaled(key: str) -> None:
    """Raises :class:`mechlib.checks.ParameterError` for a localization whose change is rescaled, where there is none to rescale."""
    if pair := at_norm(key):
        raise checks.ParameterError(f"LOCALIZATIONS={key}: only an edit can have another's norm, no trial and no mask: choose {pair[0]}")

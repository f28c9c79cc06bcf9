"""A study: the parameters of the pages, and the runs that they imply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from mechlib.edit.general_text import prose_fingerprint
from mechlib.edit.train import EditConfig
from mechlib.facts import FORMATS, FactSet, athletes
from mechlib.localize.registry import LOCALIZERS
from mechlib.models import ModelSpec, fingerprint, resolve
from mechlib.runs import checks
from mechlib.runs.checks import ParameterError
from mechlib.runs.profiles import PROFILES, Profile
from mechlib.runs.spec import RunSpec

TASKS = ("sports-athlete-editing",)
TEXT_LENGTH = 24
TRAIN_TEXTS = 32


@dataclass(frozen=True)
class Study:
    """Every parameter that a page may set, by the lower-case name of its variable. ``None``: the default of the model or profile."""

    model: str = "gemma-3-270m"
    profile: str = "quick"
    task: str = "sports-athlete-editing"
    facts: str | None = None
    seed: int = 0
    known_format: str = "few_shot"
    known_threshold: float = 0.5
    forget_set_size: int = 16
    forget_sets: int | None = None
    edit_format: str = "one_shot"
    localizations: tuple[str, ...] = tuple(LOCALIZERS)
    learning_rate: float | None = None
    forget_coefficient: float | None = None
    steps: int | None = None
    precision: str = "bfloat16"
    formats: tuple[str, ...] = tuple(FORMATS)

    def __post_init__(self) -> None:
        checks.choice("PROFILE", self.profile, PROFILES)
        checks.choice("TASK", self.task, TASKS)
        checks.choice("PRECISION", self.precision, ("bfloat16", "float32"))
        checks.choice("KNOWN_FORMAT", self.known_format, FORMATS)
        checks.choice("EDIT_FORMAT", self.edit_format, FORMATS)
        checks.text("MODEL", self.model)
        checks.whole("SEED", self.seed, least=0)
        checks.whole("FORGET_SET_SIZE", self.forget_set_size, least=1)
        checks.probability("KNOWN_THRESHOLD", self.known_threshold)
        if self.facts is not None:
            checks.text("FACTS", self.facts)
        for name, count in (("FORGET_SETS", self.forget_sets), ("STEPS", self.steps)):
            if count is not None:
                checks.whole(name, count, least=1)
        for name, number in (("LEARNING_RATE", self.learning_rate), ("FORGET_COEFFICIENT", self.forget_coefficient)):
            if number is not None:
                checks.positive(name, number)
        object.__setattr__(self, "localizations", checks.choices("LOCALIZATIONS", self.localizations, LOCALIZERS))
        object.__setattr__(self, "formats", checks.choices("FORMATS", self.formats, FORMATS))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The parameters as pages spell them."""
        return tuple(field.name.upper() for field in fields(cls))

    @cached_property
    def model_spec(self) -> ModelSpec:
        """The model's entry in the table; raises :class:`mechlib.models.ModelError` if there is none."""
        return resolve(self.model)

    @cached_property
    def size(self) -> Profile:
        """The profile with the page's own sizes in place."""
        base = PROFILES[self.profile]
        return replace(base, n_sets=self.forget_sets or base.n_sets, steps=self.steps or base.steps)

    @cached_property
    def table(self) -> FactSet:
        """The facts that the study starts from."""
        from pathlib import Path

        return athletes(Path(self.facts).expanduser() if self.facts else None)

    @cached_property
    def _subject(self) -> dict[str, Any]:
        return {"model": fingerprint(self.model_spec), "dtype": self.model_spec.dtype, "facts": self.table.fingerprint}

    @cached_property
    def _splits(self) -> dict[str, Any]:
        size = self.size
        return {"threshold": self.known_threshold, "n_sets": size.n_sets, "set_size": self.forget_set_size,
                "n_localize": size.n_localize, "n_test": size.n_test, "seed": self.seed}  # fmt: skip

    @property
    def split_settings(self) -> dict[str, Any]:
        """What divides the known facts (see :func:`mechlib.runs.stages.know.splits`)."""
        return dict(self._splits)

    @cached_property
    def know(self) -> RunSpec:
        """Which facts the model knows."""
        return RunSpec("know", f"which facts are known ({self.known_format})", {**self._subject, "format": self.known_format})

    def text(self, purpose: str) -> RunSpec:
        """General text to ``train`` on, or other text to measure ``damage`` on."""
        count = TRAIN_TEXTS if purpose == "train" else self.size.n_damage_texts
        seed = 2 * self.seed + (purpose == "damage")
        config = {"model": self._subject["model"], "dtype": self._subject["dtype"], "count": count, "length": TEXT_LENGTH, "seed": seed}
        return RunSpec("text", f"general text to {purpose}", config)

    @cached_property
    def evidence(self) -> dict[str, RunSpec]:
        """What every localization is chosen from."""
        config = {**self._subject, "splits": self._splits, "format": self.edit_format, "seed": self.seed}
        runs = {"probe": RunSpec("probe", "probes over layers", config, {"know": self.know})}
        for method in ("causal_tracing", "attribution_patching"):
            label = method.replace("_", " ")
            runs[method] = RunSpec("trace", label, {**config, "method": method}, {"know": self.know})
        return runs

    def localization(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """One localization; random ones are drawn anew for every forget set and seed."""
        method = LOCALIZERS[key]
        drawn = method.evidence is None and method.matched
        inputs = {name: run for name, run in self.evidence.items() if name in ("probe", method.evidence)}
        config = {"model": self._subject["model"], "method": key, "seed": 1000 * (self.seed + seed) + forget_set if drawn else 0}
        return RunSpec("localize", f"localize: {method.label}", config, inputs)

    def training(self, key: str, seed: int) -> EditConfig:
        """How a localization is trained: the page's values, else the model's for its group."""
        default = self.model_spec.hyperparameters(LOCALIZERS[key].group)
        return EditConfig(
            learning_rate=self.learning_rate or default.learning_rate,
            forget_coefficient=self.forget_coefficient or default.forget_coefficient,
            steps=self.size.steps,
            precision="float32" if self.precision == "float32" else "bfloat16",
            seed=self.seed + seed,
        )

    def edit(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """One edit."""
        config = {**self._subject, "splits": self._splits, "format": self.edit_format, "forget_set": forget_set,
                  "training": asdict(self.training(key, seed))}  # fmt: skip
        inputs = {"know": self.know, "localize": self.localization(key, forget_set, seed), "text": self.text("train")}
        return RunSpec("edit", f"edit: {LOCALIZERS[key].label}, forget set {forget_set}, seed {seed}", config, inputs)

    def ask(self, key: str | None, forget_set: int, seed: int, form: str) -> RunSpec:
        """One forget set asked in one format after an edit, or (``None``) of the unedited model."""
        rotations = self.size.rotations if FORMATS[form].letters else 1
        config = {**self._subject, "splits": self._splits, "format": form, "forget_set": forget_set, "rotations": rotations}
        inputs = {"know": self.know}
        if key is not None:
            inputs["edit"] = self.edit(key, forget_set, seed)
        who = "unedited" if key is None else LOCALIZERS[key].label
        return RunSpec("ask", f"ask ({form}): {who}, forget set {forget_set}, seed {seed}", config, inputs)

    def damage(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """Side effects of one edit on general text."""
        config = {"model": self._subject["model"], "count": self.size.n_damage_texts, "length": TEXT_LENGTH, "prose": prose_fingerprint()}
        inputs = {"edit": self.edit(key, forget_set, seed), "text": self.text("damage")}
        return RunSpec("damage", f"damage: {LOCALIZERS[key].label}, forget set {forget_set}, seed {seed}", config, inputs)

    def arms(self) -> list[tuple[str, int, int]]:
        """Every localization, forget set and seed; all localizations of a set before the next set."""
        size = self.size
        return [(key, number, seed) for seed in range(size.n_seeds) for number in range(size.n_sets) for key in self.localizations]

    def runs(self, need: str) -> Sequence[tuple[Mapping[str, Any], RunSpec]]:
        """The runs that a page needs, each with the columns that identify its rows.

        ``need`` is one of ``know``, ``baseline``, ``evidence``, ``localize``, ``edit``, ``prompting``, ``damage``.
        """
        arms = [({"localization": key, "forget_set": number, "seed": seed}, (key, number, seed)) for key, number, seed in self.arms()]
        unedited = [({"localization": "unedited", "forget_set": number, "seed": 0}, number) for number in range(self.size.n_sets)]
        if need == "know":
            return [({}, self.know)]
        if need == "baseline":
            return [(arm, self.ask(None, number, 0, form)) for arm, number in unedited for form in self.formats]
        if need == "evidence":
            return [({"evidence": name}, run) for name, run in self.evidence.items()]
        if need == "localize":
            return [(arm, self.localization(*where)) for arm, where in arms]
        if need == "edit":
            return [(arm, self.edit(*where)) for arm, where in arms]
        if need == "prompting":
            edited = [(arm, self.ask(*where, form)) for arm, where in arms for form in self.formats]
            return [*self.runs("baseline"), *edited]
        if need == "trained":
            edited = [(arm, self.ask(*where, self.edit_format)) for arm, where in arms]
            return [*((arm, self.ask(None, number, 0, self.edit_format)) for arm, number in unedited), *edited]
        if need == "damage":
            return [(arm, self.damage(*where)) for arm, where in arms]
        raise ParameterError(f"no runs are called '{need}'")

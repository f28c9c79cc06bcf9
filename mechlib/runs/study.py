"""A study: the parameters of the pages, and the runs that they imply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mechlib.components import read_names
from mechlib.edit.general_text import prose_fingerprint
from mechlib.edit.train import EditConfig
from mechlib.facts import FORMATS, FactSet
from mechlib.localize.registry import GIVEN, PAPER, known, localizer
from mechlib.models import ModelSpec, fingerprint, resolve
from mechlib.runs import checks
from mechlib.runs.checks import ParameterError
from mechlib.runs.profiles import PROFILES, Profile
from mechlib.runs.spec import RunSpec
from mechlib.runs.stages.trace import METHODS
from mechlib.runs.tasks import TASKS, Task

RULES = ("paper", "released")
POSITIONS, REDRAWN = "causal_tracing_positions", "causal_tracing_redrawn"
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
    known_format: str | None = None
    known_threshold: float = 0.5
    forget_set_size: int = 16
    forget_sets: int | None = None
    edit_format: str | None = None
    lookup_rule: str = "paper"
    localization: str | None = None
    localizations: tuple[str, ...] = PAPER
    learning_rate: float | None = None
    forget_coefficient: float | None = None
    steps: int | None = None
    precision: str = "bfloat16"
    formats: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        checks.choice("PROFILE", self.profile, PROFILES)
        checks.choice("TASK", self.task, TASKS)
        checks.choice("PRECISION", self.precision, ("bfloat16", "float32"))
        checks.choice("LOOKUP_RULE", self.lookup_rule, RULES)
        checks.text("MODEL", self.model)
        checks.whole("SEED", self.seed, least=0)
        checks.whole("FORGET_SET_SIZE", self.forget_set_size, least=1)
        checks.probability("KNOWN_THRESHOLD", self.known_threshold)
        for name, words in (("FACTS", self.facts), ("LOCALIZATION", self.localization)):
            if words is not None:
                checks.text(name, words)
        for name, count in (("FORGET_SETS", self.forget_sets), ("STEPS", self.steps)):
            if count is not None:
                checks.whole(name, count, least=1)
        for name, number in (("LEARNING_RATE", self.learning_rate), ("FORGET_COEFFICIENT", self.forget_coefficient)):
            if number is not None:
                checks.positive(name, number)
        chosen = checks.choices("LOCALIZATIONS", self.localizations, known(self.localizations))
        object.__setattr__(self, "localizations", (*chosen, GIVEN) if self.localization else chosen)
        self._check_formats()

    def _check_formats(self) -> None:
        """Replace formats that are not given by the task's own."""
        task = self.kind
        for name, default in (("known_format", task.known_format), ("edit_format", task.edit_format)):
            value = getattr(self, name)
            object.__setattr__(self, name, checks.choice(name.upper(), default if value is None else value, task.possible_formats))
        given = task.formats if self.formats is None else self.formats
        object.__setattr__(self, "formats", checks.choices("FORMATS", given, task.possible_formats))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The parameters as pages spell them."""
        return tuple(field.name.upper() for field in fields(cls))

    @property
    def trained_format(self) -> str:
        """The format that edits are trained on."""
        return self.edit_format or self.kind.edit_format

    @property
    def kind(self) -> Task:
        """The task's entry in the table."""
        return TASKS[self.task]

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
        return self.kind.table(self.facts)

    @cached_property
    def given(self) -> tuple[str, ...]:
        """The components of the file that ``localization`` names; raises :class:`mechlib.components.ComponentError` if it has none."""
        return read_names(Path(self.localization).expanduser()) if self.localization else ()

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
        return self.known(self.known_format or self.kind.known_format)

    def known(self, form: str) -> RunSpec:
        """Every fact of the table asked in one format."""
        return RunSpec("know", f"which facts are known ({form})", {**self._subject, "format": form})

    def text(self, purpose: str) -> RunSpec:
        """General text to ``train`` on, or other text to measure ``damage`` on."""
        count = TRAIN_TEXTS if purpose == "train" else self.size.n_damage_texts
        seed = 2 * self.seed + (purpose == "damage")
        config = {"model": self._subject["model"], "dtype": self._subject["dtype"], "count": count, "length": TEXT_LENGTH, "seed": seed}
        return RunSpec("text", f"general text to {purpose}", config)

    @cached_property
    def evidence(self) -> dict[str, RunSpec]:
        """What every localization is chosen from: fact lookup's evidence by its kind, then all methods that score components."""
        config = {**self._subject, "splits": self._splits, "format": self.edit_format, "seed": self.seed}
        inputs = {"know": self.know}
        if self.kind.lookup == "probe":
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
        config = {**self._subject, "splits": self._splits, "format": self.edit_format, "seed": self.seed, "precision": self.precision}
        traces = {name: self.evidence[name] for name in METHODS if name not in (POSITIONS, REDRAWN)}
        return RunSpec("circuits", "faithfulness of circuits", config, {"know": self.know, **traces})

    def localize(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """One localization; random ones are drawn anew for every forget set and seed."""
        method = localizer(key)
        inputs = {name: run for name, run in self.evidence.items() if name in (self.kind.lookup, method.evidence)}
        config: dict[str, Any] = {"model": self._subject["model"], "method": key, "rule": self.lookup_rule,
                                  "seed": 1000 * (self.seed + seed) + forget_set if method.drawn else 0}  # fmt: skip
        config |= {"components": self.given} if key == GIVEN else {}
        return RunSpec("localize", f"localize: {method.label}", config, inputs)

    def training(self, key: str, seed: int) -> EditConfig:
        """How a localization is trained: the page's values, else the model's for its group."""
        default = self.model_spec.hyperparameters(localizer(key).group)
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
        inputs = {"know": self.know, "localize": self.localize(key, forget_set, seed), "text": self.text("train")}
        return RunSpec("edit", f"edit: {localizer(key).label}, forget set {forget_set}, seed {seed}", config, inputs)

    def ask(self, key: str | None, forget_set: int, seed: int, form: str) -> RunSpec:
        """One forget set asked in one format after an edit, or (``None``) of the unedited model."""
        rotations = self.size.rotations if FORMATS[form].letters else 1
        config = {**self._subject, "splits": self._splits, "format": form, "forget_set": forget_set, "rotations": rotations}
        inputs = {"know": self.know}
        if key is not None:
            inputs["edit"] = self.edit(key, forget_set, seed)
        who = "unedited" if key is None else localizer(key).label
        return RunSpec("ask", f"ask ({form}): {who}, forget set {forget_set}, seed {seed}", config, inputs)

    def damage(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """Side effects of one edit on general text."""
        config = {"model": self._subject["model"], "count": self.size.n_damage_texts, "length": TEXT_LENGTH, "prose": prose_fingerprint()}
        inputs = {"edit": self.edit(key, forget_set, seed), "text": self.text("damage")}
        return RunSpec("damage", f"damage: {localizer(key).label}, forget set {forget_set}, seed {seed}", config, inputs)

    def arms(self) -> list[tuple[str, int, int]]:
        """Every localization, forget set and seed; all localizations of a set before the next set."""
        size = self.size
        return [(key, number, seed) for seed in range(size.n_seeds) for number in range(size.n_sets) for key in self.localizations]

    def runs(self, need: str) -> Sequence[tuple[Mapping[str, Any], RunSpec]]:
        """The runs that a page needs, each with the columns that identify its rows.

        ``need`` is one of ``know``, ``asked`` (all facts in every format that is compared), ``baseline``, ``evidence`` (what the
        localizations are chosen from), ``methods`` (everything that scores components), ``redrawn`` (causal tracing with new
        noise in every run), ``circuits``, ``localize``, ``edit``, ``trained``, ``prompting``, ``damage``.
        """
        arms = [({"localization": key, "forget_set": number, "seed": seed}, (key, number, seed)) for key, number, seed in self.arms()]
        unedited = [({"localization": "unedited", "forget_set": number, "seed": 0}, number) for number in range(self.size.n_sets)]
        if need == "know":
            return [({}, self.know)]
        if need == "baseline":
            return [(arm, self.ask(None, number, 0, form)) for arm, number in unedited for form in self.formats or ()]
        if need == "evidence":
            wanted = {self.kind.lookup, POSITIONS, *(localizer(key).evidence for key in self.localizations)}
            return [({"evidence": name}, run) for name, run in self.evidence.items() if name in wanted]
        if need == "methods":
            return [({"evidence": name}, run) for name, run in self.evidence.items() if name != REDRAWN]
        if need == "redrawn":
            return [({"evidence": REDRAWN}, self.evidence[REDRAWN])]
        if need == "circuits":
            return [({}, self.circuits)]
        if need == "asked":
            return [({"format": form}, self.known(form)) for form in self.formats or ()]
        if need == "localize":
            return [(arm, self.localize(*where)) for arm, where in arms]
        if need == "edit":
            return [(arm, self.edit(*where)) for arm, where in arms]
        if need == "prompting":
            edited = [(arm, self.ask(*where, form)) for arm, where in arms for form in self.formats or ()]
            return [*self.runs("baseline"), *edited]
        if need == "trained":
            edited = [(arm, self.ask(*where, self.trained_format)) for arm, where in arms]
            return [*((arm, self.ask(None, number, 0, self.trained_format)) for arm, number in unedited), *edited]
        if need == "damage":
            return [(arm, self.damage(*where)) for arm, where in arms]
        raise ParameterError(f"no runs are called '{need}'")

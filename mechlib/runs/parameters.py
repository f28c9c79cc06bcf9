"""The parameters of a study: every value that a page may set, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from mechlib import checks
from mechlib.attacks.registry import ATTACKS, settings
from mechlib.components import read_names
from mechlib.facts import FactSet
from mechlib.facts.counterfact import FILES
from mechlib.localize.path_lookup import Rule
from mechlib.localize.registry import GIVEN, PLANTED, valid_keys
from mechlib.models import ModelSpec, resolve
from mechlib.models.precision import Precision
from mechlib.models.recognize import Dtype
from mechlib.models.table import Optimizer
from mechlib.runs.profiles import PROFILES, Profile
from mechlib.runs.tasks import SPORTS, TASKS, Task
from mechlib.runs.usual import usual

RULES, PRECISIONS, OPTIMIZERS = get_args(Rule), get_args(Precision), get_args(Optimizer)
# Parameters that name a file, with its endings where they may name a data set of a hub instead.
_FILES = {"facts": (), "world_facts": FILES, "texts": (".txt", ".jsonl"), "localization": ()}


# Every attack has a parameter of its name: its settings.
_AttackParameters: Any = make_dataclass("_AttackParameters", [(name, Any, None) for name in ATTACKS], frozen=True, kw_only=True)


@dataclass(frozen=True)
class Parameters(_AttackParameters):
    """Every parameter that a page may set, by the lower-case name of its variable. ``None``: the default of the model or profile.

    ``divided_sets``: the facts are divided into so many forget sets, of which the first ``forget_sets`` are edited (``None``: all of
    them). A study that was stopped is one of fewer sets, and its runs are those of the whole.
    """

    model: str = "gemma-3-270m"
    dtype: Dtype | None = None
    profile: str = "quick"
    task: str = "sports-athlete-editing"
    facts: str | None = None
    world_facts: str | None = None
    texts: str | None = None
    seed: int = 0
    known_format: str | None = None
    known_threshold: float = 0.5
    forget_set_size: int = 16
    forget_sets: int | None = None
    divided_sets: int | None = None
    seeds: int | None = None
    edit_format: str | None = None
    lookup_rule: Rule = "paper"
    localization: str | None = None
    localizations: tuple[str, ...] | None = None
    learning_rate: float | None = None
    forget_coefficient: float | None = None
    steps: int | None = None
    tune: bool = False
    kl_coefficient: float = 0.0
    optimizer: Optimizer | None = None
    micro_batch: int | None = None
    checkpointing: bool = False
    stop_at: float | None = None
    precision: Precision | None = None
    formats: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        checks.choice("PROFILE", self.profile, PROFILES)
        checks.choice("TASK", self.task, TASKS)
        possible = (("PRECISION", self.precision, PRECISIONS), ("DTYPE", self.dtype, PRECISIONS), ("OPTIMIZER", self.optimizer, OPTIMIZERS))
        for name, value, known in possible:
            if value is not None:
                checks.choice(name, value, known)
        checks.switch("TUNE", self.tune)
        checks.switch("CHECKPOINTING", self.checkpointing)
        checks.least("KL_COEFFICIENT", self.kl_coefficient, 0.0)
        checks.choice("LOOKUP_RULE", self.lookup_rule, RULES)
        checks.text("MODEL", self.model)
        checks.whole("SEED", self.seed, least=0)
        checks.whole("FORGET_SET_SIZE", self.forget_set_size, least=1)
        checks.probability("KNOWN_THRESHOLD", self.known_threshold)
        for name, endings in _FILES.items():
            if getattr(self, name) is not None:
                checks.file(name.upper(), getattr(self, name), endings)
        for name, most in (("forget_sets", 1_000), ("divided_sets", 1_000), ("seeds", 1_000), ("steps", checks.MOST),
                           ("micro_batch", checks.MOST)):  # fmt: skip
            if getattr(self, name) is not None:
                checks.whole(name.upper(), getattr(self, name), 1, most)
        for name in ("learning_rate", "forget_coefficient", "stop_at"):
            if getattr(self, name) is not None:
                checks.positive(name.upper(), getattr(self, name))
        if self.divided_sets is not None and self.divided_sets < (self.forget_sets or usual(self.profile, self.task)["forget_sets"]):
            raise checks.ParameterError(f"DIVIDED_SETS={self.divided_sets}: give at least as many sets as FORGET_SETS, or leave it out")
        if (self.stop_at or 0) > 1:
            raise checks.ParameterError(f"STOP_AT={self.stop_at}: give a probability, or 1 to take all steps")
        # The file is read here: what is wrong with it is said before any work.
        added = (GIVEN,) if self.given else ()
        for name in ATTACKS:
            try:
                found = settings(name, self.profile, getattr(self, name))
            except ValueError as error:
                raise checks.ParameterError(str(error)) from None
            checks.like(name.upper(), dict(found), {key: one for plan in ATTACKS[name].settings.values() for key, one in plan.items()})
            object.__setattr__(self, name, found)
        wanted = usual(self.profile, self.task)["localizations"] if self.localizations is None else checks.listed(self.localizations)
        possible = [key for key in valid_keys(wanted) if self.kind.planted or key not in PLANTED]
        chosen = checks.choices("LOCALIZATIONS", wanted, (*possible, *added))
        object.__setattr__(self, "localizations", tuple(dict.fromkeys((*chosen, *added))))
        self._check_formats()

    def _check_formats(self) -> None:
        """Replace formats that are not given by the task's own."""
        default, possible = usual(self.profile, self.task), self.kind.possible_formats
        for name, check in (("known_format", checks.choice), ("edit_format", checks.choice), ("formats", checks.choices)):
            value = getattr(self, name)
            object.__setattr__(self, name, check(name.upper(), default[name] if value is None else value, possible))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The parameters as pages spell them."""
        return tuple(field.name.upper() for field in fields(cls))

    @property
    def trained_format(self) -> str:
        """The format that edits are trained on."""
        return self.edit_format or self.kind.domain.edit_format

    @property
    def kind(self) -> Task:
        """The task's entry in the table."""
        return TASKS[self.task]

    @property
    def parts(self) -> int:
        """A forget set is edited in so many parts, one after the other: the task's, as far as the profile goes."""
        return min(self.kind.parts, self.size.most_parts)

    @cached_property
    def model_spec(self) -> ModelSpec:
        """The model's entry in the table, in the format that is asked for; raises :class:`mechlib.models.ModelError` if there is none."""
        spec = resolve(self.model)
        return replace(spec, dtype=self.dtype or spec.dtype)

    @cached_property
    def size(self) -> Profile:
        """The profile with the page's own sizes in place; no more forget sets than a task has answers to forget, and one if it is large."""
        base, default = PROFILES[self.profile], usual(self.profile, self.task)
        n_sets = self.forget_sets or default["forget_sets"]
        if self.kind.forget == "answers":
            n_sets = min(n_sets, len({fact.answer for fact in self.table} - {self.kind.target}))
        attacked = n_sets if self.forget_sets else min(n_sets, base.n_attacked_sets)
        return replace(base, n_sets=n_sets, n_attacked_sets=attacked, n_seeds=self.seeds or base.n_seeds,
                       steps=self.steps or default["steps"], stop_at=self.stop_at or default["stop_at"])  # fmt: skip

    @cached_property
    def table(self) -> FactSet:
        """The facts that the study starts from."""
        return self.kind.domain.table(self.facts if self.kind.domain is SPORTS else self.world_facts)

    @cached_property
    def given(self) -> tuple[str, ...]:
        """The components of the file that ``localization`` names; raises :class:`mechlib.components.ComponentError` if there are none."""
        return read_names(Path(self.localization).expanduser()) if self.localization else ()

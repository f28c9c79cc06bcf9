"""The runs that ask an edited or unedited model: in other formats, under attacks, and inside."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from mechlib import checks
from mechlib.attacks.registry import ATTACKS
from mechlib.edit.general_text import PROSE
from mechlib.facts.reverse import CONSEQUENCES as FOLLOWING
from mechlib.facts.reverse import REVERSE
from mechlib.runs.once import once
from mechlib.runs.spec import RunSpec, digest
from mechlib.runs.specs.editing import Editing, place
from mechlib.runs.specs.localizing import format_of
from mechlib.runs.stages import ANSWERS, ATTACK, CONSEQUENCES, CROSSING, DAMAGE, LATENT, RELOCALIZED
from mechlib.runs.stages.answers import AnswerSettings
from mechlib.runs.stages.attack import AttackSettings
from mechlib.runs.stages.relocalized import RelocalizedSettings
from mechlib.runs.stages.residual import AuditSettings, CrossingSettings, DamageSettings
from mechlib.runs.tasks import COUNTERFACT, SPORTS

# Facts to maintain that attackers are tested on, at most.
MAINTAINED = 32


class Specs(Editing):
    """A study's runs that ask a model, by a localization (``key``; ``None``: unedited), a forget set and a seed."""

    def answers(self, key: str | None, forget_set: int, seed: int, form: str) -> RunSpec:
        """One forget set asked in one format after an edit, or (``None``) of the unedited model."""
        near = self.kind.domain.lookup == "paths" and form == self.trained_format
        groups = ("forget", "maintain", "held_out", "neighbourhood") if near else ("forget", "maintain", "held_out")
        rotations = self.size.rotations if format_of(form).lists else 1
        settings = AnswerSettings(self.about(forget_set, form), groups, rotations, whole=self.whole, precision=self.precision)
        return RunSpec(ANSWERS, f"answers ({form}): {place(key, forget_set, seed)}", settings, self._of(key, forget_set, seed))

    def damage(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """Side effects of one edit on general text."""
        settings = DamageSettings(self.subject.model, self.size.n_damage_texts, self.size.text_length, digest(PROSE), self.precision)
        inputs = {**self.planted(self.site(forget_set)), "edit": self.edit(key, forget_set, seed), "texts": self.text("damage")}
        return RunSpec(DAMAGE, f"damage: {place(key, forget_set, seed)}", settings, inputs)

    @once
    def before(self, key: str | None, forget_set: int, seed: int) -> RunSpec:
        """What an edit, or (``None``) the unedited model, answers before it is attacked."""
        settings = self._attacked(forget_set, seed, ("forget", "maintain", "floor", "unknown"))
        return RunSpec(ANSWERS, f"before attacks: {place(key, forget_set, seed)}", settings, self._of(key, forget_set, seed))

    def attack(self, name: str, key: str | None, forget_set: int, seed: int, fold: int | None = None, null: str | None = None) -> RunSpec:
        """One attack on an edit, or (``None``) on the unedited model; ``null``: the same attack without the knowledge."""
        attack = ATTACKS[checks.choice("attack", name, ATTACKS)]
        asked = self._attacked(forget_set, seed, ("forget", "relearned", "maintain", "floor", "unknown"))
        chosen = {**dict(getattr(self, name)), **({} if null is None else attack.nulls[checks.choice("null", null, attack.nulls)])}
        settings = AttackSettings(name, asked, chosen, fold, digest(*attack.reads) if attack.reads else None)
        inputs = {**self._of(key, forget_set, seed), "texts": self.text("train"), "before": self.before(key, forget_set, seed)}
        label = f"{attack.label}{f' ({null})' if null else ''}: {place(key, forget_set, seed)}"
        return RunSpec(ATTACK, label + ("" if fold is None else f", half {fold}"), settings, inputs)

    def _attacked(self, forget_set: int, seed: int, groups: tuple[Any, ...]) -> AnswerSettings:
        """Who is asked before and under attacks."""
        return AnswerSettings(self.about(forget_set), groups, n_maintain=min(self.size.n_test, MAINTAINED),
                              n_unknown=self.size.n_unknown, seed=self.drawn(forget_set, seed), whole=self.whole,
                              floor=self.floor(forget_set, seed), precision=self.precision)  # fmt: skip

    def crossing(self, key: str, forget_set: int, seed: int) -> RunSpec:
        """What rounding leaves of one edit's change."""
        inputs = {**self.planted(self.site(forget_set)), "edit": self.edit(key, forget_set, seed)}
        schemes = tuple(dict(self.quantization)["schemes"])
        return RunSpec(CROSSING, f"rounded change: {place(key, forget_set, seed)}", CrossingSettings(schemes), inputs)

    def relocalized(self, key: str | None, forget_set: int, seed: int) -> RunSpec:
        """Where methods find one forget set's facts, or after an edit its targets."""
        inputs = {**self._of(key, forget_set, seed), "lookup": self.localize("fact_lookup", forget_set, 0)}
        paths = self.kind.domain.lookup == "paths"
        settings = RelocalizedSettings(self.about(forget_set), paths, self.lookup_rule, self.seed, self.precision)
        return RunSpec(RELOCALIZED, f"localize again: {place(key, forget_set, seed)}", settings, inputs)

    def latent(self, key: str | None, forget_set: int, seed: int) -> RunSpec:
        """What can still be read inside one edited or unedited model."""
        inputs = self._of(key, forget_set, seed)
        inputs |= {} if key is None else {"unedited": self.latent(None, forget_set, 0)}
        settings = AuditSettings(self.about(forget_set), self.seed, precision=self.precision)
        return RunSpec(LATENT, f"latent knowledge: {place(key, forget_set, seed)}", settings, inputs)

    def consequences(self, key: str | None, forget_set: int, seed: int) -> RunSpec:
        """What follows from the facts of one edited or unedited model, and what does not."""
        inputs = self._of(key, forget_set, seed)
        inputs |= {} if key is None else {"unedited": self.consequences(None, forget_set, 0)}
        settings = AuditSettings(self.about(forget_set), self.seed, self._general, self.precision)
        return RunSpec(CONSEQUENCES, f"consequences: {place(key, forget_set, seed)}", settings, inputs)

    @cached_property
    def _general(self) -> str:
        """Facts of other kinds and what follows from facts, by their hash."""
        other = COUNTERFACT if self.kind.domain.relation is SPORTS.relation else SPORTS
        return digest(other.table(None).fingerprint, REVERSE, FOLLOWING)

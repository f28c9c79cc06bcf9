"""The claims of the paper and how each is decided: one file, read by every page that draws a verdict."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from functools import cache
from typing import Literal

from pydantic import Field, model_validator

from mechlib.report.typed import Typed, book_folder, read_typed

Family = Literal["primary", "secondary", "inside", "descriptive"]


# The share of the weights into which facts were planted that a method does not name.
MISSED = "planted layers missed"
# What the outcome of a claim may begin with; what follows is where, on what or by which attack it is compared.
MEASURES = ("transfer", "relearning", "latent knowledge", "weights masked", MISSED)


class Gates(Typed):
    """What must hold before a verdict is drawn, for all claims alike; each is a share."""

    success: float = Field(gt=0, lt=1)
    edited: float = Field(ge=0, le=1)
    overlap: float = Field(ge=0, le=1)
    taught: float = Field(ge=0, le=1)
    kept: float = Field(ge=0, le=1)
    able: float = Field(ge=0, le=1)


class Change(Typed):
    """A decision about the design: about which ``claims`` (by key), when, and why."""

    claims: list[str] = Field(min_length=1)
    date: date
    reason: str = Field(min_length=20)


class Claim(Typed):
    """One claim: what the paper and the released runs say, and the comparison that decides it here.

    ``first`` is compared with each of ``rivals`` by ``outcome`` on ``sets`` forget sets of ``task``, and lower is better.
    ``formats``: those asked in, if the unedited model can answer so; empty: all others that were not trained. ``attack``: the setting of
    relearning that counts, and no other does; empty: the study's own. ``counterparts``: the rivals that would be
    worse whatever is true, so that their verdicts speak for nothing. ``margin`` (nats, or a share) is what counts as no difference.
    Holm's rule runs over those comparisons of a ``family`` that one study runs; descriptive claims have no rule.
    """

    key: str = Field(pattern=r"^[a-z]+(-[a-z]+)*$")
    sentence: str = Field(min_length=1)
    place: str = Field(min_length=1)
    paper: str = Field(min_length=1)
    released: str = Field(min_length=1)
    source: str = Field(min_length=1)
    task: str = Field(min_length=1)
    outcome: str = Field(min_length=1)
    formats: list[str] = []
    attack: str = ""
    counterparts: list[str] = []
    first: str = Field(min_length=1)
    rivals: list[str] = Field(min_length=1)
    sets: int = Field(gt=0)
    rule: Literal["sign-flip", "mixed model", "balanced", "none"]
    margin: float | None = Field(default=None, gt=0)
    family: Family

    @property
    def measure(self) -> str:
        """What is measured: what the outcome begins with, without the condition that some compare it at."""
        return next((one for one in MEASURES if self.outcome.startswith(one)), self.outcome)

    @property
    def edited(self) -> bool:
        """Whether its arms are edits, whose success and harm have gates; masks are none, and neither is looking for planted facts."""
        return not self.masked and self.measure != MISSED

    @property
    def over(self) -> str:
        """What it is compared over: forget sets, or places where facts were planted, each with a model of its own."""
        return "place" if self.measure == MISSED else "forget set"

    @property
    def masked(self) -> bool:
        """Whether weights are set to zero, and nothing is edited."""
        return self.measure == "weights masked"

    @property
    def by_place(self) -> bool:
        """Whether places in the model are the unit of its verdict, and not sets."""
        return self.rule == "mixed model" or self.measure == MISSED

    @property
    def unit(self) -> str:
        """What stands behind a difference: log odds are in nats, and a share has no unit."""
        return "" if self.measure == MISSED else " nats"

    @model_validator(mode="after")
    def _has_a_rule(self) -> Claim:
        if (self.family == "descriptive") != (self.rule == "none") or (self.rule == "none") != (self.margin is None):
            raise ValueError("a descriptive claim has neither rule nor margin, every other claim has both")
        if len(set(self.rivals)) < len(self.rivals) or self.first in self.rivals:
            raise ValueError("an arm is named twice")
        if not {*self.counterparts} < {*self.rivals}:
            raise ValueError("a counterpart is no rival, or all rivals are")
        return self


class Claims(Typed):
    """The whole file."""

    gates: Gates
    claim: list[Claim] = Field(min_length=1)
    changed: list[Change] = []

    @model_validator(mode="after")
    def _keys_differ(self) -> Claims:
        keys = [one.key for one in self.claim]
        if len(set(keys)) < len(keys):
            raise ValueError("two claims have one key")
        if unknown := {key for one in self.changed for key in one.claims} - {*keys}:
            raise ValueError(f"a change is about no claim: {min(unknown)}")
        return self

    def of_task(self, task: str) -> list[Claim]:
        """The claims about one task, in the order of the file."""
        return [one for one in self.claim if one.task == task]

    def of_families(self, task: str, outcomes: Collection[str]) -> Claims:
        """The claims about a task whose family has one of these outcomes: what their verdicts depend on, and no more."""
        families = {one.family for one in self.of_task(task) if one.outcome in outcomes}
        return self.model_copy(update={"claim": [one for one in self.of_task(task) if one.family in families], "changed": []})

    def history(self, claim: Claim) -> list[Change]:
        """What was decided about a claim, in the order of the file."""
        return [one for one in self.changed if claim.key in one.claims]


@cache
def declared() -> Claims:
    """The claims file of the book; raises :class:`mechlib.report.typed.TypedError` outside a checkout, where there is no book."""
    return read_typed(book_folder() / "claims.toml", Claims)

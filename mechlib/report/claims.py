"""The claims of the paper and how each is decided: one file, read by every page that draws a verdict."""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mechlib.errors import MechlibError
from mechlib.runs.places import checkout

Family = Literal["primary", "secondary", "descriptive"]


class ClaimsError(MechlibError, ValueError):
    """A claims file that cannot be read; the message says where and why."""


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Gates(_Declared):
    """What must hold before a verdict is drawn, for all claims alike; each is a share."""

    success: float = Field(gt=0, lt=1)
    edited: float = Field(ge=0, le=1)
    overlap: float = Field(ge=0, le=1)
    taught: float = Field(ge=0, le=1)
    kept: float = Field(ge=0, le=1)


class Change(_Declared):
    """A decision about the design: when, and why."""

    date: date
    reason: str = Field(min_length=20)


class Claim(_Declared):
    """One claim: what the paper and the released runs say, and the comparison that decides it here.

    ``first`` is compared with each of ``rivals`` by ``outcome`` on ``sets`` forget sets of ``task``, and lower is better.
    ``formats``: those asked in; empty: all that were not trained. ``margin`` (nats, or a share) is what
    counts as no difference. Holm's rule runs over all comparisons of a ``family``; descriptive claims have no rule.
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
    first: str = Field(min_length=1)
    rivals: list[str] = Field(min_length=1)
    sets: int = Field(gt=0)
    rule: Literal["sign-flip", "mixed model", "none"]
    margin: float | None = Field(default=None, gt=0)
    family: Family
    changed: list[Change] = []

    @model_validator(mode="after")
    def _has_a_rule(self) -> Claim:
        if (self.family == "descriptive") != (self.rule == "none") or (self.rule == "none") != (self.margin is None):
            raise ValueError("a descriptive claim has neither rule nor margin, every other claim has both")
        if len(set(self.rivals)) < len(self.rivals) or self.first in self.rivals:
            raise ValueError("an arm is named twice")
        return self


class Claims(_Declared):
    """The whole file."""

    gates: Gates
    claim: list[Claim] = Field(min_length=1)

    @model_validator(mode="after")
    def _keys_differ(self) -> Claims:
        keys = [one.key for one in self.claim]
        if len(set(keys)) < len(keys):
            raise ValueError("two claims have one key")
        return self

    def of_task(self, task: str) -> list[Claim]:
        """The claims about one task, in the order of the file."""
        return [one for one in self.claim if one.task == task]


def read_claims(path: Path) -> Claims:
    """Read a claims file; raises :class:`ClaimsError`, which names the first field that is wrong."""
    try:
        return Claims.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ClaimsError(f"{path.name}: {where}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ClaimsError(f"{path.name} cannot be read: {error}") from None


@cache
def declared() -> Claims:
    """The claims file of the book; raises :class:`ClaimsError` outside a checkout, where there is no book."""
    folder = checkout()
    if folder is None:
        raise ClaimsError("the claims are declared in book/claims.toml: run pages in a checkout of the project")
    return read_claims(folder / "book" / "claims.toml")

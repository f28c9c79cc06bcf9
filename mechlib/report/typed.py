"""Tables of the book that are typed once, by hand: a TOML file each, read through a schema."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mechlib.errors import MechlibError
from mechlib.runs.places import checkout


class TypedError(MechlibError, ValueError):
    """A typed table that cannot be read; the message says where and why."""


class Typed(BaseModel):
    """A part of a typed table: no other fields than those declared, of just these types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_Table = TypeVar("_Table", bound=Typed)


def read_typed(path: Path, schema: type[_Table]) -> _Table:
    """Read a file; raises :class:`TypedError`, which names the first field that is wrong."""
    try:
        return schema.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TypedError(f"{path.name}: {where}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TypedError(f"{path.name} cannot be read: {error}") from None


def book_folder() -> Path:
    """Where the book's pages and typed tables are; raises :class:`TypedError` outside a checkout, where there is no book."""
    folder = checkout()
    if folder is None:
        raise TypedError("the book is not here: run pages in a checkout of the project")
    return folder / "book"

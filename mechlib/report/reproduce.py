"""How to make a page again: the exact command, and on what its runs were computed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from mechlib.report import markup
from mechlib.report.folders import written
from mechlib.report.provenance import SHORT
from mechlib.runs.progress import duration


def command(page: str, study: str, model: str, profile: str, changed: Mapping[str, Any]) -> str:
    """``make execute`` with all that is not as usual; a ``study`` of the book is called by its key."""
    words = ["make execute", *([f"STUDY={study}"] if study else []), *([f"PAGES={page[:2]}"] if page else [])]
    words += [f"MODEL={_quoted(model)}"] if model else []
    if not study:
        words += [f"PROFILE={profile}"]
        given = " ".join(f"{name}={written(value)}" for name, value in changed.items())
        words += [f"PARAMS={_quoted(given)}"] if given else []
    return " ".join(words)


def _quoted(text: str) -> str:
    """A value as a shell takes it, in double quotes where these are enough."""
    if re.fullmatch(r"[\w./@=:+-]+", text):
        return text
    return f'"{text}"' if not re.search(r'["$`\\!]', text) else shlex.quote(text)


def reproduce(how: Sequence[Mapping[str, Any]], asked: str, kept: int) -> str:
    """HTML, folded: the command ``asked``, and commit, machine, precision and time from the manifests of the runs; so many are ``kept``."""
    if not how:
        return f"<details><summary>Reproduce this page</summary><code>{markup.text(asked)}</code></details>"
    commits = _each([f"{one['commit'][:SHORT]}{' with changes' if one.get('dirty') else ''}" if one.get("commit") else None for one in how])
    lines = {
        "command": asked, "commit": commits, "machine": _each([one.get("machine") for one in how]),
        "precision": _each([one.get("precision") for one in how]),
        "time": f"{duration(sum(one.get('seconds', 0.0) for one in how))} for {len(how)} runs, one after the other",
        "kept": f"the rows of {kept} of {len(how)} runs are kept with the book: they are read, not computed",
    }  # fmt: skip
    cells = "".join(f"<tr><td>{name}</td><td>{f'<code>{markup.text(value)}</code>' if name == 'command' else markup.text(value)}</td></tr>"
                    for name, value in lines.items())  # fmt: skip
    return f"<details><summary>Reproduce this page</summary><table>{cells}</table></details>"


def _each(values: Sequence[str | None]) -> str:
    return "; ".join(dict.fromkeys("not recorded" if value is None else value for value in values))

"""Execute pages with papermill: aside, and into the book only when they are complete."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mechlib.errors import MechlibError
from mechlib.report.cut import cut, with_reasons, without_reasons
from mechlib.report.parameters import Page, same
from mechlib.report.titles import with_title
from mechlib.runs.impossible import is_reason, why
from mechlib.runs.spec import digest

# Kernels talk through files of this user instead of network ports. They keep nothing that they would have to put away: one that is
# asked to end while it computes complains of its closed channels.
_LOCAL = {"KernelManager": {"transport": "ipc"}, "NotebookClient": {"shutdown_kernel": "immediate"}}
# Seconds that a kernel has for its first answer, on a machine that may be busy. One that died is noticed at once.
_START = 300


class PageError(MechlibError, RuntimeError):
    """A page that could not be executed or written; finished pages are untouched."""


def page_fingerprint(page: Page, values: Mapping[str, Any], run_ids: list[str], impossible: bool = False) -> str:
    """What an executed page depends on: its source, its parameters, its runs and the files of the rooms that draw them.

    One that is ``impossible`` depends on all files of the library: who knows which of them will allow it one day.
    """
    cells = [(cell.cell_type, cell.source) for cell in page.notebook.cells]
    package = Path(__file__).parents[1]
    drawing = sorted(path for room in (("",) if impossible else ("report", "stats")) for path in (package / room).rglob("*.py"))
    read = [page.path.parent / name for name in page.reads]
    files = [path for one in read for path in (sorted(one.rglob("*")) if one.is_dir() else [one]) if path.is_file()]
    return digest(cells, sorted(values.items()), run_ids, *drawing, *files)


def is_current(target: Path, fingerprint: str) -> bool:
    """Whether the executed page at ``target`` was made from just this."""
    return _about(target).get("fingerprint") == fingerprint


def impossible_page(target: Path) -> str | None:
    """Why the executed page at ``target`` ends early, if it does."""
    return _about(target).get("impossible")


def page_changes(target: Path, otherwise: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Mapping[str, Any]:
    """The parameters that are not as usual in the executed page at ``target``; of an older page, what ``otherwise`` makes of all."""
    about = _about(target)
    return about.get("changed", otherwise(about["parameters"]) if isinstance(about.get("parameters"), dict) else {})


def _about(target: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(target.read_text(encoding="utf-8"))["metadata"]["mechlib"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # another file, or a damaged one
        return {}


def page_parameters(path: Path) -> dict[str, Any]:
    """The parameters that a page was executed with; raises :class:`PageError` for a page that does not say."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["metadata"]["mechlib"]["parameters"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise PageError(f"{path} does not say which parameters it was executed with: execute it again") from None


def check_writable(folder: Path) -> None:
    """Raise :class:`PageError` before any work if executed pages could not be kept in ``folder``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PageError(f"{folder} cannot be written ({error.strerror}): make it writable; finished runs and pages are kept") from None


@dataclass(frozen=True)
class Job:
    """A page to execute: with which values (``changed``: those that are not as usual), to where, and where a partial one lies if it fails.

    ``fingerprint``: what it is made from; the other one if it proves ``impossible`` because runs cannot be had (by id, with why).
    ``about``: what its title says after its name.
    """

    page: Page
    values: Mapping[str, Any]
    target: Path
    failed: Path
    fingerprint: str
    otherwise: str
    changed: Mapping[str, Any] = field(default_factory=dict)
    impossible: Mapping[str, str] = field(default_factory=dict)
    about: str = ""


def execute_page(job: Job) -> str | None:
    """Run a page and put it in its place; after an error the partial page lies aside instead. Returns why it ends early, if it does.

    A notebook that papermill has written proves nothing (a killed kernel leaves cells marked as
    completed), so the page is executed in a scratch folder and moved when it came through whole.
    Raises :class:`PageError` with the error's last line.
    """
    # Imported by whoever executes: pages and plans, which are asked what an executed page says of itself, would wait for it.
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellControlSignal, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    page, values, target = job.page, job.values, job.target
    notebook = deepcopy(page.notebook)
    about = {"fingerprint": job.fingerprint, "parameters": dict(values), "changed": dict(job.changed)}
    notebook.metadata["mechlib"] = {**notebook.metadata.get("mechlib", {}), **about}
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with_reasons(notebook, job.impossible)
    with_title(notebook, job.about)
    changed = {name: value for name, value in values.items() if not same(value, page.parameters[name])}
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / target.name
        try:
            logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it would say is in the error
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                papermill.execute_notebook(
                    notebook, str(output), parameters=changed, kernel_name="python3", progress_bar=False,
                    cwd=str(page.path.parent), config=Config(_LOCAL), start_timeout=_START,
                )  # fmt: skip
            reason = None
        except (PapermillExecutionError, DeadKernelError, CellControlSignal) as error:
            reason = why(error.ename, error.evalue) if isinstance(error, PapermillExecutionError) and is_reason(error.ename) else None
            if reason is None:
                job.failed.mkdir(parents=True, exist_ok=True)
                if output.exists():
                    shutil.copy(output, job.failed / target.name)
                raise PageError(f"{page.name}: {_reason(error)} (the page so far: {job.failed / target.name})") from None
        except NoSuchKernel:
            raise PageError(f"{page.name}: Jupyter has no kernel 'python3': install ipykernel (make setup does)") from None
        except RuntimeError as error:  # all that the client raises for a kernel that does not start
            raise PageError(f"{page.name}: {_not_started(error)}; finished runs and pages are kept, the same command goes on") from None
        except OSError as error:
            where = error.filename or scratch
            raise PageError(f"{page.name}: {where}: {error.strerror or error}; finished runs and pages are kept") from None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            normalize(output, target, reason, job.otherwise)
        except OSError as error:
            raise PageError(f"{target} cannot be written ({error.strerror}); finished runs and pages are kept") from None
    return reason


def _reason(error: Exception) -> str:
    if not (name := getattr(error, "ename", "")):
        return "the kernel died or did not answer (out of memory?)"
    lines = f"{name}: {getattr(error, 'evalue', '')}".strip().splitlines()
    return lines[-1].removesuffix(": ").removesuffix(":")


def _not_started(error: RuntimeError) -> str:
    if "respond" in str(error):
        return f"the kernel did not answer within {_START} s (is the machine busy?)"
    if "died" in str(error):
        return "the kernel died before it answered (out of memory?)"
    return f"the kernel did not start ({str(error).splitlines()[0] if str(error) else 'no reason given'})"


def normalize(source: Path, target: Path, reason: str | None = None, otherwise: str = "") -> None:
    """Write an executed notebook without what differs between two runs of the same thing, cut short if there is a ``reason``."""
    import nbformat

    notebook: Any = nbformat.read(source, as_version=4)
    if reason is None:
        without_reasons(notebook)
    else:
        cut(notebook, reason)
        notebook.metadata["mechlib"]["fingerprint"] = otherwise
    text = json.dumps(_stable(notebook), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    aside = target.with_suffix(".partial")
    aside.write_text(text, encoding="utf-8")
    aside.replace(target)


def _stable(notebook: Any) -> Any:
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("language_info", None)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        cell.metadata.pop("lines_to_next_cell", None)
        if cell.cell_type == "code":
            tags = cell.metadata.get("tags", [])
            # The card of the page shows what they come to.
            if {"parameters", "injected-parameters"} & {*tags} and "remove-input" not in tags:
                cell.metadata["tags"] = [*tags, "remove-input"]
            cell.outputs = [output for output in cell.outputs if not _noise(output)]
    # Plotly names each figure's element at random, pandas each styled table.
    names: dict[str, str] = {}
    text = re.sub(r" at 0x[0-9a-f]+", "", json.dumps(notebook))
    for found in re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\bT_[0-9a-f]{5}(?=[_ \\])", text):
        names.setdefault(found, f"{'table' if found.startswith('T_') else 'figure'}-{len(names)}")
    for found, name in names.items():
        text = text.replace(found, name)
    return json.loads(text)


def _noise(output: Any) -> bool:
    return output.output_type == "stream" and output.name == "stderr"

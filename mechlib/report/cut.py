"""A page that this model and these facts do not allow to the end: what there is, and one paragraph in place of the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The cell that tells a page which runs cannot be had; it is in no page that is kept.
TAG = "impossible"
_ERROR = "papermill-error-cell-tag"
_HEADING = re.compile(r"^##+ .*$", re.MULTILINE)
_GLUED = re.compile(r"\{glue:text\}`(\w+)")


def with_reasons(notebook: Any, impossible: Mapping[str, str]) -> None:
    """Tell a page which runs cannot be had, by id, with why: as ``IMPOSSIBLE``, after its parameter cell."""
    if impossible:
        import nbformat  # a page that is not executed here would wait for it

        where = next((n for n, cell in enumerate(notebook.cells) if "parameters" in _tags(cell)), -1) + 1
        cell = nbformat.v4.new_code_cell(f"IMPOSSIBLE = {dict(impossible)!r}", metadata={"tags": [TAG, "remove-cell"]})
        notebook.cells.insert(where, cell)


def without_reasons(notebook: Any) -> None:
    """Take that cell out again, and number what was executed anew."""
    notebook.cells = [cell for cell in notebook.cells if TAG not in _tags(cell) and _ERROR not in _tags(cell)]
    executed = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.execution_count]
    for number, cell in enumerate(executed, start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = number


def cut(notebook: Any, why: str) -> None:
    """End an executed page at the section in which a cell failed, whose text gives way to ``why``.

    If that is the first one, ``why`` stands on top, below the title. Paragraphs that want a number which no cell gave are left out.
    """
    without_reasons(notebook)
    failed = next(n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code" and _failed(cell))
    start = next((n for n in range(failed, -1, -1) if _is_section(notebook.cells[n])), None)
    paragraph = f"**Not possible here.** {_plain(why)}"
    if start is None:
        import nbformat

        kept = notebook.cells[:failed]
        titled = next((cell for cell in kept if cell.cell_type == "markdown"), None)
        if titled is None:
            kept.insert(0, nbformat.v4.new_markdown_cell(paragraph))
        else:
            title, _, rest = titled.source.partition("\n")
            titled.source = f"{title}\n\n{paragraph}\n\n{rest.strip()}".strip()
    else:
        kept = notebook.cells[: start + 1]
        heading = list(_HEADING.finditer(kept[-1].source))[-1]
        kept[-1].source = f"{kept[-1].source[: heading.end()]}\n\n{paragraph}"
    given = {output.metadata.get("scrapbook", {}).get("name") for cell in kept if cell.cell_type == "code" for output in cell.outputs
             if "metadata" in output}  # fmt: skip
    for cell in kept:
        if cell.cell_type == "markdown":
            blocks = cell.source.split("\n\n")
            cell.source = "\n\n".join(block for block in blocks if set(_GLUED.findall(block)) <= given)
    notebook.cells = kept
    notebook.metadata["mechlib"]["impossible"] = why


def _tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def _failed(cell: Any) -> bool:
    return any(output.output_type == "error" for output in cell.outputs)


def _is_section(cell: Any) -> bool:
    return cell.cell_type == "markdown" and bool(_HEADING.search(cell.source))


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_{}\[\]<>$#|~])", r"\\\1", text)

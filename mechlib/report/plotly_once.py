"""Sphinx extension: one local plotly.js for the whole book, loaded only by pages with figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.offline


def setup(app: Any) -> dict[str, bool]:
    """Entry point of the extension."""
    app.connect("html-page-context", _load)
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _load(app: Any, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    if "plotly-graph-div" in context.get("body", ""):
        app.add_js_file("plotly.min.js", priority=100)


def _write(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "_static" / "plotly.min.js").write_text(plotly.offline.get_plotlyjs(), encoding="utf-8")

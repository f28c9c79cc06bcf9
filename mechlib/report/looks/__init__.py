"""Sphinx extension: how the book looks. All that a page loads is local and small; citations are names, and formulas are MathML."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

from mechlib.report.looks import citations, formulas, links, runs
from mechlib.report.looks import icons as icons_of
from mechlib.report.numerals import unbroken

_HERE = Path(__file__).parent
_REPORT = _HERE.parent
# What figures need of plotly.js: the project's own build of traces with two axes, a third of the whole.
PLOTLY = _HERE / "plotly-cartesian.min.js"
# What a browser shows beside a page's title.
ICON = _HERE / "favicon.svg"
# Icons are drawn from fonts; the theme also loads a script that draws all of them. The style names these fonts; asked for ahead, they
# are refused where a page is opened as a file. Nobody's code can be run in the built book, for which the theme loads another script, twice.
_NEEDLESS = re.compile(
    r"\s*<script[^>]*fontawesome[^>]*></script>|\s*<link[^>]*rel=\"preload\"[^>]*as=\"font\"[^>]*/>"
    r"|\s*<script>const THEBE_JS_URL[^<]*</script>|\s*<script[^>]*sphinx-thebe\.js[^>]*></script>"
    r"|\s*<link[^>]*sphinx-thebe\.css[^>]*/>|\s*<script type=\"text/x-thebe-config\">.*?</script>|\s*<script>kernelName = [^<]*</script>",
    re.DOTALL,
)
# What draws cards and tabs, which the book has none of unless a page of a user's does.
_DESIGN = re.compile(r"\s*<link[^>]*sphinx-design[^>]*/>|\s*<script[^>]*design-tabs\.js[^>]*></script>")
_DESIGNED = re.compile(r"class=\"[^\"]*\bsd-")
# A tenth of a page with large tables.
_BETWEEN = re.compile(r"(?<=>)\s+(?=</?(?:thead|tbody|tr|th|td)\b)")
# Cells of tables whose text is longer than so many characters get room: their column would be as narrow as their longest word.
_CELL = re.compile(r"<td\b([^>]*)>((?:(?!</td>).)*)</td>", re.DOTALL)
_LONG, _LONGER = 40, 300
# Lines of a cell that are no longer than this are kept whole, and so is an interval.
_LINE = 60
_INTERVAL = re.compile(r"\[(-?[\d.]+), (-?[\d.]+)\](?![^<]*>)")
# The module that draws a figure, as figures name it, and as a built page does.
_CODE, _LINKED = re.compile(r'href="code:mechlib\.report\.([\w.]+)"'), re.compile(r'href="[^"]*_static/code/([\w.]+)\.txt"')


def setup(app: Any) -> dict[str, bool]:
    """Entry point of the extension."""
    citations.setup(app)
    formulas.setup(app)
    app.connect("html-page-context", _page)
    app.connect("build-finished", _finish)
    app.add_css_file("book.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def lighter(html: str) -> str:
    """A page without scripts, styles and fonts that it has no use for, and without the space between the parts of its tables."""
    return _BETWEEN.sub("", _NEEDLESS.sub("", html if _DESIGNED.search(html) else _DESIGN.sub("", html)))


def roomy(html: str) -> str:
    """A page whose tables' cells of long text say so (``data-long``), for the style to give them room; no interval in a cell is broken."""

    def marked(found: re.Match[str]) -> str:
        long = _long(re.sub(r"<[^>]*>", "", found[2]).strip())
        inside = _INTERVAL.sub(r'<span class="mech-whole">\g<0></span>', found[2])
        return f"<td{found[1]}>{inside}</td>" if long is None else f'<td data-long="{long}"{found[1]}>{inside}</td>'

    return _CELL.sub(marked, html)


def linked(html: str, address: Callable[[str], str]) -> str:
    """A page whose figures name the file with the code that draws them; ``address``: where a path from the book's root is from it."""
    return _CODE.sub(lambda found: f'href="{address(f"_static/code/{found[1]}.txt")}"', html)


def _long(text: str) -> str | None:
    """Whether a cell's text is long, very long, or made of short lines; ``None`` for none of these."""
    if "\n" in text and max(map(len, text.splitlines())) <= _LINE:
        return "lines"
    return None if len(text) <= _LONG else "very" if len(text) > _LONGER else ""


def _page(app: Any, page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    body = context.get("body", "")
    if "page:" in body:
        body = context["body"] = links.resolved(body, page, app.env.found_docs, context["pathto"])
    if "runs:" in body:
        body = context["body"] = runs.linked(body, _kept(app), lambda path: context["pathto"](path, 1))
    if "mech-figure" in body:
        app.add_js_file("plotly.min.js", loading_method="defer", priority=100)
        context["body"] = linked(body, lambda path: context["pathto"](path, 1))
    app.add_js_file("book.js", loading_method="defer", priority=900)
    context["favicon_url"] = context["pathto"](f"_static/{ICON.name}", 1)


def _kept(app: Any) -> Path:
    """The rows that are kept with the book, in a folder for each stage."""
    return Path(app.srcdir) / "book" / "results" / "rows"


def _finish(app: Any, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    from sphinx.util.logging import getLogger  # others read this file, too, and do without Sphinx

    out = Path(app.outdir)
    static, icons = out / "_static", out / "_static" / "vendor" / "fontawesome"
    for file, name in ((PLOTLY, "plotly.min.js"), *((_HERE / own, own) for own in ("book.js", "book.css", ICON.name))):
        (static / name).write_bytes(file.read_bytes())
    (static / "code").mkdir(exist_ok=True)
    for folder in icons.glob("*/js"):
        rmtree(folder)
    for font in {*icons.glob("*/webfonts/*.ttf"), *icons.glob("*/webfonts/fa-v4*")}:
        font.unlink()
    sources = {Path(app.builder.get_outfilename(page)) for page in app.env.found_docs}
    drawn_by, behind = dict[str, Path](), set[str]()
    drawn = {name for script in static.rglob("*.js") for name in icons_of.names(script.read_text(encoding="utf-8"))}
    for page in out.rglob("*.html"):
        if page not in sources and (out / "book") in page.parents:
            # Of an earlier build, from a page that the book has no more.
            page.unlink()
            continue
        html = page.read_text(encoding="utf-8")
        drawn_by |= dict.fromkeys(_LINKED.findall(html), page)
        behind |= runs.stages(html)
        drawn |= icons_of.names(html)
        page.write_text(unbroken(roomy(lighter(html))), encoding="utf-8")
    for style in icons.glob("*/css/*.css"):
        style.write_text(icons_of.subset(style.read_text(encoding="utf-8"), drawn), encoding="utf-8")
    runs.write(_kept(app), behind, static / "runs")
    for module, page in drawn_by.items():
        code = _REPORT / f"{module.replace('.', '/')}.py"
        if code.exists():
            (static / "code" / f"{module}.txt").write_bytes(code.read_bytes())
        else:
            told = "%s names the code of a figure that is no more (mechlib.report.%s): execute the page again"
            getLogger(__name__).warning(told, page.stem, module)

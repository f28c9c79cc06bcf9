"""Still pictures of a built book's figures, for paper and for browsers without scripts. Chromium draws each of them once."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from mechlib.report.chromium import BrowserError, chromium, program
from mechlib.report.looks import PLOTLY
from mechlib.runs.spec import digest

# Pixels, about as wide as a page's text; a still is scaled to the room that it has.
WIDTH = 720
# A figure as mechlib/report/figures/framed.py writes it: its alternative text, its height, and what the page's script draws.
FIGURE = re.compile(
    r'<div class="mech-plot" role="img" aria-label="(?P<words>[^"]*)">'
    r'<div class="plotly-graph-div" style="height:(?P<height>\d+)[.\d]*px"></div>'
    r'<script type="application/json">(?P<source>[^<]*)</script></div>'
)
_OPEN, _FOLDED = '<details class="mech-data" open>', '<details class="mech-data">'
# On white, in dark grey: a page on paper, or one without scripts, is light. What is drawn is data, and is never run.
_DRAW = """(async (source, width) => {
    const {data, layout} = JSON.parse(source), font = {...layout.font, color: "#333333"};
    const shown = {...layout, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", font, autosize: false};
    return await Plotly.toImage({data, layout: shown}, {format: "svg", width, height: layout.height || 450});
})"""

# Draws a figure (its source, as a page holds it) that many pixels wide.
Pen = Callable[[str, int], str]


@contextmanager
def pen() -> Generator[Pen]:
    """What draws a figure as SVG for as long as the block lasts; raises :class:`BrowserError` where Chromium is not there or does not."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        paper = Path(folder) / "paper.html"
        paper.write_text(f'<meta charset="utf-8"><script src="{PLOTLY.as_uri()}"></script>', encoding="utf-8")
        tab = browser.tab(WIDTH)
        tab.open(paper.as_uri())

        def draw(source: str, width: int) -> str:
            return unquote(str(tab.ask(f"{_DRAW}({json.dumps(source)}, {width})")).partition(",")[2])

        yield draw


def add_stills(html: Path, cache: Path) -> str:
    """Put a still picture beside every figure of a built book; returns in words why there is none, or "".

    ``cache``: the folder in which those of this book are kept from one build to the next, named by what was drawn.
    """
    pages = {page: page.read_text(encoding="utf-8") for page in sorted(html.rglob("*.html"))}
    drawn = digest(PLOTLY, _DRAW, WIDTH)
    wanted = {f"{digest(drawn, found['source'])}.svg": found["source"] for text in pages.values() for found in FIGURE.finditer(text)}
    cache.mkdir(parents=True, exist_ok=True)
    try:
        _draw({name: source for name, source in wanted.items() if not (cache / name).is_file()}, cache)
    except BrowserError as error:
        return f"without a script, figures of the book are tables: {error}"
    for old in {*cache.iterdir()} - {cache / name for name in wanted}:
        old.unlink()
    folder = html / "_static" / "stills"
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        (folder / name).write_bytes((cache / name).read_bytes())
    for page, text in pages.items():
        if FIGURE.search(text):
            near = Path(os.path.relpath(folder, page.parent)).as_posix()
            beside = FIGURE.sub(lambda found, near=near: _beside(found, f"{near}/{digest(drawn, found['source'])}.svg"), text)
            page.write_text(beside.replace(_OPEN, _FOLDED), encoding="utf-8")
    return ""


def _draw(missing: Mapping[str, str], cache: Path) -> None:
    if not missing:
        return
    if program() is None:
        raise BrowserError("no Chromium is on the path (apt-get install chromium), which would draw them")
    with pen() as draw:
        for name, source in missing.items():
            aside = cache / f"{name}.partial"
            aside.write_text(draw(source, WIDTH), encoding="utf-8")
            aside.replace(cache / name)


def _beside(found: re.Match[str], address: str) -> str:
    size = f'width="{WIDTH}" height="{found["height"]}"'
    return f'{found[0]}<img class="mech-still" src="{address}" alt="{found["words"]}" {size} loading="lazy">'

"""Still pictures of a built book's figures, for paper, phones and browsers without scripts. Chromium draws each of them once."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from mechlib.report.chromium import BrowserError, chromium, program
from mechlib.report.looks import PLOTLY
from mechlib.runs.spec import digest

# Pixels, about as wide as a page's text and as a phone; a still is scaled to the room that it has.
WIDE, NARROW = 720, 360
# A figure as mechlib/report/figures/framed.py writes it: its alternative text, its height, and what the page's script draws.
FIGURE = re.compile(
    r'<div class="mech-plot" role="img" aria-label="(?P<words>[^"]*)">'
    r'<div class="plotly-graph-div" style="height:(?P<height>\d+)[.\d]*px"></div>'
    r'<script type="application/json">(?P<source>[^<]*)</script></div>'
)
_OPEN, _FOLDED = '<details class="mech-data" open>', '<details class="mech-data">'
# On white, in dark grey: a page on paper, or one without scripts, is light. What is drawn is data, and is never run.
_DRAW = """(async (source, width, small) => {
    const {data, layout, narrow} = JSON.parse(source), font = {...layout.font, color: "#333333"};
    const size = {width, height: (small && narrow?.height) || layout.height || 450, autosize: false};
    const plot = document.body.appendChild(document.createElement("div"));
    await Plotly.newPlot(plot, data, {...layout, ...size, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", font}, {staticPlot: true});
    if (small) await Plotly.relayout(plot, {...narrow, ...size});
    const drawn = await Plotly.toImage(plot, {format: "svg", width, height: size.height});
    Plotly.purge(plot);
    plot.remove();
    return drawn;
})"""


class Pen(Protocol):
    """Draws a figure (its source, as a page holds it) that many pixels wide, laid out for a phone if it is to be ``small``."""

    def __call__(self, source: str, width: int, small: bool = False) -> str: ...


@contextmanager
def pen() -> Generator[Pen]:
    """What draws a figure as SVG for as long as the block lasts; raises :class:`BrowserError` where Chromium is not there or does not."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        paper = Path(folder) / "paper.html"
        paper.write_text(f'<meta charset="utf-8"><script src="{PLOTLY.as_uri()}"></script><body>', encoding="utf-8")
        tab = browser.tab(WIDE)
        tab.open(paper.as_uri())

        def draw(source: str, width: int, small: bool = False) -> str:
            return unquote(str(tab.ask(f"{_DRAW}({json.dumps(source)}, {width}, {json.dumps(small)})")).partition(",")[2])

        yield draw


@dataclass(frozen=True)
class Still:
    """A still picture: the figure's source, whether it is the one for phones, and its file."""

    source: str
    small: bool

    @property
    def name(self) -> str:
        """The file, named by what is drawn."""
        return f"{digest(PLOTLY, _DRAW, NARROW if self.small else WIDE, self.source)}.svg"


def add_stills(html: Path, cache: Path) -> str:
    """Put still pictures beside every figure of a built book, one as wide as its text and one for phones.

    Returns in words why there is none, or "". ``cache``: the folder in which those of this book are kept from one build to the next.
    """
    pages = {page: page.read_text(encoding="utf-8") for page in sorted(html.rglob("*.html"))}
    sources = dict.fromkeys(found["source"] for text in pages.values() for found in FIGURE.finditer(text))
    wanted = {still.name: still for source in sources for still in (Still(source, False), Still(source, True))}
    cache.mkdir(parents=True, exist_ok=True)
    try:
        _draw({name: still for name, still in wanted.items() if not (cache / name).is_file()}, cache)
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
            beside = FIGURE.sub(lambda found, near=near: _beside(found, near), text)
            page.write_text(beside.replace(_OPEN, _FOLDED), encoding="utf-8")
    return ""


def _draw(missing: Mapping[str, Still], cache: Path) -> None:
    if not missing:
        return
    if program() is None:
        raise BrowserError("no Chromium is on the path (apt-get install chromium), which would draw them")
    with pen() as draw:
        for name, still in missing.items():
            aside = cache / f"{name}.partial"
            aside.write_text(draw(still.source, NARROW if still.small else WIDE, still.small), encoding="utf-8")
            aside.replace(cache / name)


def _beside(found: re.Match[str], near: str) -> str:
    """A figure with its pictures: a browser takes the one that fits, and paper the wide one."""
    wide, narrow = (f"{near}/{Still(found['source'], small).name}" for small in (False, True))
    size = f'width="{WIDE}" height="{found["height"]}"'
    return (f'{found[0]}<picture><source media="screen and (max-width: 500px)" srcset="{narrow}">'
            f'<img class="mech-still" src="{wide}" alt="{found["words"]}" {size} loading="lazy"></picture>')  # fmt: skip

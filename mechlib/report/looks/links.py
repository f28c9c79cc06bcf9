"""Links from page to page: a page names another one, and the build knows where it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import PurePosixPath

_NAMED = re.compile(r'<a href="page:([\w-]+)(?:/([\w-]+))?">(.*?)</a>', re.DOTALL)
# The folder of the pages that every model has.
_USUAL = "quick"


def resolved(html: str, page: str, pages: Collection[str], address: Callable[[str], str]) -> str:
    """A page whose links to other pages lead there; one to a page that was not executed is its words alone.

    ``page`` and ``pages``: paths without endings, as ``book/results/<model>/<folder>/<name>``; a link names a page, or a folder and a
    page. Without a folder it leads to the page beside this one, else to the usual one of the same model, else to the first. ``address``:
    where a path is from this page.
    """
    here = PurePosixPath(page).parent

    def link(found: re.Match[str]) -> str:
        folder, name = (found[1], found[2]) if found[2] else ("", found[1])
        own = [f"{here.parent}/{folder}/{name}"] if folder else [f"{here}/{name}", f"{here.parent}/{_USUAL}/{name}"]
        others = [] if folder else sorted(one for one in pages if PurePosixPath(one).match(f"{here.parent}/*/{name}"))
        there = next((one for one in (*own, *others) if one in pages), None)
        return f'<a href="{address(there)}">{found[3]}</a>' if there else found[3]

    return _NAMED.sub(link, html)

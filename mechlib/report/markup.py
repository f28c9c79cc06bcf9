"""Text from models, facts and files never becomes markup: what a reader's browser gets is escaped here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

# What labels of figures use themselves: lines, weight and indices, without attributes; plotly draws others, such as links, too.
_OWN = re.compile(r"&lt;(/?(?:br|b|i|sub|sup|extra))&gt;")


def text(value: object) -> str:
    """A value as HTML that shows just its text."""
    return escape(str(value))


def page_link(name: str, words: str) -> str:
    """A link to a page by its name, or by its folder and name; where it leads is decided when the book is built."""
    return f'<a href="page:{text(name)}">{text(words)}</a>'


def figure(value: Any) -> Any:
    """A figure's dictionary with every text in it escaped, but for the plain tags that labels are made with."""
    if isinstance(value, Mapping):
        return {name: figure(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [figure(each) for each in value]
    return _OWN.sub(r"<\1>", value.replace("<", "&lt;").replace(">", "&gt;")) if isinstance(value, str) else value

"""The icon font's style without the rules of icons that nothing in the book draws."""

from __future__ import annotations

import re
from collections.abc import Collection

_RULE = re.compile(r'((?:\.fa-[\w-]+::?before,?)+)\{content:"[^"]*"\}')
_NAME = re.compile(r"\bfa-[\w-]+")


def names(text: str) -> set[str]:
    """The icons that a page or a script names."""
    return {*_NAME.findall(text)}


def subset(style: str, drawn: Collection[str]) -> str:
    """The style with the rules of the icons that are ``drawn``, and all others that are about no single icon."""
    return _RULE.sub(lambda found: found[0] if names(found[1]) & {*drawn} else "", style)

"""Verdicts are drawn in one file, and no page says a rule of its own."""

import ast
import re

import pytest
from small_book import ROOT

# What shows the verdicts that are drawn there: the front page, cards, the map of the paper.
SHOW = {"forest", "front", "front_text", "models_compared", "standing", "card", "paper", "planted"}
FILES = [*(ROOT / "mechlib" / "report").rglob("*.py"), *(ROOT / "book").glob("*.py")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_verdict_is_drawn_outside_the_claims(path):
    """Nobody else reads a comparison's verdict or makes a family; a page says no rule of its own."""
    text = path.read_text()
    if path.name != "verdicts.py":
        tree = list(ast.walk(ast.parse(text)))
        # A page has the figure of its verdicts drawn, and reads none by that.
        calls = [node.func for node in tree if isinstance(node, ast.Call)] if path.parent.name == "book" else []
        drawn = {id(one) for one in calls if ast.unparse(one) == "page.verdict"}
        read = [node for node in tree if isinstance(node, ast.Attribute | ast.Name) and id(node) not in drawn]
        used = {node.attr if isinstance(node, ast.Attribute) else node.id for node in read}
        shown = {"verdict"} if path.stem in SHOW else {"adjusted"} if path.stem == "differences" else set()
        assert not used & {"verdict", "holm_adjusted", "adjusted"} - shown
    if path.parent.name == "book":
        assert not re.search(r"\bsupported if\b", text, re.IGNORECASE)

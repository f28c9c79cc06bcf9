"""The code version of a stage: a hash of the modules it reaches, blind to comments and docstrings."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@cache
def code_version(*modules: str) -> str:
    """Hash over every ``mechlib`` module that the given ones import, directly or not."""
    pending, reached = list(modules), dict[str, str]()
    while pending:
        name = pending.pop()
        path = _source(name)
        if name in reached or path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        pending += _imports(tree)
        reached[name] = ast.dump(_without_docstrings(tree))
    joined = "\n".join(f"{name} {code}" for name, code in sorted(reached.items()))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _source(name: str) -> Path | None:
    stem = PACKAGE.parent.joinpath(*name.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.AST) -> list[str]:
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if name.split(".")[0] == PACKAGE.name]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:]
    return tree

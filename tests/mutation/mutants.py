"""Mutants of a source file: the same program with one small fault, of the kinds that people make.

Comparisons are turned and moved by their boundary; arithmetic, ``and``/``or``, ``min``/``max`` and
``any``/``all`` are swapped; conditions are negated; numbers grow and shrink, booleans flip; bounds
of slices, keywords and statements are dropped; a function returns ``None``.

Left alone are texts, annotations, the types that a type checker reads, and the keywords of ``CAUTION``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMED = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Keywords that matter only on other machines (encoding), once something else is wrong (strict), or that a test of the house asks for.
CAUTION = {"encoding", "strict", "frozen"}
# Fields that hold no behaviour, and calls whose arguments are for the type checker.
TYPES = {"annotation", "returns", "type_params"}
FOR_THE_CHECKER = {"cast", "overload"}


@dataclass(frozen=True)
class Mutant:
    """``change`` says which statement became which; ``source`` is the whole file.

    ``in_function``: the fault lies in the body of a function, and not in what is computed at import.
    """

    line: int
    change: str
    source: str
    in_function: bool


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a file, from its top to its end."""
    tree = ast.parse(source)
    before = ast.unparse(tree)
    bodies = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for part in function.body
              for node in ast.walk(part)}  # fmt: skip
    for holder, key, node in list(_places(tree)):
        for variant in _variants(node):
            holder[key] = variant
            after = ast.unparse(ast.fix_missing_locations(tree))
            if after != before:
                yield Mutant(node.lineno, _change(before, after), after, id(node) in bodies)
        holder[key] = node


def _change(before: str, after: str) -> str:
    """The first statement that differs, before and after."""
    for old, new in zip(before.splitlines(), after.splitlines(), strict=False):
        if old != new:
            return f"{old.strip()}  =>  {new.strip()}"
    raise AssertionError("nothing changed")


def _places(node: ast.AST) -> Iterator[tuple[Any, Any, Any]]:
    """Everything that may be mutated, as a holder, the key to it there, and the node itself."""
    for name, value in ast.iter_fields(node):
        if name in TYPES or _is_typing(node) or (isinstance(node, ast.keyword) and node.arg in CAUTION):
            continue
        held = [(value, place, one) for place, one in enumerate(value)] if isinstance(value, list) else [(vars(node), name, value)]
        for holder, key, child in held:
            if isinstance(child, ast.AST) and not _is_text(child):
                if hasattr(child, "lineno"):
                    yield holder, key, child
                yield from _places(child)


def _is_text(node: ast.AST) -> bool:
    """Docstrings, texts in which values stand, and what a type is called."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _is_typing(node: ast.AST) -> bool:
    """Overloads, and assignments and subscripts of types."""
    if isinstance(node, ast.FunctionDef):
        return any(isinstance(one, ast.Name) and one.id in FOR_THE_CHECKER for one in node.decorator_list)
    target = node.value if isinstance(node, ast.Subscript) else node
    return isinstance(target, ast.Name) and target.id in {"Literal", "Mapping", "Callable", "dict", "list", "tuple"} and target is not node


def _variants(node: Any) -> Iterator[ast.AST]:
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                for other in COMPARED[type(operator)]:
                    yield _with(node, ops=[*node.ops[:place], other(), *node.ops[place + 1 :]])
        case ast.BinOp() | ast.AugAssign():
            if type(node.op) in COMPUTED:
                yield _with(node, op=COMPUTED[type(node.op)]())
        case ast.BoolOp():
            yield _with(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
        case ast.UnaryOp():
            yield node.operand
        case ast.Name() if node.id in NAMED:
            yield _with(node, id=NAMED[node.id])
        case ast.Constant():
            yield from (ast.Constant(value) for value in _other_values(node.value))
        case ast.Call():
            for place, keyword in enumerate(node.keywords):
                if keyword.arg not in CAUTION:
                    yield _with(node, keywords=node.keywords[:place] + node.keywords[place + 1 :])
        case ast.Slice():
            yield from (_with(node, **{part: None}) for part in ("lower", "upper", "step") if getattr(node, part))
        case ast.Return() if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield _with(node, value=ast.Constant(None))
        case ast.Expr():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
    yield from _negated(node)


def _negated(node: Any) -> Iterator[ast.AST]:
    """Conditions the other way round; a comparison has its own mutants."""
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        for place, part in enumerate(node.generators):
            if part.ifs:
                yield _with(node, generators=[*node.generators[:place], _with(part, ifs=[]), *node.generators[place + 1 :]])


def _other_values(value: object) -> tuple[bool | int | float, ...]:
    match value:
        case bool():
            return (not value,)
        case int():
            return value + 1, value - 1
        case float():
            return (value * 2, value / 2) if value else (1.0,)
    return ()


def _with(node: Any, **fields: object) -> Any:
    changed = copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed

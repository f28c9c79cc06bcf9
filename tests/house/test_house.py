"""The house rules: lower floors import nothing from higher ones, files are short, and nothing is printed."""

import ast
from pathlib import Path

import pytest

import mechlib

PACKAGE, ROOT = Path(mechlib.__file__).parent, Path(__file__).parents[2]
FLOORS = {
    "errors": 0, "checks": 0, "folders": 0, "components": 1, "facts": 1, "models": 2, "patching": 3, "localize": 4, "edit": 4,
    "evals": 5, "stats": 5, "attacks": 6, "runs": 7, "report": 8, "__main__": 9, "__init__": 0,
    "__version__": 0,
}  # fmt: skip
FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module):
    """``mechlib.runs.store`` or ``runs/store.py``: the room is ``runs``."""
    return module.removeprefix("mechlib.").removesuffix(".py").replace("/", ".").split(".")[0]


def imported(path):
    """Every module of the library that a file names in an import, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("mechlib.")}


def test_the_reader_of_imports_sees_them():
    assert {room(name) for name in imported(FILES["runs/specs/asking.py"])} >= {"attacks", "edit", "facts", "runs"}
    assert "mechlib.report.execute.execute" in imported(FILES["__main__.py"])


def test_every_room_has_a_floor():
    assert {room(name) for name in FILES} <= set(FLOORS)


@pytest.mark.parametrize("name", FILES)
def test_a_floor_imports_nothing_from_a_higher_one(name):
    floor = FLOORS[room(name)]
    assert [other for other in sorted(imported(FILES[name])) if FLOORS[room(other)] > floor] == []


@pytest.mark.parametrize("name", FILES)
def test_a_module_is_short_and_prints_nothing(name):
    text = FILES[name].read_text()
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert len(text.splitlines()) <= 300
    assert [call.lineno for call in calls if isinstance(call, ast.Name) and call.id == "print"] == []


def test_every_other_file_of_code_is_short_too():
    """Tests, pages, scripts and styles; what others built is none of ours."""
    own = [path for folder in ("book", "mechlib", "tests") for kind in ("py", "js", "css") for path in (ROOT / folder).rglob(f"*.{kind}")]
    long = {str(path): lines for path in own if not path.name.endswith(".min.js") and (lines := len(path.read_text().splitlines())) > 300}
    assert len(own) > len(FILES) + 100 and long == {}

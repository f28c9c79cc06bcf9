"""A stage's code version: it changes with the code that the stage reaches, and with nothing else."""

import ast
import shutil
from functools import cache

import pytest
from mechlib.runs.versions import code_version

from mechlib.runs import versions
from mechlib.runs.stages import STAGES

LOW = '''"""Low."""
import os


class Low:
    """A class."""

    def low(self):
        """Do."""
        return "text"  # a comment


class LowError(Exception):
    """Too low."""
'''


@pytest.fixture
def mini(tmp_path, monkeypatch):
    """Writes the modules of a small package that takes the library's place; gives the version of ``mini.high``."""
    folder = tmp_path / "mini"
    monkeypatch.setattr(versions, "PACKAGE", folder)

    def version(**files):
        for name, text in {"__init__": "", "low": LOW, "apart": "x = 1", "high": "from mini.low import Low", **files}.items():
            path = folder / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        code_version.cache_clear()
        return code_version("mini.high")

    yield version
    code_version.cache_clear()


@pytest.mark.parametrize("statement", [
    "from mini.low import Low",
    "from mini import low",
    "import mini.low",
    "import mini.low as other",
    "def late():\n    from mini.low import Low\n    return Low",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mini.low import Low",
    "from mini.between import x",
    "from mini.sub import x",
])  # fmt: skip
def test_a_change_in_a_reached_module_is_seen(mini, statement):
    others = {"high": statement, "between": "from mini import low\nx = low", "sub__in____init__": "from mini.low import Low as x"}
    before = mini(**others)
    assert mini(**others) == before
    assert mini(**others, low=LOW.replace("text", "other")) != before


@pytest.mark.parametrize("change", [
    lambda text: text.replace("a comment", "another"),
    lambda text: text.replace("  # a comment", ""),
    lambda text: text.replace('"""Low."""', '"""Lower."""'),
    lambda text: text.replace('"""A class."""', '"""Some class."""'),
    lambda text: text.replace('"""Do."""', '"""Do it,\n\n        in two lines."""'),
    lambda text: text.replace('        """Do."""\n', ""),
    lambda text: text.replace('"""Too low."""', '"""Much too low."""'),
    lambda text: text.replace("\n\n\n", "\n"),
    lambda text: text.replace('"text"', "'text'"),
])  # fmt: skip
def test_comments_docstrings_and_layout_count_for_nothing(mini, change):
    assert change(LOW) != LOW
    assert mini(low=change(LOW)) == mini()


@pytest.mark.parametrize("change", [
    lambda text: text.replace('"text"', '"other text"'),
    lambda text: text.replace("return", "yield"),
    lambda text: text.replace("def low", "def lower"),
    lambda text: text + "\nLow.limit = 3\n",
])  # fmt: skip
def test_all_other_code_counts(mini, change):
    assert mini(low=change(LOW)) != mini()


def test_a_module_that_is_not_reached_counts_for_nothing(mini):
    assert mini(apart="x = 2") == mini()


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """Gives the stages whose version changes when a line of code is added to modules of a copy of the library."""
    folder = tmp_path_factory.mktemp("copy") / "mechlib"
    shutil.copytree(versions.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def all_versions():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(versions, "PACKAGE", folder)
            code_version.cache_clear()
            found = {name: code_version(stage.module) for name, stage in STAGES.items()}
            code_version.cache_clear()
        return found

    before = all_versions()

    @cache
    def stages(*modules):
        texts = {folder / module: (folder / module).read_text() for module in modules}
        for path, text in texts.items():
            path.write_text(text + "\n_ADDED_BY_A_TEST = 1\n")
        after = all_versions()
        for path, text in texts.items():
            path.write_text(text)
        return {name for name in STAGES if before[name] != after[name]}

    assert stages() == set()
    return stages


def test_no_stage_depends_on_the_report(changed):
    modules = [path.relative_to(versions.PACKAGE).as_posix() for path in (versions.PACKAGE / "report").rglob("*.py")]
    assert {"report/tables.py", "report/agreement.py", "report/figures/style.py"} <= set(modules)
    assert changed(*modules) == set()


def test_no_stage_depends_on_who_asks_for_it(changed):
    modules = ("runner", "study", "parameters", "needs", "plan", "memory", "attacks", "profiles", "progress", "tasks")
    assert changed(*(f"runs/{module}.py" for module in modules), "__main__.py") == set()


@pytest.mark.parametrize(("module", "must"), [
    ("components.py", {"trace", "localize", "edit", "ask", "damage"}),
    ("models/forward.py", {"know", "probe", "trace", "edit", "ask", "damage"}),
    ("facts/prompts.py", {"know", "probe", "trace", "edit", "ask"}),
    ("facts/fact.py", {"know", "probe", "trace", "edit", "ask"}),
    ("facts/relations.py", {"know", "probe", "trace", "paths", "circuits", "edit", "ask"}),
    ("models/tokens.py", {"know", "probe", "trace", "paths", "circuits", "edit", "ask"}),
    ("models/hooks.py", {"trace", "paths", "circuits"}),
    ("models/precision.py", {"trace", "paths", "circuits", "edit"}),
    ("patching/pairs.py", {"trace", "paths", "circuits"}),
    ("patching/sweep.py", {"trace", "paths", "circuits"}),
    ("patching/relevance.py", {"trace"}),
    ("patching/weights.py", {"trace"}),
    ("patching/path.py", {"paths"}),
    ("patching/faithfulness.py", {"circuits"}),
    ("localize/path_lookup.py", {"paths", "localize"}),
    ("localize/registry.py", {"localize"}),
    ("patching/activation.py", {"trace"}),
    ("patching/probing.py", {"probe"}),
    ("localize/fact_lookup.py", {"localize"}),
    ("facts/whole_answers.py", {"know", "probe", "trace", "paths", "circuits", "trial", "mask", "zero", "edit", "ask"}),
    ("edit/train.py", {"edit", "trial"}),
    ("edit/batches.py", {"edit", "trial"}),
    ("edit/weight_masking.py", {"mask"}),
    ("evals/mechanisms.py", {"zero"}),
    ("edit/delta.py", {"edit", "ask", "damage"}),
    ("edit/general_text.py", {"text", "damage"}),
    ("evals/answers.py", {"know", "ask"}),
    ("evals/damage.py", {"damage", "trial"}),
])  # fmt: skip
def test_a_stage_depends_on_what_it_computes_with(changed, module, must):
    assert must - changed(module) == set()


@pytest.mark.parametrize(("module", "untouched"), [
    ("evals/damage.py", {"edit", "know", "text", "probe", "trace", "localize", "ask"}),
    ("edit/train.py", {"know", "text", "probe", "trace", "paths", "circuits", "localize", "tune"}),
    ("edit/weight_masking.py", {"know", "text", "probe", "trace", "paths", "circuits", "localize", "trial", "edit", "ask", "damage"}),
    ("patching/activation.py", {"know", "text", "probe", "paths", "circuits", "edit", "ask", "damage"}),
    ("patching/path.py", {"know", "text", "probe", "trace", "circuits", "localize", "edit", "ask", "damage"}),
    ("patching/faithfulness.py", {"know", "text", "probe", "trace", "paths", "localize", "edit", "ask", "damage"}),
    ("localize/registry.py", {"know", "text", "probe", "trace", "paths", "circuits"}),
    ("runs/stages/damage.py", {"edit", "know", "text", "probe", "trace", "localize", "ask"}),
])  # fmt: skip
def test_a_stage_does_not_depend_on_its_neighbours(changed, module, untouched):
    assert changed(module) & untouched == set()


def hidden_imports(tree):
    """Relative imports, and every use of a dynamic one but the import of another library by a name that is written out."""
    plain = {
        call.func for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.args[0] if call.args else None, ast.Constant)
        and str(call.args[0].value).split(".")[0] not in ("", "mechlib")
    }  # fmt: skip
    for node in ast.walk(tree):
        name = getattr(node, "id", None) or getattr(node, "attr", None)
        if isinstance(node, ast.ImportFrom) and node.level or name in ("__import__", "import_module") and node not in plain:
            yield node


@pytest.mark.parametrize(("text", "count"), [
    ("from . import low", 1), ("from ..models import x", 1), ("import_module('mechlib.models')", 1), ("import_module('.models', 'x')", 1),
    ("__import__(name)", 1), ("load = importlib.import_module", 1), ("importlib.import_module('lm_eval.models')", 0),
])  # fmt: skip
def test_hidden_imports_are_found(text, count):
    assert len(list(hidden_imports(ast.parse(text)))) == count


def test_the_library_has_no_imports_that_versions_cannot_see():
    trees = {path: ast.parse(path.read_text()) for path in versions.PACKAGE.rglob("*.py")}
    assert {path: found for path, tree in trees.items() if (found := list(hidden_imports(tree)))} == {}

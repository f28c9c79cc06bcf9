"""An error that a user can mend: one line, of one kind, in notebooks too."""

import importlib
import inspect
import pkgutil

import pytest
from IPython.core.interactiveshell import InteractiveShell

import mechlib
from mechlib.checks import ParameterError
from mechlib.errors import MechlibError, meant, one_line, shown


def public_errors():
    names = [found.name for found in pkgutil.walk_packages(mechlib.__path__, "mechlib.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    return {one for module in modules for _, one in inspect.getmembers(module, inspect.isclass)
            if issubclass(one, Exception) and one.__module__.startswith("mechlib.")}  # fmt: skip


def test_every_error_of_the_library_is_one_that_a_user_can_mend():
    found = public_errors()
    assert len(found) > 10
    assert {one for one in found if not issubclass(one, MechlibError)} == set()


@pytest.mark.parametrize(("text", "line"), [
    ("a\nb\tc\x1b[31m", "a\\nb\\tc\\x1b[31m"), ("a\udc80", "a\\udc80"), ("a\u2028b", "a\\u2028b"), ("Müller, 5 €", "Müller, 5 €"),
])  # fmt: skip
def test_what_would_break_the_line_is_escaped(text, line):
    assert one_line(text) == str(ParameterError(text)) == line


def test_a_very_long_line_is_cut_in_the_middle():
    line = one_line("begin" + "x" * 100_000 + "end")
    assert len(line) < 2000
    assert line.startswith("begin")
    assert line.endswith("end")


def test_a_value_that_python_cannot_write_is_shown_by_its_kind():
    assert shown(10**5000) == "<int>"
    assert shown({"a": 1}) == "{'a': 1}"


@pytest.mark.parametrize(("value", "said"), [("quik", " (did you mean quick?)"), ("FULL", " (did you mean full?)"), ("zzz", ""), (3, "")])
def test_what_was_meant(value, said):
    assert meant(value, ["quick", "full"]) == said


def test_a_notebook_shows_one_line(capsys):
    shell = InteractiveShell.instance()
    try:
        shell.run_cell("from mechlib.runs.study import Study\nStudy(steps=-1)")
        said = capsys.readouterr().out
    finally:
        InteractiveShell.clear_instance()
    assert said.strip() == "ParameterError: STEPS=-1: give a whole number of at least 1"

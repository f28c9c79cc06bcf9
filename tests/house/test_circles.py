"""No two files import each other, however far the way round, at the top or inside a function."""

import pytest
from test_house import FILES, imported


def file_of(module):
    """The file that a dotted name is in: a module, a package, or the module or package that defines the name."""
    path = module.removeprefix("mechlib.").replace(".", "/")
    while path:
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if file in FILES:
                return file
        path = path.rpartition("/")[0]
    return None


def circles(links):
    """Groups of names that reach each other, in order; ``links``: name -> the names that it imports."""
    reached = {}
    for start in links:
        pending, found = list(links[start]), set()
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += links.get(name, ())
        reached[start] = found
    groups = {tuple(sorted(other for other in reached[name] if name in reached.get(other, ()))) for name in links if name in reached[name]}
    return sorted(groups)


@pytest.mark.parametrize(("links", "found"), [
    ({"a": ["b"], "b": ["c"], "c": []}, []),
    ({"a": ["b"], "b": ["a"]}, [("a", "b")]),
    ({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"], "e": ["f"], "f": ["e"]}, [("a", "b", "c"), ("e", "f")]),
    ({"a": ["a"]}, [("a",)]),
])  # fmt: skip
def test_circles_are_found(links, found):
    assert circles(links) == found


def test_a_name_leads_to_its_file():
    assert file_of("mechlib.runs.store.Store") == file_of("mechlib.runs.store") == "runs/store.py"
    assert file_of("mechlib.models.load") == "models/__init__.py"


def packages(file):
    """The packages that a file lies in: importing it imports them first."""
    folders = file.split("/")[:-1]
    return {"/".join([*folders[:depth], "__init__.py"]) for depth in range(1, len(folders) + 1)}


def test_importing_a_file_imports_its_packages():
    assert packages("runs/stages/edit.py") == {"runs/__init__.py", "runs/stages/__init__.py"}


def test_no_files_import_each_other():
    links = {}
    for name, path in FILES.items():
        named = {file_of(module) for module in imported(path)} - {None}
        # A package's __init__ gathers its modules: that these are in it makes no circle.
        links[name] = {*named, *(package for other in named for package in packages(other))} - packages(name)
    assert circles(links) == []

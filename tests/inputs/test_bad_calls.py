"""A call of the library that cannot be right is one line that says so, from the library itself; never a wrong result."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import calling
import pytest
from small_book import ROOT

CALLS = tomllib.loads(Path(__file__).with_name("calls.toml").read_text(encoding="utf-8"))
ROWS = {f"{room}.{name}": row for room, rows in CALLS.items() for name, row in rows.items()}
# What takes only what other functions gave, or is tested as a command.
SAFE = {"holm_adjusted", "planned", "execute"}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What every call came to, in a Python of its own: tests check shapes and kinds where a user's calls are not checked."""
    folder = tmp_path_factory.mktemp("calls")
    (folder / "a file").write_text("")
    about = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(calling.__file__).parent)]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-W", "ignore", calling.__file__, str(folder)], capture_output=True, text=True, env=about,
                          input=json.dumps({name: expression for name, (expression, _) in ROWS.items()}), check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["a file"]
    return json.loads(done.stdout)


def test_every_listed_function_is_called():
    called = {name for expression, _ in ROWS.values() for name in re.findall(r"(\w+)\(", expression)}
    assert set(calling.listed()) - called == SAFE


@pytest.mark.parametrize("name", ROWS)
def test_a_call_is_refused_in_one_line(outcomes, name):
    found = outcomes[name]
    assert found["raised"], found
    assert "MechlibError" in found["kinds"] or found["kinds"][0] in ("ValueError", "TypeError")
    assert re.search(ROWS[name][1], found["line"]), found
    assert "\n" not in found["line"]

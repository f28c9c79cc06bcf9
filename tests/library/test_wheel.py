"""What is installed is a whole library: its data, its types, its command and what it needs."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mechlib

ROOT = Path(mechlib.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2]
    for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line
}  # fmt: skip
# Only the pages need these rooms.
PAGES_ONLY = {"report"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the package, without the network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "mechlib", source / "mechlib", ignore=shutil.ignore_patterns("__pycache__"))
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def read(wheel, name):
    return wheel.read(next(path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))).decode()


def test_every_file_of_the_package_is_in_the_wheel_and_nothing_else(wheel):
    files = (path for path in (ROOT / "mechlib").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    here = {path.relative_to(ROOT).as_posix() for path in files}
    assert {"mechlib/py.typed", "mechlib/facts/athletes.csv", "mechlib/facts/prose.txt", "mechlib/attacks/topic_prose.txt"} <= here
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == here


def test_the_wheel_says_its_version_command_and_needs(wheel):
    about = Parser().parsestr(read(wheel, "METADATA"))
    needs = [Requirement(line) for line in about.get_all("Requires-Dist")]
    assert about["Version"] == mechlib.__version__
    assert {"torch", "transformers", "numpy"} <= {need.name for need in needs if need.marker is None}
    assert set(about.get_all("Provides-Extra")) == {"book", "dev", "ray", "slurm"}
    assert "mechlib = mechlib.__main__:main" in read(wheel, "entry_points.txt")


@pytest.mark.parametrize("command", ["execute", "plan", "keep", "book", "parameters"])
def test_without_the_pages_a_command_is_one_line(wheel, tmp_path, command):
    wheel.extractall(tmp_path)
    done = subprocess.run([sys.executable, "-m", "mechlib", command], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
                          capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "checkout" in done.stderr and str(tmp_path) in done.stderr


def test_the_version_can_be_asked_for(wheel, tmp_path):
    wheel.extractall(tmp_path)
    command, environment = [sys.executable, "-m", "mechlib", "--version"], {"PYTHONPATH": str(tmp_path)}
    said = subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)
    assert said == f"mechlib {mechlib.__version__}\n"


def others_imported(path):
    """Libraries that a file imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def declared(*requirements):
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in requirements}


def test_what_is_imported_is_declared():
    core, book = declared(*PROJECT["dependencies"]), declared(*PROJECT["optional-dependencies"]["book"])
    homes = packages_distributions()
    for path in (ROOT / "mechlib").rglob("*.py"):
        allowed = {*core, *(book if path.relative_to(ROOT / "mechlib").parts[0] in PAGES_ONLY else ())}
        for name in set(others_imported(path)) - {"mechlib", *sys.stdlib_module_names}:
            assert {canonicalize_name(home) for home in homes[name]} & allowed, f"{path} imports {name}"


def test_every_pin_is_of_something_declared_and_allowed():
    extras = PROJECT["optional-dependencies"]
    needs = declared(*PROJECT["dependencies"], *extras["book"], *extras["slurm"], *(line for line in extras["dev"] if "[" not in line))
    assert {name: pin for name, pin in PINS.items() if name not in needs or pin not in needs[name].specifier} == {}


def test_the_lock_has_every_pin_with_hashes():
    text = (ROOT / "requirements.lock").read_text()
    locked = {canonicalize_name(name): (version, "--hash=sha256:" in rest)
              for name, version, rest in re.findall(r"^([\w.-]+)==([^ ;]+)(.*(?:\n +--hash=.*)*)", text, re.MULTILINE)}  # fmt: skip
    # Machines have different builds of torch, so different hashes.
    pins = {name: pin for name, pin in PINS.items() if name != "torch"}
    assert {name: locked.get(name) for name in pins} == {name: (pin, True) for name, pin in pins.items()}
    assert "torch" not in locked and all(hashed for _, hashed in locked.values())

"""Files about the project are read by other programs: they parse, and say what they must."""

from pathlib import Path

import yaml

import mechlib

ROOT = Path(mechlib.__file__).parents[1]


def read(name):
    return yaml.safe_load((ROOT / name).read_text())


def test_the_paper_is_the_preferred_citation():
    found = read("CITATION.cff")
    # What the format requires.
    assert {"cff-version", "message", "title", "authors"} <= set(found)
    paper = found["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == ["Guo", "Syed", "Sheshadri", "Ewart", "Dziugaite"]
    assert {"type", "title", "authors"} <= set(paper) and paper["identifiers"][0]["value"] == "arXiv:2410.12949"


def test_hooks_need_no_network_and_run_what_is_checked():
    hooks = [(repo["repo"], hook) for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {(where, hook["language"]) for where, hook in hooks} == {("local", "system")}
    makefile = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv")
    assert [hook["entry"] for _, hook in hooks if hook["entry"] not in makefile] == []


def test_the_changes_name_the_version():
    assert f"## {mechlib.__version__}" in (ROOT / "CHANGELOG.md").read_text()

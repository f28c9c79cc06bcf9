"""A book that takes a minute: copies of real pages, a tiny random model in a folder, few facts, few steps."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_model

import mechlib
from mechlib.facts import athletes
from mechlib.facts.fact import by_answer
from mechlib.models import resolve
from mechlib.report import execute
from mechlib.report.folders import all_changes, folder_name
from mechlib.report.parameters import page_values, parse, read_pages

ROOT = Path(mechlib.__file__).parents[1]
# The pages of a whole experiment; those that compare many methods are run cell by cell in test_cells.py.
PAGES = ("01_facts", "02_localization", "05_editing", "06_prompting")
SMALL = (
    "KNOWN_THRESHOLD=0.0 FORGET_SET_SIZE=4 FORGET_SETS=1 STEPS=2 LOCALIZATIONS=fact_lookup,causal_tracing_mlps,random_mlps "
    "FORMATS=one_shot,question"
)
HEADER = """# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
MODEL = "gemma-3-270m"
PROFILE = "quick"

"""


def copy_book(root: Path) -> Path:
    """The committed book without its results."""
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("results", "*.ipynb", ".ipynb_checkpoints"))
    for name in ("_config.yml", "_toc.yml", "README.md"):
        shutil.copy(ROOT / name, root / name)
    return root


def one_page(root: Path, cells: str) -> Path:
    """A book with a single page of these cells, which needs no runs."""
    (root / "book").mkdir(parents=True, exist_ok=True)
    (root / "book" / "01_page.py").write_text(HEADER + cells)
    return root


def bare_book(root: Path) -> Path:
    """A book that can be rendered: its settings, and a title in the place of each text that is typed by hand."""
    (root / "book").mkdir(parents=True, exist_ok=True)
    for name in ("_config.yml", "_toc.yml", "book/references.bib"):
        shutil.copy(ROOT / name, root / name)
    for name in ("reading", "play", "library", "references"):
        (root / "book" / f"{name}.md").write_text(f"# {name}\n")
    return root


def save_model(folder: Path) -> Path:
    """A tiny Gemma-3 as a user would give it: weights, configuration and tokenizer in a folder."""
    model = tiny_model("gemma3", seed=2, world=True, num_attention_heads=8)
    # Silent heads in the first layer: the ten that path patching picks lie above it, and its MLP can feed them.
    with torch.no_grad():
        model.layers[0].self_attn.o_proj.weight.zero_()
    model.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


def save_facts(path: Path, each: int = 50) -> Path:
    """A table of the first athletes of each sport."""
    facts = [fact for group in by_answer(athletes()).values() for fact in group[:each]]
    path.write_text("athlete,sport\n" + "".join(f"{fact.subject},{fact.answer}\n" for fact in facts))
    return path


@dataclass
class SmallBook:
    """A book with its runs; ``execute`` gives the lines that were said."""

    root: Path
    runs: Path
    model: Path
    facts: Path
    parameters: str = SMALL
    said: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, folder: Path) -> SmallBook:
        root = folder / "root"
        root.mkdir()
        for page in copy_book(root).glob("book/[0-9][0-9]_*.py"):
            if page.stem not in PAGES:
                page.unlink()
        return cls(root, folder / "runs", save_model(folder / "tiny"), save_facts(folder / "facts.csv"))

    @property
    def name(self) -> str:
        return resolve(str(self.model)).name

    @property
    def results(self) -> Path:
        """Where the pages of this book's own parameters are."""
        return self.folder(f"FACTS={self.facts} {self.parameters}")

    def folder(self, parameters: str) -> Path:
        """Where the pages go that are changed by these parameters."""
        book = read_pages(self.root / "book")
        changes = all_changes(book, page_values(book, parse(parameters, book)))
        return self.root / "book" / "results" / self.name / folder_name("quick", changes)

    def execute(self, more: str = "", model: str = "", render: bool = False, execute_page=None) -> list[str]:
        """Everything that ``make execute`` does; the book is rendered, and pages replaced, only if asked."""
        self.said = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MECHLIB_RUNS", str(self.runs))
            if not render:
                patch.setattr(execute, "build", lambda root, say: root)
            if execute_page:
                patch.setattr(execute, "execute_page", execute_page)
            given = {"MODEL": model or str(self.model)}
            execute.execute(self.root, given, f"FACTS={self.facts} {self.parameters} {more}", self.said.append)
        return self.said

    def stored(self) -> dict[str, int]:
        """Every run that is complete, with the time at which it was written."""
        return {path.parent.relative_to(self.runs).as_posix(): path.stat().st_mtime_ns for path in self.runs.glob("*/*/run.json")}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

"""The committed book, rendered once into a folder of its own, and a browser without network; skipped where there is no Chromium."""

import shutil

import pytest
from small_book import ROOT

from mechlib.report.book import build
from mechlib.report.book_contents import table_of_contents
from mechlib.report.chromium import chromium, program
from mechlib.report.one_document import in_order


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of the rendered book."""
    root = tmp_path_factory.mktemp("book")
    shutil.copytree(ROOT / "book", root / "book")
    for name in ("_config.yml", "_toc.yml", "README.md"):
        shutil.copy(ROOT / name, root / name)
    return build(root).parent


@pytest.fixture(scope="session")
def pages(built):
    """Its pages, in the order of the book."""
    return in_order(built, f"{table_of_contents(built.parents[1])['root']}.html")


@pytest.fixture(scope="session")
def browser():
    if program() is None:
        pytest.skip("no Chromium is on the path")
    with chromium() as browser:
        yield browser

"""CITATION.cff names this version and the paper, and the README's picture is that of the executed page as it is."""

import json
import re

import yaml
from small_book import ROOT

import mechlib
from mechlib.report.picture import headline, is_current, taken

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_citation_file_names_this_version_and_the_paper():
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version"} <= about.keys()
    assert str(about["version"]) == mechlib.__version__
    paper = about["preferred-citation"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert re.sub(r"\s+", " ", re.search(r"title\s*=\s*\{(.*)\}", README)[1]) == paper["title"]
    assert all(person["family-names"] in README for person in paper["authors"])


def test_the_picture_is_of_the_page_as_it_is():
    """After pages are executed anew: make picture."""
    (name,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert is_current(ROOT, ROOT / name)


def test_a_picture_of_another_page_is_old(tmp_path):
    (tmp_path / "page.ipynb").write_text("{}")
    (tmp_path / "old.svg").write_text("<svg/>\n<!-- page.ipynb 0123456789abcdef -->\n")
    assert not is_current(tmp_path, tmp_path / "old.svg")


def test_the_sentence_of_the_readme_is_the_front_page_s():
    """After pages are executed anew: make picture."""
    page = ROOT / "book" / "results" / "gemma-3-270m" / "quick" / "00_finding.ipynb"
    assert taken(README) == headline(page) != ""


def test_a_page_without_a_headline_has_no_sentence(tmp_path):
    page, given = tmp_path / "page.ipynb", {"data": {"application/papermill.record/text/plain": "'Yes. It \\'lasts\\'.'"}}
    cells = [{"outputs": [{**given, "metadata": {"scrapbook": {"name": name}}}, {"metadata": {}}]} for name in ("other", "headline")]
    page.write_text(json.dumps({"cells": cells}))
    assert headline(page) == "Yes. It 'lasts'."
    page.write_text(json.dumps({"cells": [{}, cells[0]]}))
    assert headline(page) == "" == taken("# A README without it")

"""CITATION.cff names this version and the paper, and what readers copy says the same; the README's picture is of the page as it is."""

import json
import re

import pytest
import yaml
from pybtex.database import parse_string
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


@pytest.mark.parametrize("text", ["README.md", "book/reading.md"])
def test_what_readers_copy_says_what_the_citation_file_says(text):
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (block,) = re.findall(r"^```bibtex\n(.*?)^```$", (ROOT / text).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found, cited = parse_string(block, "bibtex").entries, about["preferred-citation"]
    assert {entry.type for entry in found.values()} == {"inproceedings", "software"}
    paper, own = sorted(found.values(), key=lambda entry: entry.type)
    assert paper.fields["title"] == cited["title"] and paper.fields["booktitle"] == cited["collection-title"]
    assert paper.fields["year"] == str(cited["year"])
    assert [f"arXiv:{paper.fields['eprint']}"] == [one["value"] for one in cited["identifiers"]]
    named = [(" ".join(each.first_names + each.middle_names), " ".join(each.last_names)) for each in paper.persons["author"]]
    assert named == [(each["given-names"], each["family-names"]) for each in cited["authors"]]
    assert (own.fields["title"], own.fields["version"]) == (about["title"], str(about["version"]))
    assert [str(each).strip("{}") for each in own.persons["author"]] == [each["name"] for each in about["authors"]]


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

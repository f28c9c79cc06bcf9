"""Prose says nothing that its profile may contradict: no typed counts, no pointing at what is not there, no empty section."""

import json
import re

import pytest
from prose import empty_sections, misplaced, unconditional
from small_book import ROOT

from mechlib.report.parameters import read_pages

PAGES = {page.name: page for page in read_pages(ROOT / "book")}
RESULTS = ROOT / "book" / "results"
EXECUTED = {path.relative_to(RESULTS).as_posix(): path for path in sorted(RESULTS.glob("*/*/*.ipynb"))}
# True of every study: what a method does by itself, what the page is about whatever is run, and what the released runs did.
GENERAL = (
    "Of the controls, some draw", '*"Shared" is the Jaccard overlap of two sets', "Stability is the rank correlation between scores",
    "The same trials, by what they achieved", "Rank 512, learning rate 2e-4, twenty steps",
    "Of the first sixteen athletes, the half that teaches", "*True answers about the half that was",
    "Three ways to ask: put learned vectors", "Layers that are the same before and after", "Two kinds of text that no edit trained on",
    "Every localization, every attack, on one page", "The last column is the strongest of all attacks", "Every attack at the setting",
)  # fmt: skip


def page(*cells):
    """A notebook of Markdown, and of cells that show something (``True``) or do not (``False``)."""
    shown = [{"data": {"text/html": "<table></table>"}}]
    hidden = [{"data": {"text/plain": "1"}}]
    return {"cells": [{"cell_type": "markdown", "source": cell} if isinstance(cell, str) else
                      {"cell_type": "code", "source": "", "outputs": shown if cell else hidden} for cell in cells]}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_page_counts_nothing_that_a_profile_decides(name):
    assert [one for one in unconditional(PAGES[name].notebook) if not one.startswith(GENERAL)] == []


def test_nothing_is_excused_that_no_page_says():
    said = [one for own in PAGES.values() for one in unconditional(own.notebook)]
    assert [start for start in GENERAL if not any(one.startswith(start) for one in said)] == []


@pytest.mark.parametrize("name", EXECUTED)
def test_an_executed_page_points_at_what_is_there_and_has_no_empty_section(name):
    notebook = json.loads(EXECUTED[name].read_text(encoding="utf-8"))
    assert (misplaced(notebook), empty_sections(notebook)) == ([], [])


@pytest.mark.parametrize("text", [
    "## Five ways to ask", "Each half teaches once.", "It is done for each forget set.", "Edits take the same number of steps.",
    "Here 8 forget sets are edited.", "Asked in five other formats, it holds.", "Every localization gets its turn.",
])  # fmt: skip
def test_what_readers_were_told_wrongly_is_found(text):
    assert unconditional(page(text)) == [text]


@pytest.mark.parametrize("text", ["The paper asks in five formats.", "{glue:text}`n` formats", "It was asked in several formats."])
def test_what_is_said_of_the_paper_or_by_a_number_is_left_alone(text):
    assert unconditional(page(text)) == []


def test_a_figure_that_is_pointed_at_must_be_there():
    assert misplaced(page("The map is below.", False)) == ["The map is below."]
    assert misplaced(page("The map is below.", True)) == []
    assert misplaced(page(False, "As the table above says.")) and not misplaced(page(True, "As the table above says."))
    assert misplaced(page("Accuracy below 90 % and above chance.")) == []


def test_a_section_needs_content():
    found = page("# T\n\nText.\n\n## Empty", False, "## Full", True, "## With a part\n\n### Part\n\nText.", "## Last")
    assert empty_sections(found) == ["Empty", "Last"]


def test_no_digit_is_typed_on_the_front_page():
    cells = [cell.source for cell in PAGES["00_finding"].notebook.cells if cell.cell_type == "markdown"]
    text = re.sub(r"\{cite:p\}`[^`]*`", "", "\n".join(cells))
    assert re.findall(r"[0-9]", text) == []
    assert "{glue:text}`headline`" in text

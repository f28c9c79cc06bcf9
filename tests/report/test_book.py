"""The book: its table of contents, its strict build, and notebooks without what differs between two executions."""

import json
import shutil

import nbformat
import pytest
import yaml
from small_book import ROOT

from mechlib.report.book import build
from mechlib.report.book_contents import results_folder, table_of_contents
from mechlib.report.notebooks import PageError, normalize

FIGURE = "0f0e0d0c-1111-2222-3333-444455556666"
OTHER = "99999999-8888-7777-6666-555555555555"


def notebook(*cells):
    page = nbformat.v4.new_notebook(cells=list(cells))
    page.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return page


def glued(name, value):
    """An executed cell that gave a name of the prose its value."""
    metadata = {"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}}
    data = {"application/papermill.record/text/plain": repr(value)}
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    return nbformat.v4.new_code_cell("glue()", outputs=[output], execution_count=1, metadata={"tags": ["remove-input"]})


def markdown(text):
    return nbformat.v4.new_markdown_cell(text)


@pytest.fixture
def root(tmp_path):
    """The smallest book: how to read it, references, and the real configuration."""
    (tmp_path / "book").mkdir()
    for name in ("_config.yml", "_toc.yml", "book/references.bib"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "book" / "reading.md").write_text("# How to read it\n")
    (tmp_path / "book" / "play.md").write_text("# Play\n")
    (tmp_path / "book" / "library.md").write_text("# As a library\n")
    (tmp_path / "book" / "references.md").write_text("# References\n")
    return tmp_path


def add(root, model, profile, *pages):
    folder = results_folder(root, model, profile)
    folder.mkdir(parents=True)
    for name, page in pages or (("01_page", notebook(markdown("# A page"))),):
        nbformat.write(page, folder / f"{name}.ipynb")


def files(toc):
    return {part["caption"]: [chapter["file"].removeprefix("book/results/") for chapter in part["chapters"]] for part in toc["parts"]}


REFERENCE = {"Reference": ["book/play", "book/library", "book/references"]}


def test_parts_without_pages_are_left_out(root):
    assert files(table_of_contents(root)) == REFERENCE
    assert table_of_contents(root)["root"] == "book/reading"
    add(root, "gemma-3-270m", "quick", ("06_prompting", notebook(markdown("# A page"))))
    assert files(table_of_contents(root)) == {"Results (gemma-3-270m, quick)": ["gemma-3-270m/quick/06_prompting"], **REFERENCE}


def test_pages_are_in_the_order_of_the_table_and_those_that_it_does_not_name_come_last(root):
    names = ("01_facts", "05_editing", "07_tuning", "10_weight_masking", "11_relearning", "14_latent_knowledge", "15_side_effects",
             "99_mine")  # fmt: skip
    add(root, "gemma-3-270m", "quick", *[(name, notebook(markdown(f"# {name}"))) for name in names])
    found = files(table_of_contents(root)).items()
    assert [(caption.split()[0], [name.rpartition("/")[2] for name in names]) for caption, names in found] == [
        ("Results", ["05_editing", "11_relearning", "14_latent_knowledge", "15_side_effects", "10_weight_masking"]),
        ("Facts", ["01_facts"]), ("Appendix", ["07_tuning", "99_mine"]), ("Reference", ["play", "library", "references"]),
    ]  # fmt: skip


def test_the_default_model_comes_first_and_of_it_the_studies_of_the_book(root):
    shutil.copy(ROOT / "book" / "studies.toml", root / "book")
    for model, folder in (("llama-3-8b", "quick"), ("a-model", "full"), ("gemma-3-270m", "quick"), ("gemma-3-270m", "quick-steps-1-0"),
                          ("gemma-3-270m", "full-world"), ("gemma-3-270m", "full")):  # fmt: skip
        add(root, model, folder)
    found = files(table_of_contents(root))
    assert list(found) == [f"Appendix ({about})" for about in (
        "gemma-3-270m, full", "gemma-3-270m, quick", "a-model, full", "llama-3-8b, quick",
    )] + ["Reference"]  # fmt: skip
    folders = [[name.split("/")[1] for name in names] for names in found.values()]
    assert folders[:2] == [["full-world", "full"], ["quick", "quick-steps-1-0"]]


def named_as(root):
    """The names of all executed pages in the sidebar, by part."""
    parts = table_of_contents(root)["parts"]
    return {part["caption"]: [chapter.get("title", "as it is") for chapter in part["chapters"]] for part in parts[:-1]}


def titled(name, title):
    return (name, notebook(markdown(f"# {title}")))


def test_one_part_holds_all_studies_of_a_profile_and_pages_of_one_name_are_told_apart(root):
    """A page that only one study has keeps its name; of a name as many words as tell studies apart; full and quick share no part."""
    shutil.copy(ROOT / "book" / "studies.toml", root / "book")
    masks, editing = ("10_weight_masking", "How few weights?"), ("05_editing", "Editing")
    about = {"full-athletes": "full, athletes", "full-world": "full, world facts", "full-masks": "full, world facts, weights set to zero",
             "full-athletemasks": "full, athletes, weights set to zero", "full-depth": "full, world facts, places at all depths",
             "quick": "quick", "quick-steps-1-0": "quick, STEPS=1", "mine": "mine"}  # fmt: skip
    pages = {"full-masks": [masks], "full-athletemasks": [masks], "full-depth": [("19_depth_or_lookup", "Depth or lookup?")]}
    for folder, said in about.items():
        own = [titled(name, f"{title} · gemma-3-270m, {said}") for name, title in pages.get(folder, [editing])]
        add(root, "gemma-3-270m", folder, *own)
    assert named_as(root) == {
        "Results (gemma-3-270m, full)": [
            "Editing (world facts)", "Editing (athletes)", "Depth or lookup?",
            "How few weights? (world facts)", "How few weights? (athletes)",
        ],
        "Results (gemma-3-270m, quick)": ["Editing", "Editing (quick-steps-1-0)"],
        "Results (gemma-3-270m, mine)": ["Editing"],
    }  # fmt: skip


def test_studies_whose_first_words_are_the_same_have_all_of_them(root):
    shutil.copy(ROOT / "book" / "studies.toml", root / "book")
    for folder in ("full-world", "full-next"):
        add(root, "gemma-3-270m", folder, titled("05_editing", "Editing"))
    assert named_as(root)["Results (gemma-3-270m, full)"] == ["Editing (world facts)", "Editing (world facts, MLPs next to fact lookup)"]


def test_the_front_page_of_the_default_model_is_the_root_and_others_lead_their_part(root):
    for model in ("a-model", "gemma-3-270m"):
        add(root, model, "quick", ("00_finding", notebook(markdown("# Found"))), ("05_editing", notebook(markdown("# Editing"))))
    toc = table_of_contents(root)
    assert toc["root"] == "book/results/gemma-3-270m/quick/00_finding"
    listed = [name for names in files(toc).values() for name in names]
    assert listed[:3] == ["gemma-3-270m/quick/05_editing", "a-model/quick/00_finding", "a-model/quick/05_editing"]
    assert "book/reading" in listed


def test_the_sidebar_leaves_out_of_a_title_what_its_part_says(root):
    add(root, "gemma-3-270m", "quick", ("05_editing", notebook(markdown("# Editing · gemma-3-270m, quick\n\nText."))))
    (chapter,) = table_of_contents(root)["parts"][0]["chapters"]
    assert chapter["title"] == "Editing"


def test_a_folder_without_pages_is_no_part(root):
    results_folder(root, "llama-3-8b", "quick").mkdir(parents=True)
    assert files(table_of_contents(root)) == REFERENCE


def test_every_page_has_its_place_in_the_committed_table_and_every_file_is_there():
    order = yaml.safe_load((ROOT / "_toc.yml").read_text())
    named = [order["root"], *(chapter["file"] for part in order["parts"] for chapter in part["chapters"])]
    pages = sorted(path.stem for path in (ROOT / "book").glob("[0-9][0-9]_*.py"))
    assert sorted(name for name in named if "/" not in name) == pages
    assert [name for name in named if "/" in name and not (ROOT / f"{name}.md").is_file()] == []
    toc = table_of_contents(ROOT)
    built = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    assert len(set(built)) == len(built)
    assert [name for name in built if not any((ROOT / f"{name}{end}").is_file() for end in (".md", ".ipynb"))] == []


def test_a_number_that_no_cell_gave_fails_the_build(root):
    prose = markdown("# A page\n\nThe model knows {glue:text}`n_known` facts of {glue:text}`n_asked`.")
    add(root, "gemma-3-270m", "quick", ("01_page", notebook(prose, glued("n_asked", 1148))))
    with pytest.raises(PageError) as caught:
        build(root)
    assert "\n" not in str(caught.value)
    assert "n_known" in str(caught.value)
    assert "n_asked" not in str(caught.value)
    assert "n_known" in (root / "_build" / "build.log").read_text()


def test_a_number_that_a_cell_gave_is_in_the_page(root):
    prose = markdown("# A page\n\nThe model was asked {glue:text}`n_asked` facts, and was right for {glue:text}`right:.0%`, with a 95 %\n"
                     "interval.")  # fmt: skip
    add(root, "a-model", "quick", ("01_page", notebook(prose, glued("n_asked", 1148), glued("right", 0.4567))))
    html = build(root).parent / "book"
    page = (html / "results" / "a-model" / "quick" / "01_page.html").read_text()
    assert "results/a-model/quick/01_page.html" in (html / "reading.html").read_text()
    assert "book/reading.html" in (html.parent / "index.html").read_text()
    assert "1148" in page
    assert "46%" in page and "95\xa0%\ninterval" in page


def executed(uuid, seconds, **extra):
    """What papermill writes for a page with a figure."""
    stamp = {"start_time": f"2026-01-01T00:00:{seconds}", "duration": seconds}
    outputs = [
        nbformat.v4.new_output("stream", name="stderr", text=f"loading took {seconds} s\n"),
        nbformat.v4.new_output("display_data", data={"text/html": f'<div id="{uuid}"></div><script>draw("{uuid}")</script>'}),
        nbformat.v4.new_output("stream", name="stdout", text="é\n"),
    ]
    cell = nbformat.v4.new_code_cell("figure.show()", outputs=outputs, execution_count=1)
    cell.metadata.update({"papermill": stamp, "execution": {"iopub.status.busy": stamp["start_time"]}, "tags": ["remove-input"]})
    page = notebook(markdown("# Title"), cell)
    page.metadata.update({"papermill": stamp, "mechlib": {"fingerprint": "f"}, **extra})
    return page


@pytest.fixture
def normal(tmp_path):
    def normal(page, name="page.ipynb"):
        nbformat.write(page, tmp_path / "source.ipynb")
        normalize(tmp_path / "source.ipynb", tmp_path / name)
        return (tmp_path / name).read_bytes()

    return normal


def test_two_executions_of_the_same_page_are_the_same_to_the_byte(normal):
    first = normal(executed(FIGURE, 1))
    assert normal(executed(OTHER, 29, language_info={"version": "3.11.7"})) == first
    assert normal(executed(FIGURE, 1, mechlib={"fingerprint": "g"})) != first


def test_a_normal_notebook_keeps_what_it_showed(normal, tmp_path):
    page = json.loads(normal(executed(FIGURE, 1)))
    cell = page["cells"][1]
    html = "".join(cell["outputs"][0]["data"]["text/html"])
    assert [output["output_type"] for output in cell["outputs"]] == ["display_data", "stream"]
    assert html.count("figure-0") == 2
    assert "".join(cell["outputs"][1]["text"]) == "é\n"
    assert (cell["execution_count"], cell["metadata"]["tags"]) == (1, ["remove-input"])
    nbformat.validate(nbformat.read(tmp_path / "page.ipynb", as_version=4))


def test_a_normal_notebook_is_normal(normal, tmp_path):
    first = normal(executed(FIGURE, 1))
    assert normal(nbformat.read(tmp_path / "page.ipynb", as_version=4), "again.ipynb") == first
    assert not list(tmp_path.glob("*.partial"))


def test_two_figures_stay_two(normal):
    page = executed(FIGURE, 1)
    page.cells.append(executed(OTHER, 1).cells[1])
    text = normal(page).decode()
    assert (text.count("figure-0"), text.count("figure-1")) == (2, 2)


def test_a_page_of_an_earlier_build_that_has_no_source_any_more_goes(root):
    add(root, "gemma-3-270m", "quick", ("05_editing", notebook(markdown("# A page"))), ("06_prompting", notebook(markdown("# Another"))))
    html = build(root).parent / "book" / "results" / "gemma-3-270m" / "quick"
    assert {page.stem for page in html.glob("*.html")} == {"05_editing", "06_prompting"}
    (results_folder(root, "gemma-3-270m", "quick") / "06_prompting.ipynb").unlink()
    build(root)
    assert {page.stem for page in html.glob("*.html")} == {"05_editing"}


def test_a_figure_whose_code_has_moved_is_one_line(root):
    def drawn_by(module):
        link = f'<a href="code:mechlib.report.figures.{module}">code</a>'
        return ("05_editing", notebook(markdown("# A page"), markdown(f"<div>{link} mech-figure</div>")))

    add(root, "gemma-3-270m", "quick", drawn_by("facts"))
    assert (build(root).parent / "_static" / "code" / "figures.facts.txt").exists()
    add(root, "gemma-3-270m", "full", drawn_by("gone"))
    with pytest.raises(PageError, match="05_editing names the code of a figure that is no more.*execute the page again"):
        build(root)

"""The book: its table of contents, its strict build, and notebooks without what differs between two executions."""

import json
import shutil

import nbformat
import pytest
import yaml
from small_book import ROOT

from mechlib.report.book import build, results_folder, table_of_contents
from mechlib.report.notebooks import PageError, normalize

FIGURE = "0f0e0d0c-1111-2222-3333-444455556666"
REFERENCE = ["book/play", "book/library", "book/references"]
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
    """The smallest book: an index, references, and the real configuration."""
    (tmp_path / "book").mkdir()
    for name in ("_config.yml", "_toc.yml", "book/references.bib"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "book" / "index.md").write_text("# A book\n")
    (tmp_path / "book" / "play.md").write_text("# Play\n")
    (tmp_path / "book" / "library.md").write_text("# As a library\n")
    (tmp_path / "book" / "references.md").write_text("# References\n")
    return tmp_path


def add(root, model, profile, *pages):
    folder = results_folder(root, model, profile)
    folder.mkdir(parents=True)
    for name, page in pages or (("01_page", notebook(markdown("# A page"))),):
        nbformat.write(page, folder / f"{name}.ipynb")


def globs(toc):
    return [[chapter.get("glob") or chapter["file"] for chapter in part["chapters"]] for part in toc["parts"]]


def test_parts_without_pages_are_left_out(root):
    assert globs(table_of_contents(root)) == [REFERENCE]
    add(root, "gemma-3-270m", "quick")
    assert globs(table_of_contents(root)) == [["book/results/gemma-3-270m/quick/*"], REFERENCE]


def test_other_results_come_before_the_reference_part(root):
    add(root, "gemma-3-270m", "quick")
    add(root, "gemma-3-270m", "full")
    add(root, "llama-3-8b", "quick")
    add(root, "a-model", "full")
    toc = table_of_contents(root)
    listed = [chapter["glob"] for part in yaml.safe_load((root / "_toc.yml").read_text())["parts"] for chapter in part["chapters"]
              if "glob" in chapter]  # fmt: skip
    assert [glob for part in globs(toc) for glob in part] == [
        *listed, "book/results/a-model/full/*", "book/results/llama-3-8b/quick/*", *REFERENCE,
    ]  # fmt: skip
    assert toc["parts"][-2]["caption"] == "llama-3-8b, quick profile"
    assert toc["root"] == "book/index"


def test_a_folder_without_pages_is_no_part(root):
    results_folder(root, "llama-3-8b", "quick").mkdir(parents=True)
    assert globs(table_of_contents(root)) == [REFERENCE]


def test_the_committed_table_names_pages_that_a_strict_build_finds():
    toc = table_of_contents(ROOT)
    assert (ROOT / f"{toc['root']}.md").is_file()
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            assert list(ROOT.glob(chapter["glob"] + ".ipynb")) if "glob" in chapter else (ROOT / f"{chapter['file']}.md").is_file()


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
    prose = markdown("# A page\n\nThe model was asked {glue:text}`n_asked` facts, and was right for {glue:text}`right:.0%`.")
    add(root, "a-model", "quick", ("01_page", notebook(prose, glued("n_asked", 1148), glued("right", 0.4567))))
    html = build(root).parent / "book"
    page = (html / "results" / "a-model" / "quick" / "01_page.html").read_text()
    assert "results/a-model/quick/01_page.html" in (html / "index.html").read_text()
    assert "1148" in page
    assert "46%" in page


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

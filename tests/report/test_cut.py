"""A page that cannot be made to the end: what is kept of it, and one paragraph that says why."""

import nbformat

from mechlib.report.cut import TAG, cut, with_reasons, without_reasons

CODE, TEXT = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell


def ran(source, *names, failed=False, tags=()):
    data = {"text/plain": "1"}
    outputs = [nbformat.v4.new_output("display_data", data=data, metadata={"scrapbook": {"name": name}}) for name in names]
    outputs += [nbformat.v4.new_output("error", ename="FactError", evalue="few", traceback=[])] if failed else []
    return CODE(source, outputs=outputs, execution_count=9, metadata={"tags": list(tags)})


def page(*cells):
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    notebook.metadata["mechlib"] = {}
    return notebook


def test_the_section_that_failed_gives_way_to_the_reason():
    notebook = page(TEXT("# Title\n\nAbout {glue:text}`late`.\n\nPlain."), ran("P = 1", tags=["parameters"]), ran("a", "early"),
                    TEXT("## One\n\nSays {glue:text}`early`."), ran("b"), TEXT("*Caption.*\n\n## Two\n\nNot to be read."),
                    ran("c", "late", failed=True), TEXT("## Three"), CODE("d"))  # fmt: skip
    cut(notebook, "a_b knows <0> facts")
    assert [cell.source for cell in notebook.cells] == [
        "# Title\n\nPlain.", "P = 1", "a", "## One\n\nSays {glue:text}`early`.", "b",
        "*Caption.*\n\n## Two\n\n**Not possible here.** a\\_b knows \\<0\\> facts",
    ]  # fmt: skip
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [1, 2, 3]
    assert notebook.metadata["mechlib"]["impossible"] == "a_b knows <0> facts"


def test_a_page_of_which_nothing_can_be_had_says_so_on_top():
    notebook = page(TEXT("# Title\n\nIntroduction."), ran("P = 1"), ran("open", failed=True), TEXT("## One"), CODE("b"))
    cut(notebook, "why")
    assert [cell.source for cell in notebook.cells] == ["# Title\n\n**Not possible here.** why\n\nIntroduction.", "P = 1"]


def test_reasons_are_told_after_the_parameters_and_are_not_kept():
    notebook = page(TEXT("# Title"), CODE("P = 1", metadata={"tags": ["parameters"]}), CODE("b"))
    with_reasons(notebook, {})
    assert len(notebook.cells) == 3
    with_reasons(notebook, {"id": "it's \"so\""})
    space = {}
    exec(notebook.cells[2].source, space)
    assert space["IMPOSSIBLE"] == {"id": "it's \"so\""}
    assert TAG in notebook.cells[2].metadata.tags
    without_reasons(notebook)
    assert [cell.source for cell in notebook.cells] == ["# Title", "P = 1", "b"]

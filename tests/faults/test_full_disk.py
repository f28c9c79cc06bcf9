"""A disk that is full when something is written: one line, and the same command goes on when there is room."""

import shutil

from commands import finished, gone, tables


def test_it_is_one_line_and_the_same_command_goes_on(checkout, undisturbed, tmp_path):
    checkout.forget_pages()
    # While a run is written, and while a page is.
    for largest, complete in ((4_000, 0), (40_000, len(finished(undisturbed)))):
        running = checkout.start(tmp_path, largest=largest)
        assert running.wait() == 2
        assert running.errors.startswith("mechlib: ") and running.errors.count("\n") == 1, running.errors
        assert "File too large" in running.errors and gone(tmp_path)
        assert len(finished(tmp_path)) == complete
    before = finished(tmp_path)
    assert checkout.start(tmp_path).wait() == 0
    assert tables(tmp_path) == tables(undisturbed)
    assert finished(tmp_path) == before


def test_a_store_that_is_no_folder_or_cannot_be_made_is_one_line(checkout, tmp_path):
    (tmp_path / "runs").write_text("")
    running = checkout.start(tmp_path)
    assert running.wait() == 2
    assert running.errors.startswith("mechlib: ") and running.errors.count("\n") == 1
    assert "MECHLIB_RUNS" in running.errors


def test_a_vanished_table_is_one_line(checkout, tmp_path):
    """What is read can go while a command runs, too."""
    facts = checkout.root / "facts.csv"
    shutil.move(facts, tmp_path / "aside.csv")
    try:
        running = checkout.start(tmp_path)
        assert running.wait() == 2
    finally:
        shutil.move(tmp_path / "aside.csv", facts)
    assert running.errors.startswith("mechlib: ") and running.errors.count("\n") == 1

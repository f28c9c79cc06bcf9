"""How the runs behind a page were computed, one line a stage, with what differs side by side."""

from mechlib.report.provenance import provenance

HOW = {"seconds": 1.25, "commit": "0123456789abcdef", "dirty": False, "machine": "x86_64 AVX2", "precision": "float32",
       "packages": {"torch": "2.9", "peft": "0.18", "numpy": "2.0"}}  # fmt: skip


def test_one_line_a_stage_with_everything_that_its_runs_share():
    (line, other) = provenance([("edit", "a", HOW), ("damage", "b", HOW), ("edit", "c", HOW)]).to_dict("records")
    assert line == {"stage": "edit", "runs": 2, "seconds": "2.5", "commit": "01234567", "machine": "x86_64 AVX2, float32",
                    "libraries": "torch 2.9, peft 0.18", "first run": "a"}  # fmt: skip
    assert (other["stage"], other["runs"], other["first run"]) == ("damage", 1, "b")


def test_what_differs_stands_side_by_side_and_what_is_missing_is_said():
    (line,) = provenance([("edit", "a", HOW), ("edit", "b", {**HOW, "dirty": True, "machine": "a card", "precision": "bfloat16"}),
                          ("edit", "c", {})]).to_dict("records")  # fmt: skip
    assert line["commit"] == "01234567; 01234567 with changes; not recorded"
    assert line["machine"] == "x86_64 AVX2, float32; a card, bfloat16; not recorded"
    assert line["seconds"] == "2.5"

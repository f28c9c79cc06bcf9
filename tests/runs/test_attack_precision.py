"""What an attack compares multiplies alike: where products are in bfloat16, an unedited model has no direction to lose."""

import pytest
from small_book import save_facts, save_model

from mechlib.runs.runner import Runner
from mechlib.runs.store import Store
from mechlib.runs.study import Study


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_removing_a_direction_leaves_an_unedited_model_as_it_is(tmp_path, precision):
    study = Study(model=str(save_model(tmp_path / "tiny")), facts=str(save_facts(tmp_path / "facts.csv", each=30)), known_threshold=0.0,
                  forget_set_size=4, forget_sets=1, localizations=("random",), formats=("one_shot",), precision=precision)  # fmt: skip
    rows = Runner(study, Store(tmp_path / "runs")).result(study.attack("direction", None, 0, 0, 0)).rows
    # The taught half is asked after the attack alone.
    asked = [row for row in rows if row["setting"] == "all" and row["group"] != "relearned"]
    before = {(row["group"], row["subject"]): row["log_probability"] for row in rows if row["setting"] == "none"}
    # What is asked beside a prompt moves its last digits.
    assert asked and all(row["log_probability"] == pytest.approx(before[row["group"], row["subject"]], abs=1e-2) for row in asked)

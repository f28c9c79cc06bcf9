"""The README's Python does what it says."""

import re
from pathlib import Path

import pytest

import mechlib

README = (Path(mechlib.__file__).parents[1] / "README.md").read_text()


@pytest.mark.real
def test_the_library_s_example_edits_own_facts_and_attacks_the_edit(real, monkeypatch, capsys):
    monkeypatch.setattr("mechlib.models.load", lambda spec: real)
    before = {name: weight.clone() for name, weight in real.parameters.items()}
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    found = {}
    exec(code, found)
    assert 0 < len(found["history"]) <= 10
    assert {(row.group, row.subject) for row in found["rows"]} == {
        *(("edited", fact.subject) for fact in found["facts"]), *(("LoRA 8, 0.0002", fact.subject) for fact in found["facts"][3:6]),
    }  # fmt: skip
    # What was edited is said otherwise, what was held is not.
    edited = {row.subject: row for row in found["rows"] if row.group == "edited"}
    assert all(edited[fact.subject].edited == (fact.answer == "France") for fact in found["facts"])
    assert capsys.readouterr().out.count("\n") == len(found["rows"])
    assert all(weight.equal(before[name]) for name, weight in real.parameters.items())

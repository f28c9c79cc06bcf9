"""Nothing drops out of a table unsaid: what nobody is asked about is counted by reason."""

from mechlib.facts import Fact, FactSet, LeftOut
from mechlib.report.sentences import left_out as sentence
from mechlib.runs.knowledge import left_out

NOT_READ = (LeftOut("E F", "stands twice", "row 4"),)
TABLE = FactSet("mine", tuple(Fact(name, "sport", "golf") for name in ("Tiger Woods", "A B", "C D")), NOT_READ)


def test_what_nobody_is_asked_about_is_listed_with_its_reason():
    found = left_out(TABLE, [{"relation": "sport", "subject": "A B"}])
    assert [str(one) for one in found] == [
        "row 4: E F: stands twice", "Tiger Woods: serves as a demonstration",
        "C D -> golf: the model's tokens cannot tell its answers apart",
    ]  # fmt: skip
    assert sentence(found[:2]) == "1 (stands twice): E F (row 4); 1 (serves as a demonstration): Tiger Woods"
    assert sentence([LeftOut(name, "why") for name in "abcd"]) == "4 (why): a, b, c ..."
    assert sentence(()) == "nothing"

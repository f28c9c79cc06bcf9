"""The strongest attacker of all, and how edits differ, from rows by hand."""

from mechlib.report.figures.scoreboard import attack_map
from mechlib.report.scoreboard import ANY, attackers, differences_by_attack, scoreboard, scoreboard_table

FORGET, MAINTAIN = ("A", "B", "C", "D"), ("M", "N")


def answers(key, setting, step, right, kept=MAINTAIN, number=0):
    """Rows of one attacked model that still knows the subjects of ``right`` and ``kept``."""
    where = {"localization": key, "forget_set": number, "seed": 0, "attack": "x", "fold": None, "setting": setting, "step": step}
    plain = {"relation": "sport", "edited": False, "format": "question"}
    return [
        {**where, **plain, "group": group, "subject": f"{subject}{number}", "correct": subject in known}
        for group, subjects, known in (("forget", FORGET, right), ("maintain", MAINTAIN, kept))
        for subject in subjects
    ]


def sets(*arguments, **options):
    return [row for number in range(6) for row in answers(*arguments, **options, number=number)]


QUANTIZED = [
    *sets("fact_lookup", "none", 0, ""), *sets("fact_lookup", "nf4", 0, "A"), *sets("fact_lookup", "int4_64", 0, "ABCD", kept=()),
    *sets("random_mlps", "none", 0, "A"), *sets("random_mlps", "nf4", 0, "AB"), *sets("random_mlps", "int4_64", 0, ""),
]  # fmt: skip
TUNED = [
    *sets("fact_lookup", "none", 0, ""), *sets("fact_lookup", "unrelated, 8", 5, ""),
    *sets("random_mlps", "none", 0, "A"), *sets("random_mlps", "unrelated, 8", 5, "ABC"),
]  # fmt: skip
ATTACKED = {"quantization": QUANTIZED, "benign": TUNED}


def test_the_strongest_attacker_leaves_the_model_whole():
    board = scoreboard(ATTACKED)
    found = {(row.localization, row.attack): (row.share, row.strongest) for row in board.itertuples()}
    # int4_64 brings everything back and breaks the model: it does not count.
    assert found[("fact_lookup", "quantization")] == (0.25, "nf4")
    assert found[("fact_lookup", "benign")] == (0.0, "before the attack")
    assert found[("fact_lookup", ANY)] == (0.25, "Quantization: nf4")
    assert found[("random_mlps", ANY)] == (0.75, "Benign fine-tuning: unrelated, 8, 5 steps")
    assert list(board[board.attack == ANY].tried) == [3, 3]


def test_where_nothing_came_back_no_attack_is_the_strongest():
    rows = [*sets("fact_lookup", "none", 0, ""), *sets("fact_lookup", "nf4", 0, "")]
    assert list(attackers(scoreboard({"quantization": rows, "benign": rows}))["strongest attacker"]) == ["before any attack"]


def test_readers_see_intervals_and_attackers():
    board = scoreboard(ATTACKED)
    table = scoreboard_table(board)
    assert list(table.columns) == ["Quantization", "Benign fine-tuning", "The strongest"]
    assert table.loc["Random MLPs", "The strongest"].startswith("0.75 [")
    assert list(attackers(board)["settings tried"]) == [3, 3]
    assert list(attack_map(board).data[0].z[1]) == [0.5, 0.75, 0.75]


def test_every_attack_is_described_at_the_setting_that_its_edits_share():
    found = differences_by_attack(ATTACKED)
    assert [(one.asked, one.other) for one in found] == [
        ("quantization: nf4", "random_mlps"), ("benign fine-tuning: unrelated, 8, 5 steps", "random_mlps"),
    ]  # fmt: skip
    assert [sum(map(sum, one.second.values())) - sum(map(sum, one.first.values())) for one in found] == [6, 18]

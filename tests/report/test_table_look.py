"""Tables for readers: one look for all cells, said once."""

import re

import pandas as pd

from mechlib.report.tables import styled


def test_the_look_is_said_once_however_many_cells_there_are():
    def parts(rows):
        style, _, table = styled(pd.DataFrame({"a": range(rows), "b": 0.123})).to_html().partition("</style>")
        return re.sub(r"T_\w+", "T", style), table

    (small, one), (large, many) = parts(1), parts(50)
    assert small == large and "pre-wrap" in small
    assert many.count("<td") == 100 and many.count(" id=") == one.count(" id=") == 1

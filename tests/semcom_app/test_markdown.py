"""Tables of the documentation."""

from __future__ import annotations

import pytest

from semcom_app.markdown import markdown_table


def test_a_table() -> None:
    assert markdown_table(["a", "b"], [["1", "2"], iter("xy")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n| x | y |"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells in a table of 2 columns"):
        markdown_table(["a", "b"], [["1"]])

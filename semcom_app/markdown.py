"""Tables for pages of documentation."""

from __future__ import annotations

from collections.abc import Iterable


def markdown_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table of rows as long as `columns`.

    Raises ValueError for a row of another length.
    """
    head, body = list(columns), [list(row) for row in rows]
    for row in body:
        if len(row) != len(head):
            raise ValueError(f"a row of {len(row)} cells in a table of {len(head)} columns: {row}")
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body))

"""Verdicts on the terminal, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from semcom_app.tables import MAX_ROWS, plain_text

_DASH = "–"


def print_verdicts(summary: Mapping[str, Any]) -> None:
    """Print verdicts on pictures (the first 20), on objects, and shares."""
    console = Console(highlight=False)
    found = summary["classification"]
    console.print(plain_text(f"classifier {found['model']}, {found['classes']} classes"))
    console.print(_pictures(summary["images"]))
    if len(summary["images"]) > MAX_ROWS:
        console.print(f"… and {len(summary['images']) - MAX_ROWS} more in result.json")
    if "objects" in found:
        console.print(_objects(found))
    for what, key in (("single view", "pictures"), ("majority vote", "majority"), ("sum rule", "sum")):
        if key in found:
            console.print(plain_text(f"{what}: {_share_text(found[key])}"))


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for title in titles:
        table.add_column(title, overflow="ellipsis", no_wrap=True)
    return table


def _verdict(row: Mapping[str, Any], end: str) -> str:
    name, confidence = row[f"class_{end}"], row[f"confidence_{end}"]
    return "lost" if name is None else f"{plain_text(name)} {100 * confidence:.0f} %"


def _pictures(rows: list[Mapping[str, Any]]) -> Table:
    table = _table("picture", "class", "verdict without the link", "with the link")
    for row in rows[:MAX_ROWS]:
        true = _DASH if row["class_true"] is None else plain_text(row["class_true"])
        table.add_row(plain_text(row["image"]), true, _verdict(row, "sent"), _verdict(row, "received"))
    return table


def _objects(found: Mapping[str, Any]) -> Table:
    table = _table("object", "class", "views", "majority without", "with link", "sum without", "with link")
    for number, entry in enumerate(found["objects"][:MAX_ROWS], 1):
        names = [entry[key] for key in ("majority_sent", "majority_received", "sum_sent", "sum_received")]
        true = entry["class_true"]
        arrived = len(entry["pictures"]) - entry["views_lost"]
        views = f"{arrived} of {len(entry['pictures'])}"
        cells = [_DASH if name is None else plain_text(name) for name in (true, *names)]
        table.add_row(str(number), cells[0], views, *cells[1:])
    return table


def _share_text(shares: Mapping[str, Any]) -> str:
    text = f"same verdict at both ends in {100 * shares['same_verdict']:.1f} % of {shares['count']}"
    if shares["labelled"]:
        low, high = shares["interval_received"]
        text += (
            f"; right without the link {100 * shares['accuracy_sent']:.1f} %, with it"
            f" {100 * shares['accuracy_received']:.1f} % ({100 * low:.1f} to {100 * high:.1f} %, 95 %)"
        )
    return text

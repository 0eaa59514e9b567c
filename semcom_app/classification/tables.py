"""Verdicts on the terminal, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from semcom_app.tables import MAX_ROWS, plain_text

_DASH = "–"
#: Characters of a name such that a row stays within 80 columns: of three of them and two confidences, of five.
_LONGEST = 15
_LONGEST_OF_FIVE = 10


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
        for note in _notes(found):
            Console(stderr=True, highlight=False).print(note, soft_wrap=True)
    for what, key in (("single view", "pictures"), ("majority vote", "majority"), ("sum rule", "sum")):
        if key in found:
            console.print(plain_text(f"{what}: {_share_text(found[key])}"))


def _notes(found: Mapping[str, Any]) -> Iterator[str]:
    """What is to be known of the objects before their verdicts are believed."""
    count = len(found["objects"])
    if found["objects_assumed"]:
        yield (
            f"{found['objects_assumed']} of {count} objects are pictures of one folder, taken as views of one object;"
            " file names OBJECT__ANGLE, folders CLASS/OBJECT or --data say which are"
        )
    if found["objects_incomplete"]:
        few = f"{found['objects_incomplete']} of {count} objects have fewer"
        yield f"{few} than {found['views']} views: the verdict is of those there are"


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for title in titles:
        table.add_column(title, no_wrap=True)
    return table


def _name(name: str | None, longest: int) -> str:
    """The name of a class; beyond `longest` characters its end is left out."""
    if name is None:
        return _DASH
    return plain_text(name if len(name) <= longest else f"{name[: longest - 1]}…")


def _verdict(row: Mapping[str, Any], end: str) -> str:
    name, confidence = row[f"class_{end}"], row[f"confidence_{end}"]
    return "lost" if name is None else f"{_name(name, _LONGEST)} {100 * confidence:.0f} %"


def _pictures(rows: list[Mapping[str, Any]]) -> Table:
    table = _table("picture", "class", "verdict\nwithout the link", "\nwith the link")
    for row in rows[:MAX_ROWS]:
        true = _name(row["class_true"], _LONGEST)
        table.add_row(_name(row["image"], _LONGEST), true, _verdict(row, "sent"), _verdict(row, "received"))
    return table


def _objects(found: Mapping[str, Any]) -> Table:
    table = _table("object", "class", "views", "majority\nwithout", "\nwith link", "sum\nwithout", "\nwith link")
    for number, entry in enumerate(found["objects"][:MAX_ROWS], 1):
        names = [entry[key] for key in ("majority_sent", "majority_received", "sum_sent", "sum_received")]
        arrived = len(entry["pictures"]) - entry["views_lost"]
        views = f"{arrived} of {found['views']}"
        cells = [_name(name, _LONGEST_OF_FIVE) for name in (entry["class_true"], *names)]
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

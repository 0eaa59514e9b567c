"""The windows of the flowgraphs: they show what the index says, and every slider reaches a block while it runs."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from semcom_phy.flowgraph import catalogue, grc_file
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.python import GnuRadio

NAMES = catalogue.names()
INDEX = catalogue.FLOWGRAPHS / "README.md"
TITLE = "## What the windows show"
#: Columns that say yes or no, by the display that they stand for.
DISPLAYS = {
    "constellation": "qtgui_const_sink_x",
    "spectrum": "qtgui_freq_sink_x",
    "waterfall": "qtgui_waterfall_sink_x",
    "over time": "qtgui_time_sink_x",
    "histogram": "qtgui_histogram_sink_x",
}
BURST_VIEW = "qtgui_semcom_burst_view"
FRAME_COUNTERS = "qtgui_semcom_frame_counters"
MEASURED = {"receiver": "Es/N0, CFO", "transmitter": "level"}
CONTROLS = ("variable_qtgui_range", "variable_qtgui_chooser")


def form(name: str) -> Path:
    return catalogue.FLOWGRAPHS / f"{name}_gui.grc"


def index() -> dict[str, dict[str, str]]:
    """The table: what each column says of each flowgraph."""
    section = INDEX.read_text().partition(f"\n{TITLE}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    header, _, *rows = cells
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


@functools.cache
def blocks(name: str) -> list[grc_file.Block]:
    found: list[grc_file.Block] = grc_file.read(form(name))["blocks"]
    return found


def place(block: grc_file.Block) -> list[int]:
    """Where it is in the window: row, column, rows, columns."""
    return [int(number) for number in block["parameters"]["gui_hint"].split(",")]


def controls(name: str) -> list[str]:
    """Ids of sliders and choosers as they lie in the window."""
    return [block["name"] for block in sorted(filter(is_control, blocks(name)), key=place)]


def is_control(block: grc_file.Block) -> bool:
    return block["id"] in CONTROLS


def shown(name: str) -> dict[str, str]:
    """A row of the table, from the flowgraph itself."""
    kinds = {block["id"] for block in blocks(name)}
    row = {column: "yes" if kind in kinds else "–" for column, kind in DISPLAYS.items()}
    ends = [block["parameters"]["end"] for block in blocks(name) if block["id"] == BURST_VIEW]
    if ends:
        measured = MEASURED[ends[0]]
    elif "qtgui_number_sink" in kinds:
        measured = "bit errors"
    else:
        measured = "Es/N0" if FRAME_COUNTERS in kinds else "–"
    return {
        **row,
        "measured": measured,
        "frames": "yes" if kinds & {BURST_VIEW, FRAME_COUNTERS} else "–",
        "sliders and choosers": ", ".join(f"`{control}`" for control in controls(name)),
    }


def test_the_index_knows_every_window() -> None:
    assert sorted(index()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_index_says_what_a_window_shows(name: str) -> None:
    assert index()[name] == shown(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_window_counts_frames_and_has_a_slider(name: str) -> None:
    assert shown(name)["frames"] == "yes"
    assert controls(name)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_a_window_lies_upon_another(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for block in blocks(name):
        if not block["parameters"].get("gui_hint"):
            assert not block["id"].startswith("qtgui_"), f"{block['name']} has no place"
            continue
        row, column, height, width = place(block)
        cells = [(row + down, column + right) for down in range(height) for right in range(width)]
        for cell in cells:
            assert taken.setdefault(cell, block["name"]) == block["name"]


def reached(program: Path, control: str) -> set[str]:
    """Blocks that a generated program gives something new when the value of `control` changes."""
    nodes = ast.walk(ast.parse(program.read_text()))
    methods = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
    found: set[str] = set()
    names, seen = [control], set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        for call in (node for node in ast.walk(methods[f"set_{name}"]) if isinstance(node, ast.Call)):
            match call.func:
                case ast.Attribute(value=ast.Name(id="self"), attr=method) if method.startswith("set_"):
                    names.append(method.removeprefix("set_"))  # a variable that follows
                case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr=block)):
                    found.add(block)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_slider_reaches_a_block_that_is_no_display(name: str, gnuradio: GnuRadio) -> None:
    program = compile_flowgraph(form(name), gnuradio).program
    working = {block["name"] for block in blocks(name) if not block["id"].startswith(("qtgui_", "variable"))}
    for control in controls(name):
        assert reached(program, control) & working - {"application"}, control

"""The headless form of a flowgraph, derived from the form with a GUI.

A person edits ``NAME_gui.grc``; ``NAME.grc`` follows from it by these rules:

* The id loses its ``_gui``; the program has no GUI and runs until it is told to stop, without a prompt.
* Displays (blocks ``qtgui_*`` and the QT message widgets) are dropped with their connections, and so is every block
  whose outputs fed nothing but them, directly or through others. The Application block always stays.
* A stream output that has lost its only consumer ends in a null sink: GNU Radio runs no block with a loose end.
* An input widget (range, chooser, check box, entry) becomes a ``parameter`` of the same id, and so a command line
  option. One whose start value names another block of the flowgraph becomes a variable, because that block is the
  option already; so does one of type Any, which no option can carry.
* A label, a push button, a dial or a toggle switch becomes a variable with the widget's value at the start.
* Everything else stays as it is; hints where to show a block are emptied.
"""

from __future__ import annotations

import ast
import copy
from collections import defaultdict
from typing import Any, Final

from semcom_phy.errors import FormatError
from semcom_phy.flowgraph.grc_file import Block, Document, dump, parse

GUI_SUFFIX: Final = "_gui"
#: Always kept: it hands PDUs to the application itself, whatever its outputs feed.
KEPT: Final = frozenset({"semcom_application"})

_INPUT_WIDGETS: Final = frozenset(f"variable_qtgui_{kind}" for kind in ("range", "chooser", "check_box", "entry"))
_CONSTANT_WIDGETS: Final = frozenset(
    f"variable_qtgui_{kind}" for kind in ("label", "push_button", "dial_control", "toggle_switch")
)
_OPTION_TYPES: Final = {
    "float": "eng_float",
    "real": "eng_float",
    "int": "intx",
    "bool": "intx",
    "string": "str",
}
_TRUTH: Final = {"True": "1", "False": "0"}


def derive_text(text: str) -> str:
    """Text of the headless .grc from the text of the form with a GUI; raises FormatError as `derive` does."""
    return dump(derive(parse(text)))


def derive(document: Document) -> Document:
    """Headless form of a flowgraph; `document` stays as it is.

    Raises FormatError if it is not the form with a GUI, or a kept block would lose a stream input or an output of
    unknown type.
    """
    document = copy.deepcopy(document)
    blocks: list[Block] = document["blocks"]
    names = {block["name"] for block in blocks}
    dropped = _dropped(blocks, document["connections"])
    kept = [_without_gui(block, names) for block in blocks if block["name"] not in dropped]
    connections = [entry for entry in document["connections"] if not {entry[0], entry[2]} & dropped]
    for name, port, kind in _loose_outputs(document, dropped):
        sink = _null_sink(f"{name}_{port}_unused", kind, document)
        kept.append(sink)
        connections.append([name, port, sink["name"], "0"])
    return {
        "options": _options(document["options"]),
        "blocks": sorted(kept, key=_companion_order),
        "connections": sorted(connections),
        "metadata": document["metadata"],
    }


def _options(options: Block) -> Block:
    parameters = options["parameters"]
    if parameters.get("generate_options") != "qt_gui" or not parameters["id"].endswith(GUI_SUFFIX):
        raise FormatError(f"the form with a GUI generates QT GUI and has an id that ends in {GUI_SUFFIX}")
    parameters["id"] = parameters["id"].removesuffix(GUI_SUFFIX)
    parameters["generate_options"] = "no_gui"
    parameters["run_options"] = "run"
    return options


def _companion_order(block: Block) -> tuple[bool, str]:
    return not block["id"].startswith("variable"), block["name"]


def _is_display(block: Block) -> bool:
    kind = block["id"]
    return kind.startswith("qtgui_") or (
        kind.startswith("variable_qtgui_") and kind not in _INPUT_WIDGETS | _CONSTANT_WIDGETS
    )


def _dropped(blocks: list[Block], connections: list[list[str]]) -> set[str]:
    """Names of the displays and of all blocks that fed nothing else."""
    consumers: dict[str, set[str]] = defaultdict(set)
    for source, _, sink, _ in connections:
        consumers[source].add(sink)
    for end in blocks:  # a pair of virtual blocks is a connection
        if end["id"] == "virtual_sink":
            consumers[end["name"]] |= {
                start["name"]
                for start in blocks
                if start["id"] == "virtual_source" and _stream_id(start) == _stream_id(end)
            }
    dropped = {block["name"] for block in blocks if _is_display(block)}
    protected = {block["name"] for block in blocks if block["id"] in KEPT}
    while True:
        more = {name for name, fed in consumers.items() if fed and fed <= dropped} - dropped - protected
        if not more:
            return dropped
        dropped |= more


def _stream_id(block: Block) -> str | None:
    return block["parameters"].get("stream_id")


def _loose_outputs(document: Document, dropped: set[str]) -> list[tuple[str, str, str]]:
    """(block, port, item type) of the stream outputs that have lost their last consumer."""
    types = {block["name"]: block["parameters"].get("type", "") for block in document["blocks"]}
    taken = {(source, port) for source, port, sink, _ in document["connections"] if sink not in dropped}
    loose: dict[tuple[str, str], str] = {}
    for source, port, sink, sink_port in document["connections"]:
        if source in dropped and sink not in dropped and sink_port.isdigit():
            raise FormatError(f"the display {source!r} feeds the stream of {sink!r}, which stays; disconnect it")
        if source in dropped or sink not in dropped or not port.isdigit() or (source, port) in taken:
            continue
        if types[sink] not in ("complex", "float", "int", "short", "byte"):
            raise FormatError(f"output {port} of {source!r} feeds displays alone; connect it to a null sink as well")
        loose.setdefault((source, port), types[sink])
    return [(source, port, kind) for (source, port), kind in sorted(loose.items())]


def _null_sink(name: str, kind: str, document: Document) -> Block:
    parameters = {
        "affinity": "",
        "alias": "",
        "bus_structure_sink": "[[0,],]",
        "comment": "",
        "num_inputs": "1",
        "type": kind,
        "vlen": "1",
    }
    coordinate = list(document["options"]["states"].get("coordinate", [8, 8]))
    states: dict[str, Any] = {
        "bus_sink": False,
        "bus_source": False,
        "bus_structure": None,
        "coordinate": coordinate,
        "rotation": 0,
        "state": "enabled",
    }
    return {"name": name, "id": "blocks_null_sink", "parameters": parameters, "states": states}


def _without_gui(block: Block, names: set[str]) -> Block:
    parameters = block["parameters"]
    if block["id"] in _INPUT_WIDGETS | _CONSTANT_WIDGETS:
        kind = _OPTION_TYPES.get(parameters.get("rangeType") or parameters.get("type", ""))
        value = parameters.get("value", "")
        if kind is None or block["id"] in _CONSTANT_WIDGETS or _names_in(value) & names:
            return _replaced(block, "variable", {"value": value})
        label = parameters.get("label", "").strip("'\"")
        option = {
            "alias": "",
            "hide": "none",
            "label": label,
            "short_id": "",
            "type": kind,
            "value": _TRUTH.get(value, value) if kind == "intx" else value,
        }
        return _replaced(block, "parameter", option)
    if "gui_hint" in parameters:
        parameters["gui_hint"] = ""
    return block


def _replaced(block: Block, kind: str, parameters: dict[str, str]) -> Block:
    comment = block["parameters"].get("comment", "")
    return {
        "name": block["name"],
        "id": kind,
        "parameters": {"comment": comment, **parameters},
        "states": block["states"],
    }


def _names_in(expression: str) -> set[str]:
    """Names that a value refers to; none if it is no expression, as an unquoted string need not be."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}

"""Flowgraph files of GNU Radio Companion (.grc, YAML, file format 1): read with bounds, written as Companion does.

A document is the parsed file: mappings `options` and `metadata`, lists `blocks` and `connections`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from semcom_phy.errors import FormatError

Document = dict[str, Any]
Block = dict[str, Any]

FILE_FORMAT: Final = 1
MAX_BYTES: Final = 4 << 20
MAX_NODES: Final = 200_000
MAX_DEPTH: Final = 12


def read(path: Path) -> Document:
    """Read and check a .grc file.

    Raises FormatError if it cannot be read, is larger than 4 MiB, or is no flowgraph of file format 1.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}; see `semcom flowgraph list`") from None
    if len(data) > MAX_BYTES:
        raise FormatError(f"{path} has more than {MAX_BYTES >> 20} MiB; it is no flowgraph")
    try:
        return parse(data.decode())
    except (FormatError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise FormatError(f"{path} is no flowgraph: {reason}") from None


def parse(text: str) -> Document:
    """Parse the text of a .grc file; raises FormatError that says what is wrong with it."""
    import yaml

    try:
        from yaml import CSafeLoader as SafeLoader  # ten times as fast
    except ImportError:
        from yaml import SafeLoader
    try:
        _check_bounds(yaml.parse(text, Loader=SafeLoader))
        document = yaml.load(text, Loader=SafeLoader)
    except yaml.YAMLError as error:
        raise FormatError(f"it is not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:  # a date or a number that does not exist
        raise FormatError(f"it has an impossible value: {error}") from None
    _check_form(document)
    return document


def dump(document: Document) -> str:
    """Return the text of the file, key by key as Companion saves it."""
    import yaml

    class Flowing(list[Any]):
        """A list on one line."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(
        Flowing, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
    )

    def written(block: Block) -> Block:
        states = {**block["states"]}
        if isinstance(states.get("coordinate"), list):
            states["coordinate"] = Flowing(states["coordinate"])
        return {
            **block,
            "parameters": dict(sorted(block["parameters"].items())),
            "states": dict(sorted(states.items())),
        }

    ordered = {
        "options": written(document["options"]),
        "blocks": [written(block) for block in document["blocks"]],
        "connections": [Flowing(connection) for connection in sorted(document["connections"])],
        "metadata": document["metadata"],
    }
    text: str = yaml.dump(ordered, Dumper=Dumper, indent=2, sort_keys=False, default_flow_style=False)
    for section in ("blocks:", "connections:", "metadata:"):
        text = text.replace(f"\n{section}\n", f"\n\n{section}\n", 1)
    return text


def _check_bounds(events: Iterator[Any]) -> None:
    """Before anything is built: depth and number of nodes; no aliases, which Companion never writes."""
    import yaml

    depth = nodes = 0
    for event in events:
        nodes += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.AliasEvent):
            raise FormatError("it has a YAML alias; save it with GNU Radio Companion")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise FormatError(f"it is nested deeper than {MAX_DEPTH} levels or has more than {MAX_NODES} nodes")


def _check_form(document: Any) -> None:
    if not isinstance(document, dict):
        raise FormatError("it has no options, blocks and connections")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("file_format") != FILE_FORMAT:
        raise FormatError(f"its file format is not {FILE_FORMAT}; save it with GNU Radio Companion 3.8 or later")
    options, blocks, connections = (document.get(key) for key in ("options", "blocks", "connections"))
    if not isinstance(options, dict) or not _is_block(options) or not isinstance(options["parameters"].get("id"), str):
        raise FormatError("its options lack an id")
    if not isinstance(blocks, list) or not all(map(_is_named_block, blocks)):
        raise FormatError("a block of it lacks name, id, parameters or states")
    if len({block["name"] for block in blocks}) != len(blocks):
        raise FormatError("two blocks of it have the same name")
    if connections is None:  # what is left of an empty list that was edited by hand
        document["connections"] = connections = []
    names = {block["name"] for block in blocks}
    if not isinstance(connections, list) or not all(_is_connection(entry, names) for entry in connections):
        raise FormatError("a connection of it is not [block, port, block, port] of blocks in the file")


def _is_block(block: Any) -> bool:
    return (
        isinstance(block, dict)
        and isinstance(block.get("parameters"), dict)
        and all(isinstance(key, str) and isinstance(value, str) for key, value in block["parameters"].items())
        and isinstance(block.get("states"), dict)
        and all(isinstance(key, str) for key in block["states"])
    )


def _is_named_block(block: Any) -> bool:
    return _is_block(block) and all(isinstance(block.get(key), str) and block[key] for key in ("name", "id"))


def _is_connection(entry: Any, names: set[str]) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 4
        and all(isinstance(item, str) for item in entry)
        and {entry[0], entry[2]} <= names
    )

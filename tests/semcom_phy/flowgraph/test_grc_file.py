"""Reading and writing .grc files: what Companion writes comes out byte for byte; what is no flowgraph is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.errors import FormatError
from semcom_phy.flowgraph import grc_file

GOLDEN = Path(__file__).parent / "golden"
SMALL = """\
options:
  parameters: {id: small}
  states: {}
blocks:
- name: a
  id: variable
  parameters: {value: '1'}
  states: {}
connections: []
metadata: {file_format: 1}
"""


@pytest.mark.parametrize("name", ["widgets_gui", "widgets"])
def test_what_companion_has_written_is_written_again(name: str) -> None:
    text = (GOLDEN / f"{name}.grc").read_text()
    assert grc_file.dump(grc_file.parse(text)) == text


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=200))
def test_values_survive(value: str) -> None:
    document = grc_file.parse(SMALL)
    document["blocks"][0]["parameters"]["value"] = value
    assert grc_file.parse(grc_file.dump(document)) == document


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("file_format: 1", "file_format: 2", "file format is not 1"),
        ("{id: small}", "{name: small}", "lack an id"),
        ("{value: '1'}", "{value: 1}", "lacks name, id, parameters"),
        ("connections: []", "connections: [[a, '0', b, '0']]", "of blocks in the file"),
        ("connections: []", "connections: [[a, '0']]", "is not .block, port, block, port."),
        ("parameters: {id: small}", "parameters: [", "not YAML"),
        ("{value: '1'}", "{value: !!python/name:os.system ''}", "not YAML"),
        ("states: {}\nblocks", "states: &s {}\nother: *s\nblocks", "alias"),
        ("states: {}\nblocks", "states: {a: 2020-13-45}\nblocks", "impossible value"),
        ("states: {}\nblocks", "states: {a: " + 20 * "[" + 20 * "]" + "}\nblocks", "nested deeper"),
    ],
)
def test_what_is_no_flowgraph_is_refused(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(FormatError, match=message):
        grc_file.parse(SMALL.replace(old, new, 1))


def test_names_of_blocks_are_unique() -> None:
    twice = "- name: a\n  id: variable\n  parameters: {}\n  states: {}\nconnections"
    with pytest.raises(FormatError, match="same name"):
        grc_file.parse(SMALL.replace("connections", twice))


@pytest.mark.parametrize("text", ["", "[]", "3", "\0", "\ufeff", "a: b: c", "- - - -\n" * 10])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        grc_file.parse(text)


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    text = (GOLDEN / "widgets.grc").read_text()[:3000]
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.text(max_size=3)) + text[place + data.draw(st.integers(0, 5)) :]
    with contextlib.suppress(FormatError):
        assert grc_file.parse(damaged)["metadata"]["file_format"] == 1


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.grc"
    with pytest.raises(FormatError, match="cannot read"):
        grc_file.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError, match="not UTF-8"):
        grc_file.read(path)
    path.write_text(SMALL)
    assert grc_file.read(path)["options"]["parameters"]["id"] == "small"
    monkeypatch.setattr(grc_file, "MAX_BYTES", 100)
    with pytest.raises(FormatError, match="no flowgraph"):
        grc_file.read(path)
    monkeypatch.undo()
    monkeypatch.setattr(grc_file, "MAX_NODES", 5)
    with pytest.raises(FormatError, match="more than 5 nodes"):
        grc_file.read(path)

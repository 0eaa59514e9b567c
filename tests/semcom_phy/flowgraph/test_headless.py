"""The headless form: every rule by a golden file, and what cannot be derived is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from semcom_phy.errors import FormatError
from semcom_phy.flowgraph import grc_file
from semcom_phy.flowgraph.headless import derive, derive_text

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def widgets() -> grc_file.Document:
    """A flowgraph with every kind of block that the headless form treats in a way of its own."""
    return grc_file.read(GOLDEN / "widgets_gui.grc")


def by_name(document: grc_file.Document) -> dict[str, dict[str, Any]]:
    return {block["name"]: block for block in document["blocks"]}


def test_the_golden_file() -> None:
    assert derive_text((GOLDEN / "widgets_gui.grc").read_text()) == (GOLDEN / "widgets.grc").read_text()


def test_the_document_stays_as_it_is(widgets: grc_file.Document) -> None:
    before = copy.deepcopy(widgets)
    derive(widgets)
    assert widgets == before


def test_the_program_runs_without_gui_and_prompt(widgets: grc_file.Document) -> None:
    options = derive(widgets)["options"]["parameters"]
    assert (options["id"], options["generate_options"], options["run_options"]) == ("widgets", "no_gui", "run")


def test_input_widgets_become_options(widgets: grc_file.Document) -> None:
    blocks = by_name(derive(widgets))
    options = {name: block["parameters"] for name, block in blocks.items() if block["id"] == "parameter"}
    assert {name: (option["type"], option["value"]) for name, option in options.items()} == {
        "frequency": ("eng_float", "1000"),
        "gain": ("eng_float", "1"),
        "length": ("intx", "int(math.pi * 3)"),
        "level": ("eng_float", "0.5"),
        "mute": ("intx", "0"),
        "waveform": ("str", "cosine"),
    }
    assert options["frequency"]["label"] == "Frequency (Hz)"
    # Its start value is a parameter of the flowgraph: that is the option, and this follows it.
    assert (blocks["amplitude"]["id"], blocks["amplitude"]["parameters"]["value"]) == ("variable", "level")
    assert blocks["note"]["id"] == "variable"


def test_displays_go_and_with_them_what_fed_nothing_else(widgets: grc_file.Document) -> None:
    headless = derive(widgets)
    gone = by_name(widgets).keys() - by_name(headless).keys()
    assert gone == {
        "tabs",
        "button",
        "spectrum",
        "quadrature",
        "envelope",
        "waterfall",
        "average",
        "magnitude",
        "shortcut_in",
        "shortcut_out",
    }
    assert not any(block["parameters"].get("gui_hint") for block in headless["blocks"])


def test_a_loose_output_ends_in_a_null_sink(widgets: grc_file.Document) -> None:
    headless = derive(widgets)
    assert ["split", "1", "split_1_unused", "0"] in headless["connections"]
    sink = by_name(headless)["split_1_unused"]
    assert (sink["id"], sink["parameters"]["type"]) == ("blocks_null_sink", "float")


def test_a_loose_output_of_unknown_type_is_refused(widgets: grc_file.Document) -> None:
    del by_name(widgets)["quadrature"]["parameters"]["type"]
    with pytest.raises(FormatError, match="output 1 of 'split'"):
        derive(widgets)


def test_a_display_that_feeds_a_stream_is_refused(widgets: grc_file.Document) -> None:
    widgets["connections"].append(["spectrum", "0", "kept", "1"])
    with pytest.raises(FormatError, match="'spectrum' feeds"):
        derive(widgets)


def test_the_application_stays_whatever_it_feeds(widgets: grc_file.Document) -> None:
    by_name(widgets)["magnitude"]["id"] = "semcom_application"
    assert "magnitude" in by_name(derive(widgets))


@pytest.mark.parametrize(("key", "value"), [("generate_options", "no_gui"), ("id", "widgets")])
def test_only_a_form_with_a_gui_is_taken(widgets: grc_file.Document, key: str, value: str) -> None:
    widgets["options"]["parameters"][key] = value
    with pytest.raises(FormatError, match="ends in _gui"):
        derive(widgets)

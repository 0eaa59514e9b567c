"""The catalogue: forms, options and refusals, on a folder made for the test and on the project's own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.catalogue import FLOWGRAPHS, FlowgraphParameter

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """widgets in both forms, alone with a GUI only, bare headless only."""
    for source, target in (("widgets_gui", "alone_gui"), ("widgets", "bare")):
        shutil.copy(GOLDEN / f"{source}.grc", tmp_path / f"{target}.grc")
    for name in ("widgets", "widgets_gui"):
        shutil.copy(GOLDEN / f"{name}.grc", tmp_path)
    return tmp_path


def test_names_and_forms(folder: Path) -> None:
    found = {flowgraph.name: flowgraph for flowgraph in catalogue.flowgraphs(folder)}
    assert list(found) == ["alone", "bare", "widgets"]
    assert found["widgets"].form(gui=True) == folder / "widgets_gui.grc"
    assert found["widgets"].form(gui=False) == folder / "widgets.grc"
    with pytest.raises(ConfigurationError, match="has no headless form"):
        found["alone"].form(gui=False)
    with pytest.raises(ConfigurationError, match="has no form with a GUI"):
        found["bare"].form(gui=True)


def test_options(folder: Path) -> None:
    widgets = catalogue.find("widgets", folder)
    assert (widgets.title, widgets.attaches) == ("Widgets", False)
    assert widgets.parameters[0] == FlowgraphParameter("frequency", "eng_float", "1000", "Frequency (Hz)")
    assert [p.option for p in widgets.parameters] == [
        "--frequency",
        "--gain",
        "--length",
        "--level",
        "--mute",
        "--waveform",
    ]
    assert FlowgraphParameter("block_bits", "intx", "40", "K").option == "--block-bits"
    # Without a headless form, what the form with a GUI takes.
    assert [p.id for p in catalogue.find("alone", folder).parameters] == ["level"]


@pytest.mark.parametrize("name", ["widgets", "widgets_gui", "widgets.grc", "widgets_gui.grc"])
def test_names_as_people_write_them(folder: Path, name: str) -> None:
    assert catalogue.find(name, folder).name == "widgets"


def test_unknown_names(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'widgets'"):
        catalogue.find("wigdets", folder)
    with pytest.raises(ConfigurationError, match="none in"):
        catalogue.find("widgets", tmp_path_factory.mktemp("empty"))


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "bare.grc").write_text("options: [")
    with pytest.raises(FormatError, match=r"bare\.grc is no flowgraph"):
        catalogue.flowgraphs(folder)


def test_the_project_s_flowgraphs_have_both_forms_and_explain_themselves() -> None:
    found = catalogue.flowgraphs()
    index = (FLOWGRAPHS / "README.md").read_text()
    assert {"native_bpsk", "native_turbo"} <= {flowgraph.name for flowgraph in found}
    for flowgraph in found:
        assert flowgraph.gui is not None, flowgraph.name
        assert flowgraph.headless is not None, flowgraph.name
        assert flowgraph.title != flowgraph.name
        assert flowgraph.description, flowgraph.name
        assert (FLOWGRAPHS / f"{flowgraph.name}.md").is_file(), flowgraph.name
        assert f"[{flowgraph.name}]({flowgraph.name}.md)" in index
        for parameter in flowgraph.parameters:
            assert parameter.label != parameter.id, f"{flowgraph.name}: {parameter.id} has no label"


def test_the_pages_show_canvas_and_window() -> None:
    screenshots = FLOWGRAPHS / "screenshots"
    expected = set()
    for name in catalogue.names():
        pictures = re.findall(r"!\[\w+\]\(([^)]+)\)", (FLOWGRAPHS / f"{name}.md").read_text())
        assert pictures == [f"screenshots/{name}_canvas.png", f"screenshots/{name}.png"]
        expected |= {FLOWGRAPHS / picture for picture in pictures}
    assert set(screenshots.iterdir()) == expected
    for picture in expected:
        assert picture.read_bytes().startswith(b"\x89PNG"), picture.name
        assert picture.stat().st_size <= 200_000, picture.name

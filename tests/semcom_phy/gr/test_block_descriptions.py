"""The blocks' descriptions for Companion: they load without a complaint, and say what a user needs to know."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from semcom_phy.flowgraph.python import BLOCKS, GnuRadio, environment

pytestmark = pytest.mark.slow

#: Loads the library as Companion does, and prints what it has to say and what it makes of our blocks.
SCRIPT = """\
import json, logging
from gnuradio import gr
from gnuradio.grc.core.platform import Platform
complaints = []
class Listener(logging.Handler):
    def emit(self, record):
        complaints.append(record.getMessage())
logging.getLogger().addHandler(Listener(logging.WARNING))
platform = Platform(name="test", prefs=gr.prefs(), version=gr.version(), version_parts=(3, 10, 0))
platform.build_library()
flow_graph = platform.make_flow_graph()
blocks = {}
for key, kind in platform.blocks.items():
    if "semcom" in key:
        block = flow_graph.new_block(key)
        block.rewrite()
        blocks[key] = {
            "label": kind.label,
            "category": kind.category,
            "documentation": kind.documentation.get("", ""),
            "parameters": {name: p.name for name, p in block.params.items()},
            "ports": [port.key for port in [*block.sinks, *block.sources]],
            "callbacks": block.get_callbacks(),
        }
print("RESULT" + json.dumps([complaints, blocks]))
"""
SYMBOL_BLOCKS = {
    "semcom_application": ["received", "frames"],
    "semcom_turbo_encoder": ["in", "out"],
    "semcom_turbo_decoder": ["in", "out"],
    "semcom_frame_tx": ["in", "out"],
    "semcom_frame_rx": ["in", "out"],
    "semcom_soft_mapper": ["in", "out"],
    "semcom_soft_demapper": ["in", "out"],
    "semcom_channel": ["in", "out"],
    "semcom_image_pdu_source": ["next", "out"],
    "semcom_image_pdu_sink": ["in"],
    "semcom_pdu_probe": ["in", "out"],
    "qtgui_semcom_frame_counters": ["in"],
}
Library = tuple[list[str], dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def library(gnuradio: GnuRadio) -> Library:
    done = subprocess.run(
        [gnuradio.python, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment(), timeout=120
    )
    complaints, blocks = json.loads(done.stdout.partition("RESULT")[2])
    return complaints, blocks


def test_companion_does_not_complain(library: Library) -> None:
    assert library[0] == []


def test_every_description_makes_a_block(library: Library) -> None:
    ids = {line.split()[1] for path in BLOCKS.glob("*.block.yml") for line in path.read_text().splitlines()[:1]}
    assert ids == set(library[1])
    # All stand in one place of Companion's tree.
    assert all(block["category"] == ["Semantic Communication"] for block in library[1].values())


@pytest.mark.parametrize("key", SYMBOL_BLOCKS)
def test_a_block_is_described(key: str, library: Library) -> None:
    block = library[1][key]
    assert block["ports"] == SYMBOL_BLOCKS[key]
    assert len(block["documentation"]) > 60
    for name, label in block["parameters"].items():
        assert label.strip(), name


def test_what_can_be_set_while_it_runs(library: Library) -> None:
    callbacks = {
        key: {text.partition("(")[0].rpartition(".")[2] for text in library[1][key]["callbacks"]}
        for key in SYMBOL_BLOCKS
    }
    assert callbacks["semcom_channel"] == {
        "set_snr_db",
        "set_flip_probability",
        "set_doppler_hz",
        "set_symbol_rate_hz",
        "set_scatterers",
    }
    assert callbacks["semcom_turbo_decoder"] == {"set_iterations", "set_algorithm", "set_early_stop"}

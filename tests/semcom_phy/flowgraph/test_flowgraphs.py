"""Every flowgraph of the project: its headless form is derived, it compiles, starts, and ends when it is told to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from semcom_phy.flowgraph import catalogue, grc_file
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.headless import derive_text
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.zmq import ApplicationEnd

FLOWGRAPHS = sorted(catalogue.FLOWGRAPHS.glob("*.grc"))
GUI_FORMS = [path for path in FLOWGRAPHS if path.stem.endswith("_gui")]
#: These start where there is a radio and are tested with one, or with what stands in for it.
NEED_A_RADIO = {"soapy_rx", "soapy_tx", "uhd_rx", "uhd_tx"}
ATTACHED = [flowgraph.name for flowgraph in catalogue.flowgraphs() if flowgraph.attaches]
STARTED = [name for name in ATTACHED if name not in NEED_A_RADIO]
#: These are given no frames to send.
ONLY_RECEIVE = {"air_rx", "sigmf_replay", "soapy_rx", "uhd_rx"}
ENDS = ("data_to_flowgraph", "data_from_flowgraph", "control_to_flowgraph", "control_from_flowgraph")
READY_S = 60.0
END_S = 20.0
#: Loads and saves flowgraphs as Companion does.
SAVE = """\
import sys
from gnuradio import gr
from gnuradio.grc.core.platform import Platform
platform = Platform(name="test", prefs=gr.prefs(), version=gr.version(), version_parts=(3, 10, 0))
platform.build_library()
for path in sys.argv[2:]:
    platform.save_flow_graph(sys.argv[1] + "/" + path.rpartition("/")[2], platform.make_flow_graph(path))
"""


@pytest.mark.parametrize("path", GUI_FORMS, ids=lambda path: path.stem)
def test_the_headless_form_is_what_is_derived(path: Path) -> None:
    headless = path.with_name(path.name.replace("_gui.grc", ".grc"))
    assert headless.read_text() == derive_text(path.read_text()), "run `semcom flowgraph headless`"


@pytest.mark.parametrize("path", FLOWGRAPHS, ids=lambda path: path.stem)
def test_files_can_go_anywhere(path: Path) -> None:
    document = grc_file.read(path)
    assert document["options"]["parameters"]["id"] == path.stem
    for block in [document["options"], *document["blocks"]]:
        for key, value in block["parameters"].items():
            assert "/home/" not in value, key
            assert str(catalogue.FLOWGRAPHS.parent) not in value, key


@pytest.mark.parametrize("name", ATTACHED)
def test_a_transmitter_and_a_receiver_have_ports_of_their_own(name: str) -> None:
    """So that both run on one host without options."""
    defaults = {parameter.id: parameter.default for parameter in catalogue.find(name).parameters}
    first = 29011 if name in ONLY_RECEIVE else 29001
    assert [defaults[end] for end in ENDS] == [f"tcp://127.0.0.1:{first + number}" for number in range(4)]
    page = (catalogue.FLOWGRAPHS / f"{name}.md").read_text()
    assert f"| the four addresses of the application | ports {first} to {first + 3} |" in page


@pytest.mark.slow
def test_companion_would_save_them_as_they_are(gnuradio: GnuRadio, tmp_path: Path) -> None:
    command = [gnuradio.python, "-c", SAVE, tmp_path, *FLOWGRAPHS]
    subprocess.run(command, check=True, capture_output=True, env=environment(), timeout=300)
    for path in FLOWGRAPHS:
        saved = (tmp_path / path.name).read_text()
        # Its own version is what a newer Companion would write.
        assert saved.partition("\nmetadata:")[0] == path.read_text().partition("\nmetadata:")[0], path.name


@pytest.mark.slow
@pytest.mark.parametrize("path", FLOWGRAPHS, ids=lambda path: path.stem)
def test_it_compiles_without_warnings(path: Path, gnuradio: GnuRadio) -> None:
    assert compile_flowgraph(path, gnuradio).warnings == ()


@contextmanager
def running(
    gnuradio: GnuRadio, path: Path, application: ApplicationEnd, folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """The program of a flowgraph in a folder of its own, connecting to `application`, without a display or input."""
    arguments = [
        f"--{end.replace('_', '-')}={address}"
        for end, address in zip(ENDS, application.addresses.as_arguments(), strict=True)
    ]
    if "--address" in [parameter.option for parameter in catalogue.parameters(grc_file.read(path))]:
        arguments.append(f"--address=ipc://{folder}/air")  # several of them run side by side
    folder.mkdir()
    (folder / "captures").symlink_to(catalogue.FLOWGRAPHS.parent / "captures")
    process = subprocess.Popen(
        [gnuradio.python, "-u", compile_flowgraph(path, gnuradio).program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**environment(), "QT_QPA_PLATFORM": "offscreen"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_it_minds_signals(process: subprocess.Popen[str]) -> None:
    """GRC's programs install their handlers when the flowgraph is running already, and answers."""
    deadline = time.monotonic() + END_S
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        assert time.monotonic() < deadline, "no handler for SIGTERM"
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="GNU Radio of a Linux distribution")
@pytest.mark.parametrize("name", STARTED)
def test_it_starts_and_ends_when_told_to(name: str, gnuradio: GnuRadio, tmp_path: Path) -> None:
    flowgraph = catalogue.find(name)
    ways = ((False, signal.SIGTERM), (False, signal.SIGINT), (True, signal.SIGTERM))
    with ExitStack() as stack:
        started = []
        for place, (gui, number) in enumerate(ways):
            application = stack.enter_context(ApplicationEnd())
            folder = tmp_path / str(place)
            process = stack.enter_context(running(gnuradio, flowgraph.form(gui), application, folder))
            started.append((application, process, number))
        for application, process, number in started:
            peer = application.wait_ready(READY_S, pid=process.pid)
            assert peer.capabilities["flowgraph"] == name
            wait_until_it_minds_signals(process)
            process.send_signal(number)
            output, _ = process.communicate(timeout=END_S)
            assert process.returncode == 0, output
            assert "Traceback" not in output
            assert "Press Enter" not in output

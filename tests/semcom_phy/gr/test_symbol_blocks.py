"""The symbol-level blocks in GNU Radio against the NumPy link: the same bits from the same seeds, whatever comes in."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semcom_phy.channels import make_channel
from semcom_phy.coding.transport import TurboCode
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.links import Frame, NumpyLink, NumpyLinkConfig
from semcom_phy.links.accounting import SymbolChain
from semcom_phy.links.base import ReceivedFrame
from semcom_phy.links.frame_pdus import ReceivedPdu, frame_to_pdu, received_from_pdu
from semcom_phy.zmq import ApplicationEnd, Pdu

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "scripts" / "symbol_chains.py"
SEED = 5
ANSWER_S = 60.0
START_S = 120.0  # kernels may have to be compiled


@dataclass(frozen=True)
class Case:
    """A chain of blocks, and what makes the NumPy link that does the same."""

    name: str
    channel: dict[str, Any]
    fec: str = "turbo"
    rate: float | None = None
    redundancy_version: int = 0
    interleave: bool = False
    modulation: str = "bpsk"
    decoder: dict[str, Any] | None = None

    def blocks(self, addresses: list[str]) -> dict[str, Any]:
        """The chain, for the script."""
        return {
            "addresses": addresses,
            "fec": self.fec,
            "encoder": {"rate": self.rate, "redundancy_version": self.redundancy_version},
            "decoder": self.decoder or {},
            "interleave": self.interleave,
            "modulation": self.modulation,
            "channel": {**self.channel, "seed": SEED},
        }

    def numpy_config(self) -> NumpyLinkConfig:
        """The configuration of the NumPy link."""
        parameters = dict(self.channel)
        turbo = TurboCode(rate=self.rate, **(self.decoder or {}))
        channel = make_channel(parameters.pop("model"), **parameters)
        return NumpyLinkConfig(channel, self.fec, turbo, self.interleave, SEED, self.redundancy_version)


FADING = {"model": "rayleigh", "snr_db": 3.0, "doppler_hz": 20.0, "symbol_rate_hz": 1e5}
CASES = [
    Case("uncoded", {"model": "awgn", "snr_db": 4.0}, "none"),
    Case("uncoded, interleaved", {"model": "rayleigh", "snr_db": 8.0}, "none", interleave=True),
    Case("uncoded, hopeless", {"model": "awgn", "snr_db": -20.0}, "none"),
    Case("ideal", {"model": "ideal"}, "turbo"),
    Case("awgn", {"model": "awgn", "snr_db": -3.5}),
    Case("awgn, near the threshold", {"model": "awgn", "snr_db": -4.6}),
    Case("awgn, rate 3/4", {"model": "awgn", "snr_db": 2.0}, rate=3 / 4),
    Case("awgn, rate 1/2, version 2", {"model": "awgn", "snr_db": 1.0}, rate=1 / 2, redundancy_version=2),
    Case("awgn, max-log", {"model": "awgn", "snr_db": -3.8}, decoder={"algorithm": "max-log", "iterations": 8}),
    Case("rayleigh", FADING),
    Case("rayleigh, interleaved", FADING, interleave=True),
    Case("rayleigh, interleaved, rate 3/4", {**FADING, "snr_db": 8.0}, rate=3 / 4, interleave=True),
    Case("binary symmetric", {"model": "bsc", "flip_probability": 0.05}),
]
#: The NumPy link has BPSK alone.
OTHERS = [
    Case("qpsk", {"model": "awgn", "snr_db": 2.0}, modulation="qpsk", interleave=True),
    Case("16qam", {"model": "rayleigh", "snr_db": 25.0, "doppler_hz": 500.0}, modulation="16qam", interleave=True),
]
JUNK_CASE = Case("awgn, for junk", {"model": "awgn", "snr_db": -3.0})
SLIDER_CASE = Case("awgn, for sliders", {"model": "awgn", "snr_db": -3.0})
SPEED_CASE = Case("awgn, for speed", {"model": "awgn", "snr_db": -3.0}, interleave=True)
ALL = [*CASES, *OTHERS, JUNK_CASE, SLIDER_CASE, SPEED_CASE]


def frames(count: int = 3, bits: int = 9001) -> list[Frame]:
    rng = np.random.default_rng(3)
    return [Frame(f"header {k}".encode(), rng.integers(0, 2, bits, dtype=np.uint8)) for k in range(count)]


class Chains:
    """The flowgraph with all chains, and an application for each."""

    def __init__(self, process: subprocess.Popen[str], ends: list[ApplicationEnd]) -> None:
        self.process = process
        self.ends = {case.name: end for case, end in zip(ALL, ends, strict=True)}

    def end(self, case: Case) -> ApplicationEnd:
        """The application's end of a chain."""
        return self.ends[case.name]

    def send(self, case: Case, number: int, frame: Frame) -> ReceivedPdu:
        """Send a frame through a chain and return what comes back."""
        self.end(case).send(frame_to_pdu(number, frame))
        return received_from_pdu(self.end(case).receive(ANSWER_S))

    def command(self, command: str, case: Case, *arguments: Any) -> Any:
        """Have the script do something and return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([command, ALL.index(case), *arguments]), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def chains(gnuradio: GnuRadio) -> Iterator[Chains]:
    with ExitStack() as opened:
        ends = [opened.enter_context(ApplicationEnd()) for _ in ALL]
        configs = [case.blocks(end.addresses.as_arguments()) for case, end in zip(ALL, ends, strict=True)]
        process = subprocess.Popen(
            [gnuradio.python, SCRIPT, json.dumps(configs)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            for end in ends:
                assert end.wait_ready(START_S, pid=process.pid).capabilities["flowgraph"] == "chains"
            yield Chains(process, ends)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_bits_as_the_numpy_link(case: Case, chains: Chains) -> None:
    """LLRs differ by the rounding of symbols to 32 bits; all else is equal, raw errors included."""
    sent = frames()
    accounting = SymbolChain(case.numpy_config())
    expected = NumpyLink(case.numpy_config()).send(sent).frames
    for number, (frame, wanted) in enumerate(zip(sent, expected, strict=True)):
        answer = chains.send(case, number, frame)
        got = answer.frame
        assert answer.number == number
        assert got.header == wanted.header
        np.testing.assert_array_equal(got.payload_bits, wanted.payload_bits)
        np.testing.assert_array_equal(got.block_ok, wanted.block_ok)
        np.testing.assert_allclose(got.payload_llrs, wanted.payload_llrs, rtol=1e-4, atol=1e-4)
        measured, reference = got.stats.esn0_measured_db, wanted.stats.esn0_measured_db
        if reference is not None and wanted.header is not None and case.channel["model"] != "bsc":
            assert measured == pytest.approx(reference, abs=1e-4)
        stats = accounting.account(frame, answer)
        for count in ("channel_uses", "overhead_uses", "frames_received", "frames_lost", "raw_bits", "raw_errors"):
            assert getattr(stats, count) == getattr(wanted.stats, count), count
        assert stats.esn0_db == wanted.stats.esn0_db


def test_the_cases_are_not_all_alike() -> None:
    """Among them are frames that arrive, frames with damaged blocks, and lost frames."""
    outcomes = {
        case.name: [(frame.header is None, bool(frame.block_ok.all())) for frame in received]
        for case in CASES
        for received in [NumpyLink(case.numpy_config()).send(frames()).frames]
    }
    assert all(lost for lost, _ in outcomes["uncoded, hopeless"])
    assert not any(ok for _, ok in outcomes["uncoded"])
    assert not all(ok for _, ok in outcomes["awgn, near the threshold"])
    assert all(ok for _, ok in outcomes["awgn"])


@pytest.mark.parametrize("case", OTHERS, ids=lambda case: case.name)
def test_other_modulations(case: Case, chains: Chains) -> None:
    for number, frame in enumerate(frames()):
        got = chains.send(case, number, frame).frame
        assert got.header == frame.header
        np.testing.assert_array_equal(got.payload_bits, frame.payload)
        assert got.block_ok.all()
        assert got.stats.esn0_measured_db == pytest.approx(case.channel["snr_db"], abs=3.0)


def test_a_slider_acts_on_the_next_frame(chains: Chains) -> None:
    (frame,) = frames(1)
    for number, (snr_db, lost) in enumerate([(-3.0, False), (-25.0, True), (6.0, False)]):
        chains.command("call", SLIDER_CASE, "Channel", "set_snr_db", snr_db)
        chains.command("call", SLIDER_CASE, "Turbo Decoder", "set_iterations", 2 + number)
        got = chains.send(SLIDER_CASE, number, frame).frame
        assert (got.header is None) == lost
        assert got.stats.esn0_db == snr_db


PORTS = [
    ("Turbo Encoder", "in"),
    ("Frame TX", "in"),
    ("Soft Mapper", "in"),
    ("Channel", "in"),
    ("Soft Demapper", "in"),
    ("Frame RX", "in"),
    ("Turbo Decoder", "in"),
    ("Application", "received"),
]
NUMBERED = list(range(900, 907))
#: Of the junk, what a block cannot tell from a frame, because it need not look at everything: the frame is lost at
#: Frame RX, or the Application block refuses it.
LOST_LATER = {"Soft Mapper": 1, "Frame RX": 1}
REFUSED_LATER = {"Turbo Decoder": 4}


@pytest.mark.parametrize(("block", "port"), PORTS)
def test_junk_is_survived_counted_and_answered(block: str, port: str, chains: Chains) -> None:
    before = chains.command("count", JUNK_CASE)
    posted = chains.command("junk", JUNK_CASE, block, port)
    answers = [received_from_pdu(chains.end(JUNK_CASE).receive(ANSWER_S)) for _ in NUMBERED]
    # The junk is through when the first good frame is.
    (frame,) = frames(1)
    good = chains.send(JUNK_CASE, 7, frame)
    assert sorted(answer.number for answer in answers) == NUMBERED
    assert all(answer.frame.header is None for answer in answers)
    assert good.number == 7
    np.testing.assert_array_equal(good.frame.payload_bits, frame.payload)
    after = chains.command("count", JUNK_CASE)
    failed = {name: counts["failed"] - before[name]["failed"] for name, counts in after.items()}
    assert failed[block] == posted - LOST_LATER.get(block, 0) - REFUSED_LATER.get(block, 0)
    assert sum(failed.values()) == posted - LOST_LATER.get(block, 0)


def test_junk_from_the_application(chains: Chains) -> None:
    end = chains.end(JUNK_CASE)
    (frame,) = frames(1)
    good = frame_to_pdu(8, frame)
    before = chains.command("count", JUNK_CASE)["Application"]["failed"]
    end.send(Pdu({}, np.zeros(4, np.float32)))
    end.send(Pdu({**good.metadata, "frame": -1}, good.vector))
    end.send(Pdu({**good.metadata, "frame": 33}, good.vector * 2))
    end.send(good)
    answers = [received_from_pdu(end.receive(ANSWER_S)) for _ in range(2)]
    assert [answer.number for answer in answers] == [33, 8]
    assert answers[0].frame.header is None
    np.testing.assert_array_equal(answers[1].frame.payload_bits, frame.payload)
    assert chains.command("count", JUNK_CASE)["Application"]["failed"] - before == 3


def test_answers_to_an_earlier_session_are_dropped(chains: Chains) -> None:
    assert [chains.command("late", JUNK_CASE) for _ in range(2)] == [1, 2]
    (frame,) = frames(1)
    assert chains.send(JUNK_CASE, 9, frame).number == 9


def test_speed(chains: Chains, record_property: Callable[[str, object], None]) -> None:
    """131 072 bits, what a VCSC frame of 512 × 512 pixels has: a second at most once the chain is warm."""
    seconds, received = [], ReceivedFrame.lost
    for number, frame in enumerate(frames(5, 131_072)):
        start = time.perf_counter()
        received = chains.send(SPEED_CASE, number, frame).frame
        seconds.append(time.perf_counter() - start)
        assert received.block_ok.all()
    counts = chains.command("count", SPEED_CASE)
    record_property("seconds", seconds)
    record_property("blocks_ms", {name: round(1e3 * float(np.median(c["seconds"])), 1) for name, c in counts.items()})
    assert min(seconds[1:]) <= 1.0

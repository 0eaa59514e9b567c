import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sigmf
from hypothesis import given, settings
from hypothesis import strategies as st
from sigmf.validate import validate

from semcom_phy.capture import WRITABLE, BurstAnnotation, Recorder, RecordingInfo, open_recording, recorder
from semcom_phy.capture.interrupts import interrupts_deferred
from semcom_phy.capture.metadata import MAX_METADATA_BYTES
from semcom_phy.errors import ConfigurationError, LinkError

INFO = RecordingInfo(1e6)
STEP = {"cf32_le": 0.0, "ci16_le": 2.0**-15, "ci8": 2.0**-7}
FULL_BURST = BurstAnnotation(10, 20, True, 1, 2, 3, 4, "16qam", 0.5, 3, 12.25, -480.5, 2.5, 0.08)


def samples(count: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.uniform(-0.9, 0.9, count) + 1j * rng.uniform(-0.9, 0.9, count)).astype(np.complex64)


def record(path: Path, values: np.ndarray, then: Callable[[], Any] = lambda: None, overwrite: bool = False) -> None:
    """Record `values`, and do something else before the recording is published."""
    with Recorder(path, INFO, overwrite=overwrite) as writer:
        writer.append(values)
        then()


def throw(error: type[BaseException]) -> None:
    raise error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("datatype", WRITABLE)
def test_round_trip(datatype: str, tmp_path: Path) -> None:
    sent = samples(300_000)
    start = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=timezone(timedelta(hours=2)))
    info = RecordingInfo(2.5e6, datatype, 2.4e9, "radio", "me <me@example.org>", "käse\n", start)
    with Recorder(tmp_path / "rec", info) as writer:
        for part in np.array_split(sent, 7):
            writer.append(part)
        writer.annotate(FULL_BURST)
        assert names(tmp_path)[0].startswith(".rec.data-")
    assert names(tmp_path) == ["rec.sigmf-data", "rec.sigmf-meta"]
    with open_recording(tmp_path / "rec") as recording:
        assert recording.verify()
        assert recording.problems == ()
        assert (recording.datatype, recording.sample_rate_hz) == (datatype, 2.5e6)
        assert (recording.hardware, recording.author, recording.description) == (
            "radio",
            "me <me@example.org>",
            "käse\n",
        )
        (segment,) = recording.segments
        assert (segment.sample_count, segment.center_frequency_hz, segment.time) == (300_000, 2.4e9, start)
        received = recording.read(0, 300_000)
        assert recording.bursts() == (FULL_BURST,)
    error = np.abs((received - sent).view(np.float32)).max()
    assert error <= STEP[datatype] / 2
    assert (writer.samples_written, writer.saturated_samples, writer.non_finite_samples) == (300_000, 0, 0)
    digest = hashlib.sha512((tmp_path / "rec.sigmf-data").read_bytes()).hexdigest()
    assert json.loads((tmp_path / "rec.sigmf-meta").read_text())["global"]["core:sha512"] == digest
    # The sigmf package reads the same.
    np.testing.assert_array_equal(sigmf.fromfile(tmp_path / "rec.sigmf-meta")[:], received)


@pytest.mark.parametrize("datatype", WRITABLE)
def test_sigmf_validate(datatype: str, tmp_path: Path) -> None:
    """By the validator's function, by opening with checksum, and by its command."""
    info = RecordingInfo(1e6, datatype, 1e9, "radio", "me", "text")
    with Recorder(tmp_path / "rec", info) as writer:
        writer.append(samples(1000))
        writer.begin_segment(2e9, lost_samples=5)
        writer.append(samples(1000))
        for start in (900, 30, 30, 500):
            writer.annotate(BurstAnnotation(start, 20, False))
        writer.annotate(FULL_BURST)
    path = tmp_path / "rec.sigmf-meta"
    document = json.loads(path.read_text())
    validate(document)
    assert document["global"]["core:extensions"] == [{"name": "semcom", "version": "1.0.0", "optional": True}]
    sigmf.fromfile(path, skip_checksum=False).validate()
    command = Path(sys.executable).with_name("sigmf_validate")
    done = subprocess.run([command, "-v", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Validated all 1 files OK" in done.stderr
    # The command does find errors.
    document["captures"][0]["core:frequency"] = "1e9"
    path.write_text(json.dumps(document))
    assert subprocess.run([command, path], capture_output=True).returncode == 1


@settings(max_examples=15)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=8), st.sampled_from(WRITABLE), st.integers(0, 2**32))
def test_any_chunking_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], datatype: str, seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    sent = samples(sum(sizes), seed)
    if not sent.size:
        return
    for name, parts in (("a", np.split(sent, np.cumsum(sizes)[:-1])), ("b", [sent])):
        with Recorder(folder / name, RecordingInfo(1e6, datatype), overwrite=True) as writer:
            for part in parts:
                writer.append(part)
    assert (folder / "a.sigmf-data").read_bytes() == (folder / "b.sigmf-data").read_bytes()


def test_counts(tmp_path: Path) -> None:
    values = np.array([0.5, np.nan, 2.0, 1j * np.inf, -1.0, -1.1j, 1e300], np.complex128)
    with Recorder(tmp_path / "rec", RecordingInfo(1e6, "ci8")) as writer:
        writer.append(values)
    assert (writer.saturated_samples, writer.non_finite_samples) == (2, 3)
    with open_recording(tmp_path / "rec") as recording:
        assert recording.read(0, 7).tolist() == [0.5, 0, 127 / 128, 0, -1, -1j, 0]
        assert recording.global_fields["semcom:saturated_samples"] == 2
        assert recording.global_fields["semcom:non_finite_samples"] == 3
    assert np.isnan(values[1])  # the caller's array is left alone


def test_segments(tmp_path: Path) -> None:
    later = datetime(2030, 1, 1, tzinfo=UTC)
    with Recorder(tmp_path / "rec", RecordingInfo(1e6, center_frequency_hz=1e9)) as writer:
        writer.append(samples(10))
        writer.begin_segment(2e9, later)
        writer.begin_segment(3e9, later, lost_samples=4)  # replaces the empty one
        writer.append(samples(20))
        writer.begin_segment(lost_samples=6)
        writer.append(samples(30))
        for lost in (-1, 1.5, 2**63):
            with pytest.raises(ConfigurationError, match="lost_samples"):
                writer.begin_segment(lost_samples=lost)  # type: ignore[arg-type]
    with open_recording(tmp_path / "rec") as recording:
        found = [(s.sample_start, s.sample_count, s.center_frequency_hz, s.global_index) for s in recording.segments]
        assert found == [(0, 10, 1e9, None), (10, 20, 3e9, 14), (30, 30, None, 40)]
        assert recording.segments[1].time == later
        assert all(segment.time is not None for segment in recording.segments)


def test_bursts_are_sorted_and_inside(tmp_path: Path) -> None:
    with Recorder(tmp_path / "rec", INFO) as writer:
        writer.append(samples(100))
        for start in (50, 10, 70):
            writer.annotate(BurstAnnotation(start, 30, True))
        with pytest.raises(ConfigurationError, match="only 100 are written"):
            writer.annotate(BurstAnnotation(71, 30, True))
    with open_recording(tmp_path / "rec") as recording:
        assert [burst.sample_start for burst in recording.bursts()] == [10, 50, 70]


def test_largest_metadata_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = -123456.78901234567
    largest = BurstAnnotation(
        2**61, 2**61, False, *[2**32 - 2] * 3, 2**32 - 1, "x" * 32, 0.1 + 0.2, 3, -0.1 - 0.2, *[number] * 2, -number
    )
    burst = len(json.dumps([largest.to_sigmf()], indent=1))
    segment = len(json.dumps([recorder._capture(2**62, number, datetime.now(UTC))], indent=1)) + 60
    texts = 3 * recorder.MAX_TEXT * 12
    assert recorder.MAX_BURSTS * 1.1 * burst + recorder.MAX_SEGMENTS * 1.1 * segment + texts < MAX_METADATA_BYTES
    monkeypatch.setattr(recorder, "MAX_BURSTS", 2)
    monkeypatch.setattr(recorder, "MAX_SEGMENTS", 2)
    with Recorder(tmp_path / "rec", INFO) as writer:
        for _ in range(2):
            writer.append(samples(30))
            writer.annotate(FULL_BURST)
        with pytest.raises(ConfigurationError, match="up to 2 bursts"):
            writer.annotate(FULL_BURST)
        writer.begin_segment()
        writer.append(samples(1))
        with pytest.raises(ConfigurationError, match="up to 2 segments"):
            writer.begin_segment()


@pytest.mark.parametrize(
    "values",
    [
        {"sample_rate_hz": 0.0},
        {"sample_rate_hz": float("nan")},
        {"sample_rate_hz": 1e13},
        {"datatype": "cf64_le"},
        {"datatype": "ci16"},
        {"center_frequency_hz": float("inf")},
        {"hardware": 5},
        {"author": "x" * 10_001},
        {"start_time": datetime(2024, 1, 1)},
        {"start_time": "now"},
        {"full_scale": 0.0, "datatype": "ci8"},
        {"full_scale": 2.0},
    ],
)
def test_bad_information(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RecordingInfo(**{"sample_rate_hz": 1e6, **values})


@pytest.mark.parametrize("values", [np.ones(3), np.ones((2, 2), complex), 1j, np.array(["x"]), [None]])
def test_bad_samples(values: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path / "rec", INFO) as writer:
        writer.append(samples(5))
        with pytest.raises(ConfigurationError, match="one-dimensional complex"):
            writer.append(values)
    assert writer.samples_written == 5


def test_bad_paths(tmp_path: Path) -> None:
    for path, advice in [
        (tmp_path / "missing" / "rec", "No such file"),
        (tmp_path / "rec.sigmf", "leave .sigmf out"),
        (tmp_path / ("x" * 300), "too long"),
        (tmp_path / ".sigmf-meta", "a name"),
        ("", "a name"),
        ("a\0b", "null"),
    ]:
        with pytest.raises(ConfigurationError, match=advice):
            Recorder(path, INFO)
    assert names(tmp_path) == []


def test_existing_recordings_are_kept(tmp_path: Path) -> None:
    for name in ("rec", "rec.sigmf-meta", "rec.sigmf-data"):
        with Recorder(tmp_path / name, INFO, overwrite=name != "rec") as writer:
            writer.append(samples(10, len(name)))
    before = (tmp_path / "rec.sigmf-data").read_bytes()
    with pytest.raises(ConfigurationError, match="exists; choose another name"):
        Recorder(tmp_path / "rec", INFO)
    with pytest.raises(KeyError):
        record(tmp_path / "rec", samples(20), lambda: throw(KeyError), overwrite=True)
    assert (tmp_path / "rec.sigmf-data").read_bytes() == before
    # One that appears while another is written is kept, too.
    with pytest.raises(LinkError, match="exists"):
        record(tmp_path / "new", samples(20), lambda: (tmp_path / "new.sigmf-data").write_bytes(b"other"))
    assert names(tmp_path) == ["new.sigmf-data", "rec.sigmf-data", "rec.sigmf-meta"]
    assert (tmp_path / "new.sigmf-data").read_bytes() == b"other"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error):
        record(tmp_path / "rec", samples(1000), lambda: throw(error))
    assert names(tmp_path) == []


def test_no_samples_no_recording(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="no samples arrived"):
        record(tmp_path / "rec", np.empty(0, np.complex64))
    assert names(tmp_path) == []


def test_use_after_the_end(tmp_path: Path) -> None:
    with Recorder(tmp_path / "rec", INFO) as writer:
        writer.append(samples(5))
        writer.close()
    writer.discard()
    assert names(tmp_path) == ["rec.sigmf-data", "rec.sigmf-meta"]
    for late in (lambda: writer.append(samples(1)), lambda: writer.annotate(FULL_BURST), writer.close):
        with pytest.raises(LinkError, match="has ended"):
            late()


CRASH = """
import os, signal, sys
import numpy as np
from semcom_phy.capture import Recorder, RecordingInfo
step = sys.argv[2]
if step == "fsync":
    os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
with Recorder(sys.argv[1], RecordingInfo(1e6)) as recorder:
    for _ in range(10):
        recorder.append(np.ones(100_000, np.complex64))
    if step == "append":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("step", ["append", "fsync"])
def test_a_killed_process_leaves_no_final_name(step: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, tmp_path / "rec", step], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    found = names(tmp_path)
    assert found
    assert all(name.startswith(".rec.") and name.endswith(".partial") for name in found)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [1, 2])
def test_failures_while_publishing_leave_nothing(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Callable = getattr(os, call)
    calls = 0

    def fail(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(28, "No space left on device")
        return original(*arguments)

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(LinkError, match="No space left"):
        record(tmp_path / "rec", samples(100))
    assert names(tmp_path) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with largest_file(100_000), pytest.raises(LinkError, match="cannot write rec: File too large"):
        record(tmp_path / "rec", samples(100_000))
    assert names(tmp_path) == []


def test_interrupts_wait() -> None:
    steps = []

    def interrupted() -> None:
        with interrupts_deferred():
            with interrupts_deferred():
                signal.raise_signal(signal.SIGINT)
                steps.append("inner")
            steps.append("outer")
        steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert steps == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_while_publishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.replace

    def interrupted(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        original(*arguments)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path / "rec", samples(100))
    with open_recording(tmp_path / "rec") as recording:
        assert recording.verify()
    assert names(tmp_path) == ["rec.sigmf-data", "rec.sigmf-meta"]


def test_interrupts_at_any_moment_keep_the_samples_consistent(tmp_path: Path) -> None:
    """Ctrl-C that is caught inside the block ends the recording after whole samples, wherever it came."""
    previous = signal.signal(signal.SIGALRM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    rng = np.random.default_rng(4)
    chunk = samples(3000)
    try:
        for number in range(25):
            with Recorder(tmp_path / f"rec{number}", INFO) as writer:
                writer.append(chunk)
                try:
                    signal.setitimer(signal.ITIMER_REAL, float(rng.uniform(1e-4, 4e-3)))
                    while True:
                        writer.append(chunk)
                except KeyboardInterrupt:
                    pass
            with open_recording(tmp_path / f"rec{number}") as recording:
                assert recording.verify()
                assert recording.sample_count == writer.samples_written
                assert recording.sample_count % 3000 == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_recording_in_another_thread(tmp_path: Path) -> None:
    thread = threading.Thread(target=record, args=(tmp_path / "rec", samples(100)))
    thread.start()
    thread.join()
    with open_recording(tmp_path / "rec") as recording:
        assert recording.verify()


def test_reading_needs_no_sigmf_package(tmp_path: Path) -> None:
    with Recorder(tmp_path / "rec", INFO) as writer:
        writer.append(samples(100))
    code = """
import sys
sys.modules["sigmf"] = None
from semcom_phy.capture import Recorder, RecordingInfo, open_recording
from semcom_phy.errors import ConfigurationError
assert open_recording(sys.argv[1]).read(0, 100).size == 100
assert "jsonschema" not in sys.modules
try:
    Recorder(sys.argv[1] + "2", RecordingInfo(1e6))
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "rec"], capture_output=True, text=True, check=True)
    assert done.stdout == "recording needs the package sigmf: pip install sigmf\n"
    assert names(tmp_path) == ["rec.sigmf-data", "rec.sigmf-meta"]

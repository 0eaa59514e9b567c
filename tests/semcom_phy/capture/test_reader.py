import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sigmf
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.capture import READABLE, BurstAnnotation, Recorder, RecordingInfo, Segment, open_recording
from semcom_phy.errors import ConfigurationError, FormatError, LinkError

BURST = BurstAnnotation(10, 20, True, frame=1)


def pair(folder: Path, data: bytes, name: str = "rec", **changes: Any) -> Path:
    """Write a recording of ci8 samples; `changes` replace parts of the metadata."""
    fields = {"core:datatype": "ci8", "core:sample_rate": 1e6, "core:version": "1.2.6", **changes.pop("fields", {})}
    document = {"global": fields, "captures": [{"core:sample_start": 0}], "annotations": [], **changes}
    (folder / f"{name}.sigmf-data").write_bytes(data)
    path = folder / f"{name}.sigmf-meta"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("datatype", sorted(READABLE))
def test_same_samples_as_the_sigmf_package(datatype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    component = READABLE[datatype].component
    if component.kind == "f":
        data = rng.standard_normal(2000).astype(component).tobytes()
    else:
        data = rng.bytes(2000 * component.itemsize)
    path = pair(tmp_path, data, fields={"core:datatype": datatype})
    expected = sigmf.fromfile(path)[:]
    with open_recording(path) as recording:
        assert recording.sample_count == 1000
        np.testing.assert_allclose(recording.read(0, 1000), expected, rtol=0, atol=1e-7 * np.abs(expected).max())
        assert recording.read(0, 1000).dtype == np.complex64


@pytest.mark.parametrize("name", ["rec.1.sigmf-meta", "rec.1.sigmf-data", "rec.1"])
def test_every_name_of_a_pair(name: str, tmp_path: Path) -> None:
    pair(tmp_path, bytes(200), name="rec.1")
    with open_recording(str(tmp_path / name)) as recording:
        assert recording.sample_count == 100
        assert recording.duration_s == 1e-4
        assert recording.segments == (Segment(0, 100),)


def test_raw_files(tmp_path: Path) -> None:
    samples = (np.arange(6) - 1j * np.arange(6)).astype(np.complex64) / 8
    (tmp_path / "x.cf32").write_bytes(samples.tobytes())
    (tmp_path / "x.iq").write_bytes(samples.tobytes())
    with open_recording(tmp_path / "x.cf32", 1e6) as recording:
        np.testing.assert_array_equal(recording.read(0, 6), samples)
        assert not recording.verify()
        assert recording.bursts() == ()
    with open_recording(tmp_path / "x.iq", 2e6, "cf32_le") as recording:
        np.testing.assert_array_equal(recording.read(2, 5), samples[2:5])
        assert recording.sample_rate_hz == 2e6
    with open_recording(tmp_path / "x.cf32", 1e6, "cf32_be") as recording:
        assert recording.datatype == "cf32_be"
    with pytest.raises(FormatError, match="needs its datatype"):
        open_recording(tmp_path / "x.iq", 1e6)
    with pytest.raises(FormatError, match="sample rate is not known; give it"):
        open_recording(tmp_path / "x.cf32")


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="there is no recording"):
        open_recording(tmp_path / "missing")
    with pytest.raises(LinkError, match="there is no recording"):
        open_recording(tmp_path / "missing.sigmf")
    with pytest.raises(LinkError, match="is not a file"):
        open_recording(tmp_path, 1e6, "ci8")
    os.mkfifo(tmp_path / "pipe.ci8")
    with pytest.raises(LinkError, match="is not a file"):
        open_recording(tmp_path / "pipe.ci8", 1e6)
    with pytest.raises(LinkError, match="cannot open"):
        open_recording("a\0b", 1e6, "ci8")
    for name in ("x.sigmf.gz", "x.sigmf.zip"):
        with pytest.raises(FormatError, match="decompress it first"):
            open_recording(tmp_path / name)
    with pytest.raises(FormatError, match="collection"):
        open_recording(tmp_path / "x.sigmf-collection")
    (tmp_path / "lone.sigmf-data").write_bytes(bytes(20))
    with pytest.raises(FormatError, match=r"no lone\.sigmf-meta beside it"):
        open_recording(tmp_path / "lone.sigmf-data")
    with open_recording(tmp_path / "lone.sigmf-data", 1e6, "ci8") as recording:
        assert recording.sample_count == 10


@pytest.mark.parametrize("rate", [0, -1, float("nan"), 1e13, "1e6", True])
def test_bad_sample_rate_argument(rate: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sample_rate_hz"):
        open_recording(pair(tmp_path, bytes(20)), rate)


def test_bad_datatypes(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="byte order"):
        open_recording(pair(tmp_path, bytes(20)), datatype="cf32")
    with pytest.raises(FormatError, match=r"rec.sigmf-meta: datatype 'rf32_le' is real-valued"):
        open_recording(pair(tmp_path, bytes(20), fields={"core:datatype": "rf32_le"}))


def test_arguments_replace_wrong_metadata(tmp_path: Path) -> None:
    path = pair(tmp_path, bytes(80), fields={"core:datatype": "nonsense", "core:sample_rate": 1e99})
    with pytest.raises(FormatError):
        open_recording(path, 1e6)
    with open_recording(path, 1e6, "cf32_le") as recording:
        assert (recording.sample_count, recording.sample_rate_hz) == (10, 1e6)


def test_missing_samples(tmp_path: Path) -> None:
    path = pair(tmp_path, b"")
    (tmp_path / "rec.sigmf-data").unlink()
    with pytest.raises(FormatError, match=r"put 'rec.sigmf-data' beside"):
        open_recording(path)
    path = pair(tmp_path, b"", fields={"core:metadata_only": True})
    (tmp_path / "rec.sigmf-data").unlink()
    with pytest.raises(FormatError, match="metadata without samples"):
        open_recording(path)


def test_dataset_of_another_name(tmp_path: Path) -> None:
    path = pair(tmp_path, b"", fields={"core:dataset": "x.bin", "core:trailing_bytes": 6})
    (tmp_path / "rec.sigmf-data").unlink()
    (tmp_path / "x.bin").write_bytes(bytes(206))
    with open_recording(path) as recording:
        assert (recording.sample_count, recording.trailing_bytes) == (100, 0)


@pytest.mark.parametrize("extra", range(8))
def test_remainder_is_reported(extra: int, tmp_path: Path) -> None:
    path = pair(tmp_path, bytes(8 * 10 + extra), fields={"core:datatype": "cf32_le"})
    with open_recording(path) as recording:
        assert (recording.sample_count, recording.trailing_bytes) == (10, extra)
        assert recording.problems == ((f"{extra} bytes after the last whole sample are not used",) if extra else ())


def test_no_samples(tmp_path: Path) -> None:
    with open_recording(pair(tmp_path, b"")) as recording:
        assert recording.sample_count == 0
        assert recording.read(0, 0).size == 0
        assert list(recording.chunks(10)) == []
        assert recording.problems == ("the recording holds no samples",)


@given(st.integers(0, 300), st.integers(1, 400), st.data())
def test_chunks(tmp_path_factory: pytest.TempPathFactory, count: int, size: int, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "chunks.ci16"
    stored = np.random.default_rng(count).integers(-(2**15), 2**15, (count, 2)).astype("<i2")
    path.write_bytes(stored.tobytes())
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.none() | st.integers(start, count))
    expected = (stored / 2**15) @ np.array([1, 1j])
    with open_recording(path, 1e6) as recording:
        chunks = list(recording.chunks(size, start, stop))
    assert all(chunk.size == size for chunk in chunks[:-1])
    assert all(chunk.flags.owndata or chunk.base is not None for chunk in chunks)
    found = np.concatenate([np.empty(0, np.complex64), *chunks])
    np.testing.assert_array_equal(found, expected[start:stop].astype(np.complex64))


def test_bad_ranges(tmp_path: Path) -> None:
    with open_recording(pair(tmp_path, bytes(200))) as recording:
        for arguments in [(0,), (2**24 + 1,), (1.5,), (10, -1), (10, 101), (10, 5, 4), (10, 0, 101)]:
            with pytest.raises(ConfigurationError):
                recording.chunks(*arguments)
        with pytest.raises(ConfigurationError):
            recording.read(0, 101)
        chunks = recording.chunks(10)
    with pytest.raises(LinkError, match="is closed"):
        next(chunks)


def test_samples_outlive_the_recording(tmp_path: Path) -> None:
    with open_recording(pair(tmp_path, bytes([64, 32]) * 10)) as recording:
        samples = recording.read(0, 10)
    samples *= 2
    assert samples.tolist() == [1 + 0.5j] * 10


def test_non_finite_samples(tmp_path: Path) -> None:
    values = np.array([1, np.nan, 1j * np.inf, 2], np.complex64)
    with open_recording(pair(tmp_path, values.tobytes(), fields={"core:datatype": "cf32_le"})) as recording:
        assert np.concatenate(list(recording.chunks(3))).tolist() == [1, 0, 0, 2]
        assert recording.non_finite_samples == 2


def test_channels(tmp_path: Path) -> None:
    stored = np.arange(60, dtype=np.int8).reshape(10, 3, 2)
    path = pair(tmp_path, stored.tobytes() + b"xyz", fields={"core:num_channels": 3})
    with pytest.raises(FormatError, match=r"3 channels: choose one, channel=0…2"):
        open_recording(path)
    with pytest.raises(ConfigurationError, match="channel"):
        open_recording(path, channel=3)
    for channel in range(3):
        with open_recording(path, channel=channel) as recording:
            assert (recording.sample_count, recording.trailing_bytes) == (10, 3)
            expected = stored[:, channel] / 128 @ np.array([1, 1j])
            np.testing.assert_array_equal(recording.read(0, 10), expected)
            np.testing.assert_array_equal(np.concatenate(list(recording.chunks(3))), expected)


def test_captures_with_headers_and_retunes(tmp_path: Path) -> None:
    first, second = bytes(range(20)), bytes(range(100, 140))
    captures = [
        {"core:sample_start": 100, "core:header_bytes": 3, "core:frequency": 1e9, "core:global_index": 100},
        {"core:sample_start": 110, "core:header_bytes": 5, "core:frequency": 2e9, "core:global_index": 150},
        {"core:sample_start": 5000, "core:frequency": 3e9},
    ]
    annotations = [{"core:sample_start": 105, "core:sample_count": 5}]
    path = pair(
        tmp_path,
        b"HDR" + first + b"HDR22" + second,
        fields={"core:offset": 100},
        captures=captures,
        annotations=annotations,
    )
    with open_recording(path) as recording:
        assert recording.segments == (
            Segment(0, 10, 1e9, None, 3, 100),
            Segment(10, 20, 2e9, None, 5, 150),
        )
        expected = np.frombuffer(first + second, np.uint8).view(np.int8).astype(np.float32).view(np.complex64) / 128
        np.testing.assert_array_equal(recording.read(0, 30), expected)
        np.testing.assert_array_equal(np.concatenate(list(recording.chunks(7))), expected)
        assert [(a.sample_start, a.sample_count) for a in recording.annotations] == [(5, 5)]
        assert recording.problems == ("1 captures lie beyond the end of the data; left out",)


def test_annotations_beyond_the_data_are_cut(tmp_path: Path) -> None:
    annotations = [
        {"core:sample_start": 0, "core:sample_count": 2**62},
        {"core:sample_start": 40},
        {**BURST.to_sigmf(), "core:sample_start": 45},
        {"core:sample_start": 50, "core:sample_count": 1},
        {"core:sample_start": 2**63 - 1, "core:sample_count": 2**63 - 1},
    ]
    with open_recording(pair(tmp_path, bytes(100), annotations=annotations)) as recording:
        assert [(a.sample_start, a.sample_count) for a in recording.annotations] == [(0, 50), (40, 10), (45, 5)]
        assert len(recording.problems) == 4
        (burst,) = recording.bursts()
        assert (burst.sample_start, burst.sample_count, burst.frame) == (45, 5, 1)


def test_damaged_bursts(tmp_path: Path) -> None:
    damaged = {**BURST.to_sigmf(), "semcom:frame": -1}
    with open_recording(pair(tmp_path, bytes(100), annotations=[damaged])) as recording:
        assert recording.read(0, 50).size == 50
        with pytest.raises(FormatError, match="frame must be"):
            recording.bursts()
    later = {"core:extensions": [{"name": "semcom", "version": "2.0.0", "optional": True}]}
    with (
        open_recording(pair(tmp_path, bytes(100), fields=later)) as recording,
        pytest.raises(FormatError, match="newer"),
    ):
        recording.bursts()


def test_verify(tmp_path: Path) -> None:
    with Recorder(tmp_path / "rec", RecordingInfo(1e6)) as recorder:
        recorder.append(np.ones(1000, np.complex64))
    with open_recording(tmp_path / "rec") as recording:
        assert recording.verify()
    with (tmp_path / "rec.sigmf-data").open("r+b") as file:
        file.seek(4001)
        file.write(b"\x01")
    with open_recording(tmp_path / "rec") as recording, pytest.raises(FormatError, match="do not match core:sha512"):
        recording.verify()
    recording = open_recording(pair(tmp_path, bytes(20), fields={"core:sha512": "abc"}))
    with pytest.raises(FormatError, match="128 hexadecimal digits"):
        recording.verify()


def test_several_gigabytes_stay_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "big.ci16"
    with path.open("wb") as file:
        file.truncate((6 << 30) + 4)
        file.seek(6 << 30)
        file.write(b"\x00\x40\x00\x20")
    tracemalloc.start()
    with open_recording(path, 1e6) as recording:
        assert recording.sample_count == (6 << 28) + 1
        last = list(recording.chunks(1 << 16, start=recording.sample_count - (1 << 17)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert last[-1][-1] == 0.5 + 0.25j
    assert peak < 8 << 20


@given(st.binary(max_size=300), st.sampled_from(sorted(READABLE)), st.integers(1, 50))
def test_random_bytes_as_raw(tmp_path_factory: pytest.TempPathFactory, data: bytes, datatype: str, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "random.bin"
    path.write_bytes(data)
    with open_recording(path, 1e6, datatype) as recording:
        chunks = list(recording.chunks(size))
        assert sum(chunk.size for chunk in chunks) == len(data) // READABLE[datatype].sample_bytes
        assert recording.trailing_bytes == len(data) % READABLE[datatype].sample_bytes
    for chunk in chunks:
        assert np.isfinite(chunk).all()
        if READABLE[datatype].component.kind != "f":
            assert np.abs(chunk.view(np.float32)).max() <= 1.0


INTEGERS = st.integers(-2, 60) | st.sampled_from([2**31, 2**53, 2**63 - 1, 2**63, 10**30, 1e308, float("nan"), None])


@given(
    st.binary(max_size=120),
    st.lists(
        st.fixed_dictionaries({"core:sample_start": INTEGERS}, optional={"core:header_bytes": INTEGERS}), max_size=4
    ),
    st.lists(
        st.fixed_dictionaries({"core:sample_start": INTEGERS}, optional={"core:sample_count": INTEGERS}), max_size=4
    ),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("core:num_channels", "core:offset", "core:trailing_bytes", "core:sample_rate"), INTEGERS
        ),
    ),
)
def test_lying_metadata(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, captures: list, annotations: list, fields: dict
) -> None:
    path = pair(tmp_path_factory.getbasetemp(), data, captures=captures, annotations=annotations, fields=fields)
    try:
        recording = open_recording(path, channel=0)
    except FormatError as error:
        message = str(error)
        assert len(message) < 300
        return
    with recording:
        assert 2 * recording.channels * recording.sample_count <= len(data)
        assert sum(chunk.size for chunk in recording.chunks(7)) == recording.sample_count
        for part in (*recording.segments, *recording.annotations):
            assert 0 <= part.sample_start <= part.sample_start + part.sample_count <= recording.sample_count

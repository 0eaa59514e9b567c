import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sigmf
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.capture import Recorder, RecordingInfo, open_recording
from semcom_phy.capture.archive import MAX_MEMBERS, list_members
from semcom_phy.errors import FormatError

METADATA = json.dumps(
    {
        "global": {"core:datatype": "ci8", "core:sample_rate": 1e6, "core:version": "1.2.6"},
        "captures": [{"core:sample_start": 0}],
        "annotations": [],
    }
).encode()
SAMPLES = bytes(range(100))


def entry(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


def archive(*members: tuple[tarfile.TarInfo | str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, content in members:
            info = entry(info, len(content)) if isinstance(info, str) else info
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def good(form: int = tarfile.PAX_FORMAT) -> bytes:
    return archive(("rec/rec.sigmf-meta", METADATA), ("rec/rec.sigmf-data", SAMPLES), form=form)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def to_file(content: bytes) -> Path:
        path = tmp_path / "rec.sigmf"
        path.write_bytes(content)
        return path

    return to_file


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_read_in_place(form: int, write: Callable[[bytes], Path]) -> None:
    with open_recording(write(good(form))) as recording:
        expected = np.frombuffer(SAMPLES, np.int8).astype(np.float32).view(np.complex64) / 128
        np.testing.assert_array_equal(recording.read(0, 50), expected)
        assert recording.problems == ()


def test_archive_of_the_sigmf_package(tmp_path: Path) -> None:
    """Written by the `sigmf` package, and its reader finds the same samples."""
    rng = np.random.default_rng(2)
    samples = (rng.standard_normal(999) + 1j * rng.standard_normal(999)).astype(np.complex64)
    with Recorder(tmp_path / "a", RecordingInfo(1e6)) as recorder:
        recorder.append(samples)
    sigmf.fromfile(tmp_path / "a.sigmf-meta").archive(str(tmp_path / "packed"))
    (path,) = tmp_path.glob("packed*")
    for name in (path, tmp_path / "packed"):
        with open_recording(name) as recording:
            assert recording.verify()
            np.testing.assert_array_equal(recording.read(0, 999), samples)
    np.testing.assert_array_equal(sigmf.fromarchive(str(path))[:], samples)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (archive(("../rec.sigmf-meta", METADATA), ("../rec.sigmf-data", SAMPLES)), "do not trust"),
        (archive(("/rec.sigmf-meta", METADATA), ("/rec.sigmf-data", SAMPLES)), "do not trust"),
        (archive(("a/../../b", b""), ("r.sigmf-meta", METADATA), ("r.sigmf-data", SAMPLES)), "do not trust"),
        (
            archive(("r.sigmf-meta", METADATA), (entry("r.sigmf-data", 0, tarfile.SYMTYPE, "/etc/passwd"), b"")),
            "no plain file",
        ),
        (
            archive(("r.sigmf-meta", METADATA), (entry("r.sigmf-data", 0, tarfile.LNKTYPE, "r.sigmf-meta"), b"")),
            "no plain file",
        ),
        (archive((entry("fifo", 0, tarfile.FIFOTYPE), b"")), "no plain file"),
        (archive((entry("device", 0, tarfile.CHRTYPE), b"")), "no plain file"),
        (archive(("r.sigmf-meta", METADATA)), "0 files named 'r.sigmf-data'"),
        (archive(("r.sigmf-meta", METADATA), ("other/r.sigmf-data", SAMPLES)), "0 files named"),
        (archive(("r.sigmf-meta", METADATA), ("r.sigmf-data", b""), ("r.sigmf-data", b"")), "2 files named"),
        (archive(("r.sigmf-data", SAMPLES)), "no .sigmf-meta"),
        (archive(("a.sigmf-meta", METADATA), ("b.sigmf-meta", METADATA)), "2 recordings"),
        (archive(), "no .sigmf-meta"),
        (archive(("r.sigmf-meta", b"{}"), ("r.sigmf-data", SAMPLES)), "no 'global'"),
        (archive(*((f"f{i}", b"") for i in range(MAX_MEMBERS + 1))), "more than 1024 members"),
        (b"", "not a readable tar"),
        (b"x" * 5000, "not a readable tar"),
        (b"\x1f\x8b" + bytes(5000), "gzip"),
        (b"\xfd7zXZ\0" + bytes(5000), "xz"),
        (b"PK\x03\x04" + bytes(5000), "zip"),
    ],
)
def test_refused(content: bytes, advice: str, write: Callable[[bytes], Path]) -> None:
    with pytest.raises(FormatError, match=advice):
        open_recording(write(content))


def test_extended_header_of_impossible_size(write: Callable[[bytes], Path]) -> None:
    """A pax header may claim the size of the whole file, which tarfile would read into memory."""
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
        header = entry("x", 1 << 30, kind).tobuf(tarfile.USTAR_FORMAT)
        with pytest.raises(FormatError, match="impossible size"):
            open_recording(write(header + bytes(1 << 20)))


def test_negative_sizes_and_endless_chains_end(write: Callable[[bytes], Path]) -> None:
    info = entry("r.sigmf-data", 0)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"  # −256 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(FormatError):
        open_recording(write(bytes(header) * 10 + bytes(1024)))
    chain = entry("x", 0, tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(FormatError):
        open_recording(write(chain * 20_000))


def test_cut_archives(write: Callable[[bytes], Path]) -> None:
    whole = good()
    data_at = whole.index(SAMPLES)
    with open_recording(write(whole[: data_at + 41])) as recording:
        assert recording.sample_count == 20
        assert recording.trailing_bytes == 1
        assert "59 bytes before the end" in recording.problems[0]
    with pytest.raises(FormatError):
        open_recording(write(whole[: data_at - 600]))
    with pytest.raises(FormatError):
        open_recording(write(whole[: whole.index(METADATA) + 10]))


def test_dataset_of_another_name_and_foreign_members(write: Callable[[bytes], Path]) -> None:
    document = json.loads(METADATA)
    document["global"]["core:dataset"] = "x.bin"
    members = (
        (entry("rec", 0, tarfile.DIRTYPE), b""),
        ("rec/README", b"text"),
        ("rec/._rec.sigmf-meta", b"junk"),
        ("rec/rec.sigmf-meta", json.dumps(document).encode()),
        ("rec/x.bin", SAMPLES),
    )
    with open_recording(write(archive(*members))) as recording:
        assert recording.sample_count == 50


WHOLE = good()


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(WHOLE)))
def test_damaged_archives(changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(WHOLE)
    for position, value in changes:
        content[position] = value
    for damaged in (content, content[:length]):
        try:
            members = list_members(io.BytesIO(bytes(damaged)))
        except FormatError as error:
            message = str(error)
            assert len(message) < 300
        else:
            assert all(m.offset >= 0 and m.offset + m.size <= max(len(damaged), m.offset) for m in members)


@given(st.integers(0, 2**32), st.sampled_from([b"x", b"g", b"L", b"K", b"S", b"0", b"1", b"2", b"5", b"7", b"V"]))
def test_garbage_after_valid_headers(seed: int, kind: bytes) -> None:
    rng = np.random.default_rng(seed)
    header = entry("r.sigmf-meta", int(rng.integers(0, 3000)), kind).tobuf(tarfile.USTAR_FORMAT)
    body = rng.bytes(int(rng.integers(0, 3000)))
    digits = b"%d path=%s\n" % (rng.integers(0, 50), b"../a")
    for content in (header + body, header + digits * 20 + bytes(2048), header * 3 + body + WHOLE):
        try:
            list_members(io.BytesIO(content))
        except FormatError as error:
            message = str(error)
            assert len(message) < 300

import copy
import json
import re
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.capture import metadata as module
from semcom_phy.capture.metadata import MAX_PROBLEMS, Metadata, parse_metadata
from semcom_phy.errors import FormatError

VALID: dict[str, Any] = {
    "global": {
        "core:datatype": "ci16_le",
        "core:sample_rate": 1e6,
        "core:version": "1.2.6",
        "core:num_channels": 1,
        "core:offset": 0,
        "core:trailing_bytes": 0,
        "core:sha512": "0" * 128,
        "core:hw": "radio",
        "core:author": "me",
        "core:description": "text",
        "core:dataset": "x.bin",
        "core:extensions": [{"name": "semcom", "version": "1.0.0", "optional": True}],
    },
    "captures": [
        {"core:sample_start": 0, "core:frequency": 1e9, "core:datetime": "2024-02-29T23:59:59.5Z"},
        {"core:sample_start": 100, "core:frequency": -2, "core:header_bytes": 8, "core:global_index": 105},
    ],
    "annotations": [
        {"core:sample_start": 5, "core:sample_count": 10, "core:label": "a", "semcom:crc_ok": True},
        {"core:sample_start": 7},
    ],
}


def parse(document: Any, **given: bool) -> Metadata:
    return parse_metadata(json.dumps(document).encode(), **given)


def changed(*path: Any, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(VALID)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


def test_valid() -> None:
    found = parse(VALID)
    assert (found.datatype, found.sample_rate_hz, found.channels, found.dataset) == ("ci16_le", 1e6, 1, "x.bin")
    assert (found.hardware, found.author, found.description, found.sha512) == ("radio", "me", "text", "0" * 128)
    first, second = found.captures
    assert first.time == datetime(2024, 2, 29, 23, 59, 59, 500_000, tzinfo=UTC)
    assert (second.sample_start, second.header_bytes, second.center_frequency_hz, second.global_index) == (
        100,
        8,
        -2.0,
        105,
    )
    assert [(a.sample_start, a.sample_count, a.label) for a in found.annotations] == [(5, 10, "a"), (7, None, None)]
    assert found.problems == ()


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("path", "value", "advice"),
    [
        (["global"], None, "no 'global'"),
        (["global"], [], "no 'global'"),
        (["captures"], {}, "'captures' in the metadata must be a list"),
        (["annotations"], 3, "'annotations' in the metadata must be a list"),
        (["global", "core:datatype"], None, "give the datatype"),
        (["global", "core:datatype"], 5, "give the datatype"),
        (["global", "core:sample_rate"], 0, "give the true one as sample_rate_hz"),
        (["global", "core:sample_rate"], -1e6, "give the true one"),
        (["global", "core:sample_rate"], 1e13, "give the true one"),
        (["global", "core:sample_rate"], 10**400, "give the true one"),
        (["global", "core:sample_rate"], NAN, "give the true one"),
        (["global", "core:sample_rate"], INF, "give the true one"),
        (["global", "core:sample_rate"], "1e6", "give the true one"),
        (["global", "core:sample_rate"], True, "give the true one"),
        (["global", "core:sample_rate"], None, "give the true one"),
        (["global", "core:num_channels"], 0, "core:num_channels must be an integer from 1"),
        (["global", "core:num_channels"], 2**62, "core:num_channels must be"),
        (["global", "core:offset"], -1, "core:offset must be"),
        (["global", "core:trailing_bytes"], 1.5, "core:trailing_bytes must be"),
        (["global", "core:dataset"], "../secret", "beside the metadata"),
        (["global", "core:dataset"], "/etc/passwd", "beside the metadata"),
        (["global", "core:dataset"], "..", "beside the metadata"),
        (["global", "core:dataset"], "a\\b", "beside the metadata"),
        (["global", "core:dataset"], "a\0b", "beside the metadata"),
        (["global", "core:dataset"], "\ud800", "beside the metadata"),
        (["global", "core:dataset"], "x" * 256, "beside the metadata"),
        (["global", "core:dataset"], "", "beside the metadata"),
        (["global", "core:extensions"], [{"name": "odd", "version": "1", "optional": False}], "optional"),
        (["captures", 0], 5, r"captures\[0\] must be an object"),
        (["captures", 0], {}, r"captures\[0\]: core:sample_start must be"),
        (["captures", 0, "core:sample_start"], -5, r"captures\[0\]"),
        (["captures", 0, "core:sample_start"], 2**63, r"captures\[0\]"),
        (["captures", 0, "core:sample_start"], 101, "sort them"),
        (["captures", 1, "core:header_bytes"], -1, r"captures\[1\]: core:header_bytes"),
    ],
)
def test_what_decides_how_samples_are_read_must_be_right(path: list, value: Any, advice: str) -> None:
    with pytest.raises(FormatError, match=advice) as caught:
        parse(changed(*path, value=value))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["global", "core:version"], None, "core:version"),
        (["global", "core:version"], "2.0.0", "core:version"),
        (["global", "core:hw"], 5, "core:hw"),
        (["global", "core:extensions"], 5, "core:extensions"),
        (["global", "core:extensions"], [5], r"core:extensions\[0\]"),
        (["captures", 0, "core:frequency"], 1e13, "core:frequency"),
        (["captures", 0, "core:frequency"], NAN, "core:frequency"),
        (["captures", 0, "core:datetime"], "yesterday", "core:datetime"),
        (["captures", 0, "core:datetime"], "0001-01-01T00:00:00+23:00", "core:datetime"),
        (["captures", 0, "core:datetime"], 5, "core:datetime"),
        (["captures", 1, "core:global_index"], -1, "core:global_index"),
        (["annotations", 0], "x", r"annotations\[0\]"),
        (["annotations", 0, "core:sample_start"], -1, r"annotations\[0\]"),
        (["annotations", 0, "core:sample_start"], NAN, r"annotations\[0\]"),
        (["annotations", 0, "core:sample_count"], 2**64, r"annotations\[0\]"),
        (["annotations", 0, "core:sample_count"], [], r"annotations\[0\]"),
    ],
)
def test_everything_else_is_left_out_and_reported(path: list, value: Any, expected: str) -> None:
    found = parse(changed(*path, value=value))
    assert len(found.problems) == 1
    assert re.search(expected, found.problems[0])


def test_missing_parts() -> None:
    found = parse({"global": {"core:datatype": "ci8", "core:version": "1.0.0"}})
    assert (found.captures, found.annotations, found.sample_rate_hz) == ((), (), None)
    assert len(found.problems) == 2
    found = parse({"global": {"core:sample_rate": -1}}, given_rate=True, given_datatype=True)
    assert (found.datatype, found.sample_rate_hz) == (None, None)


def test_reports_are_bounded() -> None:
    found = parse({**VALID, "annotations": [None] * 1000})
    assert len(found.problems) == MAX_PROBLEMS + 1
    assert found.problems[-1] == f"… and {1000 - MAX_PROBLEMS} more"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"{", "not JSON"),
        (b"[1, 2]", "no 'global'"),
        (b"null", "no 'global'"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"global": {"x": ' + b"9" * 10_000 + b"}}", "too many digits"),
        (b"[" + b"0," * 4_000_001 + b"0]", "more than 4000000 values"),
        (b" " * (32 << 20) + b"{}", "more than 33554432 bytes"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
def test_hostile_json(text: bytes, advice: str) -> None:
    with pytest.raises(FormatError, match=advice):
        parse_metadata(text)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VALUES", 40_000)
    text = b'{"global": {"core:datatype": "ci8"}, "captures": [], "annotations": [' + b"{}," * 13_000 + b"{}]}"
    tracemalloc.start()
    found = parse_metadata(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.problems) == MAX_PROBLEMS + 1
    assert peak < 100 * 40_000


def test_byte_order_mark_is_accepted() -> None:
    assert parse_metadata(b"\xef\xbb\xbf" + json.dumps(VALID).encode()).datatype == "ci16_le"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from([10**400, 2**63]),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=15,
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


@given(JSON)
def test_arbitrary_json(document: Any) -> None:
    for text in (
        document,
        {"global": document},
        {**VALID, "captures": [document]},
        {**VALID, "annotations": [document]},
    ):
        try:
            parse(text)
        except FormatError as error:
            message = str(error)
            assert len(message) < 300


@given(st.lists(st.tuples(st.sampled_from(places(VALID)[1:]), JSON), min_size=1, max_size=4))
def test_mutated_metadata(changes: list[tuple[tuple, Any]]) -> None:
    document: Any = copy.deepcopy(VALID)
    for path, value in changes:
        place = document
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    try:
        found = parse(document)
    except FormatError as error:
        message = str(error)
        assert len(message) < 300
    else:
        assert found.sample_rate_hz is None or 1e-3 <= found.sample_rate_hz <= 1e12
        assert all(0 <= capture.sample_start < 2**63 for capture in found.captures)


@given(st.integers(0, 2**32))
def test_damaged_text(seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = bytearray(json.dumps(VALID).encode())
    for position in rng.integers(0, len(text), rng.integers(1, 6)):
        text[position] = rng.integers(0, 256)
    try:
        parse_metadata(bytes(text))
    except FormatError as error:
        message = str(error)
        assert len(message) < 300


@given(st.binary(max_size=200))
def test_random_bytes(text: bytes) -> None:
    with pytest.raises(FormatError):
        parse_metadata(text)

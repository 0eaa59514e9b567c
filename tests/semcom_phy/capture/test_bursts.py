import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.capture import BurstAnnotation
from semcom_phy.capture.bursts import is_burst
from semcom_phy.errors import ConfigurationError, FormatError

U32 = st.integers(0, 2**32 - 1)


@st.composite
def bursts(draw: st.DrawFn) -> BurstAnnotation:
    fragments = draw(st.none() | st.integers(1, 2**32 - 1))
    finite = st.floats(-1e3, 1e3)
    return BurstAnnotation(
        sample_start=draw(st.integers(0, 2**62 - 1)),
        sample_count=draw(st.integers(1, 2**62)),
        crc_ok=draw(st.booleans()),
        frame=draw(st.none() | U32),
        image=draw(st.none() | U32),
        fragment=draw(st.none() | st.integers(0, (fragments or 2**32 - 1) - 1)),
        fragments=fragments,
        modulation=draw(st.none() | st.sampled_from(["bpsk", "qpsk", "16qam"])),
        code_rate=draw(st.none() | st.floats(1e-6, 1.0)),
        redundancy_version=draw(st.none() | st.integers(0, 3)),
        es_n0_db=draw(st.none() | st.floats(-200, 200)),
        cfo_hz=draw(st.none() | finite),
        clock_offset_ppm=draw(st.none() | finite),
        evm_rms=draw(st.none() | st.floats(0, 10)),
    )


@given(bursts())
def test_round_trip_through_json(burst: BurstAnnotation) -> None:
    text = json.dumps(burst.to_sigmf(), allow_nan=False)
    assert BurstAnnotation.from_sigmf(json.loads(text)) == burst


def test_keys() -> None:
    burst = BurstAnnotation(5, 7, np.bool_(False), frame=np.uint32(3), es_n0_db=np.float32(1.5))
    assert burst.to_sigmf() == {
        "core:sample_start": 5,
        "core:sample_count": 7,
        "core:label": "frame 3",
        "semcom:crc_ok": False,
        "semcom:frame": 3,
        "semcom:es_n0_db": 1.5,
    }
    assert is_burst(burst.to_sigmf())
    assert not is_burst({"core:sample_start": 5, "core:label": "semcom"})
    assert BurstAnnotation(0, 1, True).to_sigmf()["core:label"] == "burst"


WRONG: list[tuple[str, Any]] = [
    ("sample_start", -1),
    ("sample_start", 2**63),
    ("sample_start", 2**63 - 1),
    ("sample_start", 1.5),
    ("sample_start", True),
    ("sample_count", 0),
    ("crc_ok", 1),
    ("crc_ok", "yes"),
    ("frame", 2**32),
    ("frame", "3"),
    ("frame", [3]),
    ("image", -1),
    ("fragment", 4),
    ("fragments", 0),
    ("modulation", "QPSK"),
    ("modulation", "x" * 33),
    ("modulation", 4),
    ("code_rate", 0.0),
    ("code_rate", 1.01),
    ("redundancy_version", 4),
    ("es_n0_db", float("nan")),
    ("es_n0_db", float("inf")),
    ("es_n0_db", True),
    ("cfo_hz", 1e10),
    ("cfo_hz", "12"),
    ("clock_offset_ppm", float("-inf")),
    ("evm_rms", -0.1),
]
GOOD = BurstAnnotation(10, 20, True, 1, 2, 3, 4, "qpsk", 0.5, 0, 10.0, 100.0, 1.0, 0.1)


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_values_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError):
        dataclasses.replace(GOOD, **{name: value})
    prefix = "core:" if name.startswith("sample_") else "semcom:"
    with pytest.raises(FormatError):
        BurstAnnotation.from_sigmf({**GOOD.to_sigmf(), prefix + name: value})


@pytest.mark.parametrize("key", ["core:sample_start", "core:sample_count", "semcom:crc_ok"])
def test_required_fields(key: str) -> None:
    annotation = GOOD.to_sigmf()
    del annotation[key]
    with pytest.raises(FormatError, match=f"without {key}"):
        BurstAnnotation.from_sigmf(annotation)


def test_unknown_fields_are_ignored() -> None:
    assert BurstAnnotation.from_sigmf({**GOOD.to_sigmf(), "semcom:later": [1], "other:x": None}) == GOOD


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=100) | st.just(10**400),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=10,
)
KEYS = sorted(GOOD.to_sigmf())


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_arbitrary_values(changes: dict[str, Any]) -> None:
    try:
        parsed = BurstAnnotation.from_sigmf({**GOOD.to_sigmf(), **changes})
    except FormatError as error:
        message = str(error)
        assert len(message) < 300
    else:
        json.dumps(parsed.to_sigmf(), allow_nan=False)

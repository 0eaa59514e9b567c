"""Letters and lines that SDR libraries print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.radios.device_messages import DeviceMessages

LINES = [
    "sink :warning: Soapy sink error: STREAM_ERROR",
    "[INFO] [B200] Operating over USB 3.",
    "usrp_source :error: The RFNoC device is gone",
    "UHD Error:",
    "Selecting default antenna",
    "Device is hot",
    "Operating over USB 2",
    "sOmething else",
]


def counts(messages: DeviceMessages) -> tuple[int, int, int, int]:
    return messages.overruns, messages.underruns, messages.late, messages.errors


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("sOsOsO", (3, 0, 0, 0)),
        ("sUsU\n", (0, 2, 0, 0)),
        ("OOUDLS", (3, 1, 1, 1)),
        ("OsOOsO", (2, 0, 0, 0)),  # the driver and gr-soapy tell of the same two
        ("OOO[WARNING] [UHD] a line behind them\n", (3, 0, 0, 0)),
        ("UUsink :warning: Soapy sink error: STREAM_ERROR\nU", (0, 3, 0, 0)),
    ],
)
def test_letters(printed: str, expected: tuple[int, int, int, int]) -> None:
    messages = DeviceMessages()
    messages.feed(printed.encode())
    assert counts(messages) == expected


@pytest.mark.parametrize("line", LINES)
def test_lines_are_passed_on_and_not_counted(line: str) -> None:
    messages = DeviceMessages()
    assert messages.feed(line.encode() + b"\n") == [line]
    assert counts(messages) == (0, 0, 0, 0)


def test_a_line_may_follow_letters() -> None:
    messages = DeviceMessages()
    assert messages.feed(b"OOsink :warning: Soapy sink error: STREAM_ERROR\n") == [LINES[0]]
    assert messages.overruns == 2


def test_waiting_of_the_sink_is_not_passed_on() -> None:
    messages = DeviceMessages()
    assert messages.feed(b"sink :warning: Soapy sink error: TIMEOUT\n" * 3) == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("letters"), st.lists(st.sampled_from(["sO", "sU"]), min_size=1).map("".join)),
            st.tuples(st.just("line"), st.sampled_from(LINES[:3])),
        )
    ),
)
def test_any_order_of_letters_and_lines(printed: list[tuple[str, str]]) -> None:
    """Each write arrives whole, as pipes keep it."""
    messages = DeviceMessages()
    lines = []
    for kind, text in printed:
        lines += messages.feed(text.encode() if kind == "letters" else text.encode() + b"\n")
    letters = "".join(text for kind, text in printed if kind == "letters")
    assert (messages.overruns, messages.underruns) == (letters.count("sO"), letters.count("sU"))
    assert lines == [text for kind, text in printed if kind == "line"]


@given(st.binary(max_size=20_000))
def test_junk_is_survived(data: bytes) -> None:
    messages = DeviceMessages()
    messages.feed(data)
    messages.feed(b"\nsO")
    assert messages.overruns >= 1

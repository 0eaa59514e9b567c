"""The log line of a block that has died."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.flowgraph.block_failure import NAME_LENGTH, WHY_LENGTH, BlockFailure
from semcom_phy.zmq import encode

#: As GNU Radio 3.10.5.1 writes them.
PYTHON_BLOCK = (
    "thread_body_wrapper :error: ERROR thread[thread-per-block[2]: <block Burst Receiver(10)>]: RuntimeError: no such "
    "antenna"
)
DEVICE = (
    "thread_body_wrapper :error: ERROR thread[thread-per-block[1]: <block sink(4)>]: semcomloop: another transmitter "
    "is active under this key"
)
UNKNOWN = "thread_body_wrapper :error: ERROR thread[thread-per-block[0]: <block x(1)>]: caught unrecognized exception"


def test_lines_that_tell_of_a_failure() -> None:
    assert BlockFailure.from_line(PYTHON_BLOCK) == BlockFailure("Burst Receiver(10)", "RuntimeError: no such antenna")
    assert BlockFailure.from_line(DEVICE) == BlockFailure(
        "sink(4)", "semcomloop: another transmitter is active under this key"
    )
    assert str(BlockFailure.from_line(UNKNOWN)) == "block x(1) has died: caught unrecognized exception"


def test_letters_of_a_device_may_stand_in_front() -> None:
    assert BlockFailure.from_line(f"sOsO{DEVICE}") == BlockFailure.from_line(DEVICE)


def test_a_message_ends_with_its_first_line() -> None:
    message = PYTHON_BLOCK.partition(":error: ")[2] + "\n\nAt:\n  file.py(3): work"
    assert BlockFailure.from_message(message) == BlockFailure.from_line(PYTHON_BLOCK)


def test_other_lines_tell_of_none() -> None:
    for line in (
        "",
        "sink :error: something else",
        "thread_body_wrapper :info: ERROR thread[thread-per-block[1]: <block sink(4)>]: x",
        "thread_body_wrapper :error: ERROR thread[]: x",
        PYTHON_BLOCK.partition(":error: ")[2],
    ):
        assert BlockFailure.from_line(line) is None


def test_a_failure_fits_a_control_message() -> None:
    longest = BlockFailure.from_message(f"ERROR thread[thread-per-block[1]: <block {'𝄞' * 999}>]: {'𝄞' * 999}")
    encode({"failure": str(longest)})


@given(st.text(alphabet=st.characters(blacklist_characters=">")), st.text())
def test_what_a_message_says_is_bounded(block: str, why: str) -> None:
    failure = BlockFailure.from_message(f"ERROR thread[thread-per-block[1]: <block {block * 99}>]: {why * 99}")
    assert failure is not None
    assert len(failure.block) <= NAME_LENGTH
    assert len(failure.why) <= WHY_LENGTH


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    BlockFailure.from_line(text)
    assert BlockFailure.from_message(text) is None or text.startswith("ERROR thread")

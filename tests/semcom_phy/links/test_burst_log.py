"""Lists of bursts and counts of them, in receptions without an end."""

from __future__ import annotations

import numpy as np
import pytest

from semcom_phy.coding.transport import TurboCode
from semcom_phy.links import Frame, FrameFormat, burst_log
from semcom_phy.links.air_frames import decode_frame, frame_bursts
from semcom_phy.links.burst_log import BurstLog
from semcom_phy.waveform import Burst, FrameAssembler, ReceivedBurst
from semcom_phy.waveform.burst_header import encode_application_header

FRAMES = FrameFormat(fragment_symbols=100)
BURSTS = 12


def frame(image: int) -> list[Burst]:
    payload = np.random.default_rng(image).integers(0, 2, 400, dtype=np.uint8)
    bursts = frame_bursts(Frame(b"header", payload), FRAMES, image)
    assert len(bursts) == BURSTS
    return bursts


def received(burst: Burst, position: float) -> ReceivedBurst:
    application = encode_application_header(burst.application_header, 1)
    return ReceivedBurst(
        header=burst.header,
        llrs=20.0 * burst.coded.astype(np.float32) - 10.0,
        application_llrs=20.0 * application.astype(np.float32) - 10.0,
        position=position,
        cfo_hz=0.0,
        clock_offset_ppm=0.0,
        esn0_db=10.0,
        evm_percent=30.0,
        level_dbfs=-9.0,
        equalizer="one-tap",
        process=("band", 0.0),
    )


def test_memory_is_bounded_and_counts_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that come three times: two thirds of the bursts never get a verdict, all are counted."""
    monkeypatch.setattr(burst_log, "MAX_UNSETTLED", 5)
    log, assembler, position, removed = BurstLog(), FrameAssembler(), 0.0, []
    for image in range(4):
        for burst in 3 * frame(image):
            position += 1000.0
            log.take(received(burst, position))
            for assembled in assembler.push(received(burst, position)):
                log.settle(decode_frame(assembled, TurboCode()))
            assert len(log._unsettled) <= 5
            if burst.header.fragment % 4 == 0:
                removed += log.remove()
    removed += log.remove()
    assert log.bursts == []
    assert (log.taken, log.intact) == (3 * 4 * BURSTS, 4 * BURSTS)
    assert [entry.position for entry in removed] == [1000.0 * number for number in range(1, log.taken + 1)]
    # The last five of a frame are still known when it is decoded.
    verdicts = [entry.crc_ok for entry in removed]
    assert verdicts == 4 * [*[None] * (BURSTS - 5), *[True] * 5, *[None] * (2 * BURSTS)]


def test_verdicts_reach_bursts_that_were_removed() -> None:
    log, assembler, removed = BurstLog(), FrameAssembler(), []
    for number, burst in enumerate(frame(1)):
        log.take(received(burst, 1000.0 * number))
        (entry,) = log.remove()
        removed.append(entry)
        assert entry.crc_ok is None
        for assembled in assembler.push(received(burst, 1000.0 * number)):
            log.settle(decode_frame(assembled, TurboCode()))
    assert [entry.crc_ok for entry in removed] == [True] * BURSTS
    assert log.intact == BURSTS

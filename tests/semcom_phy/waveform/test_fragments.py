from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError
from semcom_phy.waveform import (
    AssembledFrame,
    AssemblerConfig,
    Burst,
    FrameAssembler,
    ReceivedBurst,
    Receiver,
    Transmitter,
    split_frame,
)
from semcom_phy.waveform.burst_header import encode_application_header

HEADER = b"a header of the application"


def received(burst: Burst, position: float = 0.0, scale: float = 4.0) -> ReceivedBurst:
    """What a receiver makes of a burst without noise."""
    codeword = encode_application_header(burst.application_header, 1)
    return ReceivedBurst(
        header=burst.header,
        llrs=(scale * (2.0 * burst.coded - 1)).astype(np.float32),
        application_llrs=(2.0 * codeword - 1).astype(np.float32),
        position=position,
        cfo_hz=0.0,
        clock_offset_ppm=0.0,
        esn0_db=10.0,
        evm_percent=30.0,
        level_dbfs=-9.0,
        equalizer="one-tap",
        process=("band", 0.0),
    )


def bits(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, count, dtype=np.uint8)


def split(coded: np.ndarray, **options: object) -> list[Burst]:
    values: dict = {"payload_bits": 100, "image": 1, "fragment_symbols": 500}
    return split_frame(HEADER, coded, **(values | options))


def push_all(assembler: FrameAssembler, bursts: list[Burst]) -> list[AssembledFrame]:
    return [frame for burst in bursts for frame in assembler.push(received(burst))]


@given(st.integers(1, 5000), st.integers(1, 900), st.sampled_from(["bpsk", "qpsk", "16qam"]), st.booleans(), st.data())
def test_what_arrives_stands_at_its_place(
    size: int, fragment_symbols: int, modulation: str, interleaved: bool, data: st.DataObject
) -> None:
    """Any subset, in any order: bits that came have their sign, the others are zero."""
    coded = bits(size)
    bursts = split(coded, fragment_symbols=fragment_symbols, modulation=modulation, interleaved=interleaved)
    assert all(b.header.payload_symbols <= fragment_symbols for b in bursts)
    assert sum(b.coded.size for b in bursts) == size
    order = data.draw(st.permutations(range(len(bursts))))
    kept = order[: data.draw(st.integers(1, len(bursts)))]
    assembler = FrameAssembler()
    frames = push_all(assembler, [bursts[i] for i in kept])
    complete = len(kept) == len(bursts)
    assert len(frames) == complete
    (frame,) = frames or assembler.flush()
    assert frame.application_header == HEADER
    assert frame.complete == complete
    (version,) = frame.versions
    assert version.llrs.shape == (size,)
    assert (version.received, version.fragments) == (len(kept), len(bursts))
    present = version.llrs != 0
    assert np.count_nonzero(present) == sum(bursts[i].coded.size for i in kept)
    np.testing.assert_array_equal(version.llrs[present] > 0, coded[present] == 1)
    assert assembler.flush() == []


def test_copies_are_added_and_redundancy_versions_kept_apart() -> None:
    coded, other = bits(1200), bits(1200, 1)
    first = split(coded, passes=3)
    second = split(other, passes=3, redundancy=2)
    assembler = FrameAssembler()
    assert push_all(assembler, first + second) == []
    (frame,) = push_all(assembler, first)
    assert frame.complete
    assert [v.redundancy for v in frame.versions] == [0, 2]
    np.testing.assert_array_equal(frame.versions[0].llrs, 8.0 * (2.0 * coded - 1))
    np.testing.assert_array_equal(frame.versions[1].llrs, 4.0 * (2.0 * other - 1))
    assert assembler.counts.combined == 3
    assert assembler.counts.bursts == len(frame.bursts) == 9


def test_a_pass_with_gaps_is_completed_by_the_next() -> None:
    bursts = split(bits(2000), passes=2)
    assembler = FrameAssembler()
    assert push_all(assembler, [*bursts[:2], *bursts[3:], *bursts[:-1]]) == []
    (frame,) = assembler.flush()
    assert not frame.complete
    assert frame.versions[0].received == 4
    assert np.all(frame.versions[0].llrs != 0)


def test_late_copies_open_no_new_frame() -> None:
    bursts = split(bits(1000))
    assembler = FrameAssembler()
    assert len(push_all(assembler, bursts)) == 1
    assert push_all(assembler, bursts) == []
    assert assembler.counts.late == 2
    assert assembler.flush() == []


def test_frames_with_equal_numbers_and_other_lengths_are_kept_apart() -> None:
    old, new = split(bits(1500)), split(bits(1700), payload_bits=101)
    assembler = FrameAssembler()
    frames = push_all(assembler, [old[0], new[0], old[1], new[1], new[2], new[3], old[2]])
    assert [f.payload_bits for f in frames] == [101, 100]
    assert all(f.complete for f in frames)
    assert assembler.counts.inconsistent == 1


def test_fragments_of_other_sizes_do_not_mix() -> None:
    """The same frame announced with two numbers of fragments: two versions, each at its places."""
    coarse, fine = split(bits(1500)), split(bits(1500), fragment_symbols=300)
    assembler = FrameAssembler()
    assert push_all(assembler, [coarse[0], fine[4]]) == []
    (frame,) = assembler.flush()
    assert [(v.received, v.fragments) for v in frame.versions] == [(1, 3), (1, 5)]
    assert assembler.counts.inconsistent == 1


def test_memory_is_bounded() -> None:
    assembler = FrameAssembler(AssemblerConfig(max_open_frames=3, max_held_llrs=5000, max_coded_bits=1 << 20))
    frames = []
    for image in range(10):
        frames += assembler.push(received(split(bits(1500), image=image)[0]))
        assert len(assembler._open) <= 3
    assert [f.image for f in frames] == list(range(7))
    big = split(bits(8000), image=99, fragment_symbols=6000)[0]
    assert [f.image for f in assembler.push(received(big))] == [7]
    more = split(bits(8000), image=100, fragment_symbols=6000)
    assert [f.image for f in assembler.push(received(more[0]))] == [8, 9, 99]
    assert len(assembler._open) == 1
    huge = received(more[0])
    claim = replace(huge, header=replace(huge.header, coded_bits=2**32 - 1, fragments=2**16 - 1))
    assert assembler.push(claim) == []
    assert assembler.counts.oversized == 1
    for image in range(1000):
        assembler.push(received(split(bits(400), image=image + 1000)[0]))
    assert len(assembler._delivered) == 256


def test_endless_repetition_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semcom_phy.waveform.fragments.MAX_REPORTS", 5)
    burst = received(split(bits(1500))[0])
    assembler = FrameAssembler()
    for _ in range(20):
        assembler.push(burst)
    (frame,) = assembler.flush()
    assert len(frame.bursts) == 5
    assert assembler.counts.bursts == 20


def test_idle_frames_expire() -> None:
    assembler = FrameAssembler(AssemblerConfig(idle_samples=1000))
    assembler.push(received(split(bits(1500), image=1)[0], position=100.0))
    assembler.push(received(split(bits(1500), image=2)[0], position=900.0))
    assert assembler.expire(1099.0) == []
    assert [f.image for f in assembler.expire(1101.0)] == [1]
    assert [f.image for f in assembler.flush()] == [2]


def test_weak_application_headers_add_up() -> None:
    """One codeword at −8 dB is hopeless; twelve of them are not."""
    rng = np.random.default_rng(1)
    bursts = split(bits(6000))
    n0 = 10**0.8
    assembler = FrameAssembler()
    alone = FrameAssembler()
    for burst in bursts:
        clean = received(burst)
        noisy = clean.application_llrs + np.sqrt(n0 / 2) * rng.standard_normal(clean.application_llrs.size)
        frames = assembler.push(replace(clean, application_llrs=(4 * noisy / n0).astype(np.float32)))
    alone.push(replace(clean, application_llrs=(4 * noisy / n0).astype(np.float32)))
    assert frames[0].application_header == HEADER
    (lonely,) = alone.flush()
    assert lonely.application_header is None
    assert alone.counts.application_headers_failed == 1


@pytest.mark.parametrize(
    ("coded", "options"),
    [
        (np.zeros(0), {}),
        (np.zeros((2, 2)), {}),
        (np.zeros(10), {"fragment_symbols": 0}),
        (np.zeros(70_000), {"fragment_symbols": 1}),
        (np.zeros(10), {"modulation": "8psk"}),
        (np.zeros(10), {"image": -1}),
    ],
)
def test_bad_frames_are_refused(coded: np.ndarray, options: dict) -> None:
    with pytest.raises(ConfigurationError):
        split(coded, **options)


def test_bad_bounds_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_open_frames"):
        AssemblerConfig(max_open_frames=0)


@pytest.mark.parametrize("modulation", ["bpsk", "qpsk", "16qam"])
def test_an_image_over_the_air(modulation: str) -> None:
    """Bits through the turbo code, bursts, noise and frequency offset, one burst lost, and back."""
    rng = np.random.default_rng(2)
    payload = bits(6000, 3)
    code = TurboCode()
    coded = code.encode(payload)
    bursts = split_frame(
        HEADER, coded, payload_bits=6000, image=77, modulation=modulation, interleaved=True, fragment_symbols=1000
    )
    lost = bursts[1:2] if len(bursts) > 10 else []
    samples = Transmitter().modulate_train([b for b in bursts if b not in lost])
    esn0 = {"bpsk": -1.0, "qpsk": 2.5, "16qam": 8.5}[modulation]
    deviation = np.sqrt(10**-0.9 * 4 * 10 ** (-esn0 / 10) / 2)
    samples = samples * np.exp(0.03j * np.arange(samples.size)) + deviation * (
        rng.standard_normal((samples.size, 2)) @ np.array([1, 1j])
    )
    assembler = FrameAssembler()
    frames = [frame for burst in Receiver().push(samples) for frame in assembler.push(burst)]
    (frame,) = frames + assembler.flush()
    assert (frame.image, frame.payload_bits, frame.fec) == (77, 6000, "turbo")
    assert frame.application_header == HEADER
    assert frame.complete == (not lost)
    decoded = code.decode(frame.versions[0].llrs, 6000)
    assert decoded.transport_ok
    np.testing.assert_array_equal(decoded.bits, payload)

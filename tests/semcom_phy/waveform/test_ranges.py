import math

import numpy as np
import pytest

from semcom_phy.waveform import ranges


@pytest.mark.parametrize(("modulation", "esn0_db"), [("bpsk", -3.0), ("qpsk", 1.0), ("16qam", 8.0)])
def test_equivalent_esn0_of_an_ideal_link_is_its_own(modulation: str, esn0_db: float) -> None:
    from semcom_phy.modulation import MODULATIONS

    rng = np.random.default_rng(1)
    scheme = MODULATIONS[modulation]
    bits = rng.integers(0, 2, 400_000, dtype=np.uint8)
    n0 = 10 ** (-esn0_db / 10)
    symbols = scheme.modulate(bits)
    received = symbols + math.sqrt(n0 / 2) * (rng.standard_normal((symbols.size, 2)) @ np.array([1, 1j]))
    information = ranges.mutual_information(bits, scheme.demap(received, 1.0, n0))
    assert ranges.equivalent_esn0_db(modulation, information, esn0_db) == pytest.approx(esn0_db, abs=0.1)
    worse = ranges.mutual_information(bits, scheme.demap(received, 1.0, 4 * n0))
    assert ranges.equivalent_esn0_db(modulation, worse, esn0_db) < esn0_db - 0.3


def test_information_of_certain_and_of_useless_llrs() -> None:
    bits = np.array([0, 1, 1, 0])
    assert ranges.mutual_information(bits, 1000.0 * (2 * bits - 1)) == pytest.approx(1.0)
    assert ranges.mutual_information(bits, np.zeros(4)) == pytest.approx(0.0)


@pytest.mark.slow
def test_the_range_holds() -> None:
    """Every condition with BPSK 1.2 dB above the code's threshold: all bursts are found and decoded."""
    for condition in ranges.conditions():
        if condition.fading_hz is not None:
            continue
        row = ranges.measure_condition(condition, "bpsk", -3.0, 0.35, 11)
        assert row["found"] == row["decoded"] == row["bursts"] >= 4, row
        assert row["loss_db"] < (1.2 if "paths" in condition.name else 0.35), row


@pytest.mark.slow
def test_fading_is_followed() -> None:
    for condition in ranges.conditions():
        if condition.fading_hz is None or not condition.flat:
            continue
        row = ranges.measure_condition(condition, "qpsk", 16.0, 1.0, 12)
        assert row["decoded"] >= 0.75 * row["bursts"], row


@pytest.mark.slow
def test_loss_against_the_ideal_link() -> None:
    """Half a dB below −3.9 dB, where the ideal link has an error rate of 1e-2 at about −4.3."""
    (row,) = ranges.frame_error_rows((-3.9,), bursts=150, seed=3)
    assert row["missed"] == 0
    assert row["fer"] <= 0.02


def test_rows_of_detection_and_false_alarms() -> None:
    (row,) = ranges.detection_rows((-3.0,), bursts=25)
    assert row["preambles_found"] == row["headers_decoded"] == 25
    rows = ranges.false_alarm_rows(5e5, 5e5)
    assert [r["detections"] for r in rows] == [0] * len(rows)
    assert rows[0]["first_stage_share"] == pytest.approx(9e-4, rel=0.4)


@pytest.mark.slow
def test_speed() -> None:
    """A tenth of what the documentation states, for the machine may be busy."""
    for row in ranges.speed_rows(0.2):
        assert row["msamples_s"] > 0.7, row

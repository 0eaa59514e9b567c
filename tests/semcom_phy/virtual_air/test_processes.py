"""Transmitter, air and receiver as three processes: frames across, collisions, and any of them killed at any time."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import time
from typing import Any

import pytest

from .conftest import Role, Start

ANY = "tcp://127.0.0.1:*"
BITS = 3000


def transmitter(start: Start, seed: int, frames: int, first_image: int = 0) -> tuple[Role, str]:
    role = start("transmit", f"air:{ANY}", seed, frames, BITS, first_image)
    return role, role.said("ready")[0]


def air(start: Start, transmitters: list[str], receivers: int, *impair: str, **options: Any) -> tuple[Role, list[str]]:
    addresses = {"transmitters": tuple(transmitters), "receivers": (ANY,) * receivers}
    role = start("air", list(impair), None, **addresses, **options)
    return role, role.said("ready")[0]


def is_free(address: str) -> bool:
    host, port = address.removeprefix("tcp://").split(":")
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, int(port)))
        return True
    return False


def one_run(start: Start, impair: str, frames: int) -> tuple[dict[str, Any], dict[int, str]]:
    sender, address = transmitter(start, 7, frames)
    between, (where,) = air(start, [address], 1, impair, fast=True, seed=5)
    receiver = start("receive", f"air:{where}", frames)
    received, sent = receiver.ended(), sender.ended()
    counts = between.terminate()
    assert (received[1], sent[1]) == (None, None)
    assert counts["transmitters"]["tx1"]["gap_samples"] == 0
    return received[0], sent[0]


@pytest.mark.slow
def test_frames_come_across_three_processes_the_same_every_time(start: Start) -> None:
    impair = "cheap-sdr,cfo=4000,rx.ppm=-8,multipath=short,esn0=8"
    received, sent = one_run(start, impair, 3)
    assert {image: frame["sha256"] for image, frame in received["frames"].items()} == sent
    for frame in received["frames"].values():
        assert frame["intact"]
        assert abs(frame["esn0_db"] - 8.0) < 2.0
        assert abs(frame["cfo_hz"] - 4000.0) < 10.0
        assert abs(frame["clock_ppm"] - 12.0) < 6.0
    again, _ = one_run(start, impair, 3)
    assert again["frames"] == received["frames"]


@pytest.mark.slow
def test_two_transmitters_collide_and_the_losses_are_counted(start: Start) -> None:
    frames = 30
    one, first = transmitter(start, 1, frames)
    two, second = transmitter(start, 2, frames, 1000)
    # The second one's bursts drift against the first one's: its clock is off.
    between, (where,) = air(start, [first, second], 1, "esn0=15", "tx2:tx.gain=-3,ppm=9000", fast=True, patience_s=30.0)
    receiver = start("receive", f"air:{where}", 0)
    sent = {**one.ended()[0], **two.ended()[0]}
    counts = between.terminate()
    received, problem = receiver.ended()
    assert problem is None, str(counts["receivers"])
    assert len(sent) == 2 * frames
    intact = {image: frame for image, frame in received["frames"].items() if frame["intact"]}
    # What is intact is right; what collided is missing, or found and known to be damaged.
    assert all(frame["sha256"] == sent[image] for image, frame in intact.items())
    assert len(intact) < 2 * frames
    damaged = len(received["frames"]) - len(intact)
    assert received["headers_failed"] + damaged > 0
    assert received["detections"] >= len(received["frames"]) + received["headers_failed"]
    assert counts["transmitters"]["tx1"]["gaps"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "realtime"])
@pytest.mark.parametrize("victim", ["transmitter", "air", "receiver"])
@pytest.mark.parametrize("seed", range(3))
def test_who_is_killed_takes_nobody_along(start: Start, victim: str, fast: bool, seed: int) -> None:
    sender, sends_at = transmitter(start, 1, 0)
    other, other_at = transmitter(start, 2, 0, 1 << 20)
    # The bystander hears the first transmitter hardly at all.
    between, (where, elsewhere) = air(
        start,
        [sends_at, other_at],
        2,
        "tx1-rx2:gain=-40",
        fast=fast,
        patience_s=2.0,
        sample_rate_hz=200e3,
    )
    receiver = start("receive", f"air:{where}", 0)
    bystander = start("receive", f"air:{elsewhere}", 0)
    assert bystander.said("frame") == (2,)
    receiver.said("frame")
    killed = {"transmitter": sender, "air": between, "receiver": receiver}[victim]
    time.sleep(random.Random(seed).uniform(0.0, 0.3))  # the moment is what is random here
    killed.process.kill()
    killed.process.join(10.0)
    assert killed.process.exitcode == -signal.SIGKILL

    if victim == "air":
        for role in (sender, other, receiver, bystander):
            _, problem = role.ended()
            assert problem is not None
            assert "has disappeared; start 'semcom air' again" in problem
        assert is_free(where)
        return

    # The others go on.
    while "has ended" not in between.said("event")[0]:
        pass
    bystander.forget()
    for _ in range(10):  # more than what the killed one had sent ahead
        assert bystander.said("frame") == (2,)
    counts = between.terminate()
    assert bystander.ended()[1] is None
    assert "has disappeared" in str(other.ended()[1])
    if victim == "transmitter":
        assert counts["transmitters"]["tx1"]["disconnections"] == 1
        assert counts["transmitters"]["tx1"]["absent_samples"] > 0
        assert receiver.ended()[1] is None
    else:
        lost = counts["receivers"]["rx1"]
        assert lost["disconnections"] == 1
        # Every sample of air time was handed over, or is counted as what became of it.
        kept = ("samples", "undelivered_samples", "unheard_samples", "dropped_samples")
        assert sum(lost[name] for name in kept) == counts["samples"]
        assert "has disappeared" in str(sender.ended()[1])
    assert is_free(where)
    assert is_free(sends_at)

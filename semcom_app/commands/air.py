"""`semcom air`: the virtual air between transmitters and receivers."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Any

import typer

from semcom_app.commands.codec_options import SeedOption, check_seed
from semcom_app.commands.link_options import DEFAULT_SNR, SnrOption, parse_snr
from semcom_app.commands.option_names import named_as_options
from semcom_phy.errors import ConfigurationError

#: What errors of `AirConfig` say, and what the command line calls it.
_PARAMETERS = {
    "sample_rate_hz": "--sample-rate",
    "level_dbfs": "--level",
    "buffer_s": "--buffer",
    "patience_s": "--patience",
    "allow_remote": "--allow-remote",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("air")(air)


def air(
    tx: Annotated[
        list[str] | None,
        typer.Option("--tx", help="Where a transmitter answers; as often as needed.", show_default="port 29101"),
    ] = None,
    rx: Annotated[
        list[str] | None,
        typer.Option("--rx", help="Where a receiver is to ask; as often as needed.", show_default="port 29102"),
    ] = None,
    impair: Annotated[
        list[str] | None,
        typer.Option(
            "--impair",
            help="Impairments, such as cheap-sdr,cfo=3000,esn0=10; with tx1:, rx1: or tx1-rx1: in front, of one place.",
            metavar="[PLACE:]LIST",
            show_default="clean",
        ),
    ] = None,
    snr: SnrOption = None,
    sps: Annotated[int, typer.Option("--sps", help="Samples per symbol that the Es/N0 is for.")] = 4,
    sample_rate: Annotated[float, typer.Option("--sample-rate", help="Samples per second.")] = 1e6,
    fast: Annotated[
        bool, typer.Option("--fast/--realtime", help="As fast as possible, or at the pace of the sample rate.")
    ] = False,
    level: Annotated[
        float, typer.Option(help="Mean power of a transmitter's bursts, dB relative to full scale.")
    ] = -9.0,
    buffer: Annotated[
        float, typer.Option("--buffer", help="Seconds of samples that wait for a receiver, beyond which they are lost.")
    ] = 1.0,
    patience: Annotated[
        float, typer.Option(help="--fast: seconds that one transmitter or receiver may hold up the others.")
    ] = 10.0,
    duration: Annotated[float | None, typer.Option(help="End after so many seconds of air time.")] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Accept addresses that other machines can reach.")
    ] = False,
    seed: SeedOption = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, and nothing else.")] = False,
) -> int:
    """Carry samples from transmitters to receivers, with the impairments of radios and air. Ctrl-C or SIGTERM ends it.

    An address is tcp://127.0.0.1:PORT, or the port alone.
    """
    check_seed(seed)
    if duration is not None and not 0.0 < duration <= 1e9:
        raise ConfigurationError(f"--duration must be a number of seconds above 0, not {duration}")
    if not 2 <= sps <= 16:
        raise ConfigurationError(f"--sps must be from 2 to 16, not {sps}")
    noise_db = parse_snr(snr)

    from semcom_app.streaming import StopSignals
    from semcom_phy.virtual_air.configuration import AirConfig, parse_air_impairments
    from semcom_phy.virtual_air.protocol import RECEIVER_ADDRESS, TRANSMITTER_ADDRESS
    from semcom_phy.virtual_air.server import VirtualAir

    esn0 = float(DEFAULT_SNR) if noise_db is None else noise_db
    transmitters = tuple(map(_address, tx or [TRANSMITTER_ADDRESS]))
    receivers = tuple(map(_address, rx or [RECEIVER_ADDRESS]))
    counts = (len(transmitters), len(receivers))
    impairments = parse_air_impairments(impair or [], f"esn0={esn0!r}/{sps}", counts)
    if noise_db is not None and not impairments.says_esn0(esn0):
        raise ConfigurationError("--impair states the noise already; leave --snr out")
    with named_as_options(_PARAMETERS):
        config = AirConfig(
            transmitters, receivers, impairments, sample_rate, fast, level, buffer, patience, seed, allow_remote
        )

    def say(line: str) -> None:
        if not as_json:
            typer.echo(line, err=True)

    with StopSignals() as signals, VirtualAir(config, say) as virtual_air:
        for number, address in enumerate(config.transmitters, 1):
            say(f"tx{number}: semcom tx … --radio air:{address}")
        for number, address in enumerate(virtual_air.receiver_addresses, 1):
            say(f"rx{number}: semcom rx --radio air:{address}")
        virtual_air.run(signals.stopped, duration)
        result = {
            "config": {"command": shlex.join(["semcom", *sys.argv[1:]]), **config.describe()},
            **virtual_air.describe(),
        }
    if as_json:
        from semcom_app.results import json_bytes

        typer.echo(json_bytes(result), nl=False)
    else:
        _print(result)
    return 0


def _address(text: str) -> str:
    return f"tcp://127.0.0.1:{text}" if text.isascii() and text.isdigit() else text


_WORDS = {
    "gaps": "gaps",
    "gap_samples": "samples of silence in them",
    "invalid_samples": "samples that were none",
    "overruns": "overruns",
    "dropped_samples": "samples lost in them",
    "undelivered_samples": "samples not fetched",
    "refused": "requests of others",
    "malformed": "messages not understood",
    "handshake_failures": "connections not understood",
}


def _print(result: dict[str, Any]) -> None:
    typer.echo(f"{result['air_time_s']:.3g} s of air time in {result['elapsed_s']:.3g} s")
    for name, counts in {**result["transmitters"], **result["receivers"]}.items():
        more = "".join(f", {counts[key]} {words}" for key, words in _WORDS.items() if counts.get(key))
        typer.echo(f"{name}: {counts['samples']} samples{more}")

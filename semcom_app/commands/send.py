"""`semcom send`: pictures through a codec and a link."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_phy.errors import ConfigurationError

if TYPE_CHECKING:
    from semcom_app.results import ImageResult

SHOWN_IN_DETAIL = 20
MAX_ITERATIONS = 1000
MAX_STEM_BYTES = 180  # file systems take names of 255 bytes; suffixes and a partial file's name need room
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")
_FRACTION = re.compile(r"(\d{1,9}|\d{0,9}\.\d{1,17})(?:/([1-9]\d{0,8}))?", re.ASCII)
_OPTIONS = {
    "snr_db": "--snr",
    "flip_probability": "--flip",
    "doppler_hz": "--doppler",
    "symbol_rate_hz": "--symbol-rate",
    "scatterers": "--scatterers",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("send")(send)


def send(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.", show_default=False)],
    codec: Annotated[
        str,
        typer.Option(help="vcsc-8bit, vcsc-4bit, vcsc-2bit, vcsc-attn-0.2, vcsc-attn-0.4 (any b, any T)."),
    ] = "vcsc-8bit",
    link: Annotated[str, typer.Option(help="numpy.")] = "numpy",
    channel: Annotated[str, typer.Option(help="ideal, awgn, rayleigh or bsc.")] = "awgn",
    snr: Annotated[str, typer.Option("--snr", help="Es/N0 in dB, per transmitted symbol.", metavar="DB")] = "10",
    flip: Annotated[float | None, typer.Option("--flip", help="bsc: probability that a bit flips, 0 to 0.5.")] = None,
    doppler: Annotated[
        float | None,
        typer.Option("--doppler", help="rayleigh: maximum Doppler shift, Hz.", show_default="10"),
    ] = None,
    symbol_rate: Annotated[
        float | None,
        typer.Option("--symbol-rate", help="rayleigh: symbols per second.", show_default="100000"),
    ] = None,
    scatterers: Annotated[
        int | None, typer.Option("--scatterers", help="rayleigh: number of scatterers.", show_default="16")
    ] = None,
    fec: Annotated[str, typer.Option(help="turbo or none.")] = "turbo",
    rate: Annotated[
        str | None,
        typer.Option(
            help="Rate of the turbo code, 1/8 to 0.95, such as 3/4 or 0.75.",
            show_default="the mother code, about 1/3",
            metavar="R",
        ),
    ] = None,
    iterations: Annotated[int, typer.Option(help="Iterations of the turbo decoder.")] = 5,
    interleave: Annotated[
        bool, typer.Option("--interleave/--no-interleave", help="Interleave the coded bits over the image.")
    ] = False,
    bits: Annotated[int | None, typer.Option(help="Bits per latent value, 1 to 8.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Attention threshold T, 0 to 1: 8 bits above it, 4 below.")
    ] = None,
    vae: Annotated[str, typer.Option(help="Autoencoder: compact, sd-vae, taesd, a hub id or a folder.")] = "compact",
    sample: Annotated[
        bool, typer.Option("--sample/--mode", help="Draw the latent from the posterior, or take its mode.")
    ] = False,
    size: Annotated[int | None, typer.Option(help="Scale and centre-crop to SIZE×SIZE (the paper: 512).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures, report and result.json.")] = Path("out/send"),
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json, and nothing else, on stdout.")] = False,
) -> int:
    """Send pictures and show what arrived.

    Exit code 0 when every picture was delivered, 1 when one was lost or something failed, 2 for wrong usage.
    """
    # All that can be known to be wrong is found before torch is loaded.
    snr_db = _parse_snr(snr)
    code_rate = None if rate is None else _parse_rate(rate, fec)
    if not 0 <= seed < 1 << 63:
        raise ConfigurationError(f"--seed must be from 0 to 2^63 - 1, not {seed}")
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise ConfigurationError(f"--iterations must be from 1 to {MAX_ITERATIONS}, not {iterations}")
    if not _DEVICE.fullmatch(device):
        raise ConfigurationError(f"unknown device {device!r}. Known: auto, cpu, cuda, cuda:N")
    from semcom_app.codecs import CodecOptions, make_codec
    from semcom_app.images import check_writable, find_images, load_image
    from semcom_phy.coding.transport import TurboCode
    from semcom_phy.links import LINKS, NumpyLinkConfig

    _check_codec_options(vae, bits, threshold)
    _ = LINKS[link]
    radio = _make_channel(
        channel,
        {
            "snr_db": snr_db,
            "flip_probability": flip,
            "doppler_hz": doppler,
            "symbol_rate_hz": symbol_rate,
            "scatterers": scatterers,
        },
    )
    link_config = NumpyLinkConfig(radio, fec, TurboCode(iterations=iterations, rate=code_rate), interleave, seed)
    codec_object = make_codec(
        codec,
        CodecOptions(vae=vae, device=device, bits=bits, threshold=threshold, sample=sample, seed=seed),
    )
    paths = find_images(images)
    for path in paths:
        load_image(path, size)  # a damaged picture is found now, not halfway through
    check_writable(out)

    from semcom_app.models.autoencoders import select_device
    from semcom_app.pipeline import send_image
    from semcom_app.progress import progress

    target = str(select_device(device))
    link_object = LINKS[link](link_config)
    config = {
        "command": shlex.join(["semcom", *sys.argv[1:]]),
        **codec_object.describe(),
        **link_object.describe(),
        "size": size,
        "seed": seed,
        "device": target,
    }

    results: list[ImageResult] = []
    rows: list[dict[str, Any]] = []
    writer = _Writer(out, paths)
    with progress("sending", len(paths), quiet=as_json) as advance:
        for path in paths:
            result = send_image(load_image(path, size), codec_object, link_object, seed, target)
            writer.write_pictures(result, path.stem)
            rows.append(result.row)
            if len(results) < SHOWN_IN_DETAIL:
                results.append(result)
            advance(path.name)
    summary = writer.write_summary(config, rows, results)
    if as_json:
        typer.echo(_json_bytes(summary), nl=False)
    else:
        from semcom_app.tables import print_results

        print_results(summary, out)
    return 0 if all(row["delivered"] for row in rows) else 1


def _check_codec_options(vae: str, bits: int | None, threshold: float | None) -> None:
    from semcom_app.models.weights import local_folder
    from semcom_app.quantization import MAX_BITS

    if bits is not None and not 1 <= bits <= MAX_BITS:
        raise ConfigurationError(f"--bits must be from 1 to {MAX_BITS}, not {bits}")
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise ConfigurationError(f"--threshold must be from 0 to 1, not {threshold}")
    local_folder(vae)


def _json_bytes(summary: dict[str, Any]) -> bytes:
    from semcom_app.results import to_json

    # A file name that is no text holds lone surrogates; as \udcxx they are JSON.
    return to_json(summary).encode("utf-8", "backslashreplace")


def _parse_snr(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ConfigurationError(f"--snr must be a number of dB, such as 10 or -2.5, not {text!r}") from None
    if not -200 <= value <= 200:
        raise ConfigurationError(f"--snr must be from -200 to 200 dB, not {text}")
    return value


def _parse_rate(text: str, fec: str) -> float:
    from semcom_phy.coding.transport import MAX_RATE, MIN_RATE

    numbers = _FRACTION.fullmatch(text.strip())
    if numbers is None:
        raise ConfigurationError(f"--rate must be a code rate such as 3/4 or 0.75, not {text!r}")
    value = float(numbers[1]) / float(numbers[2] or 1)
    if not MIN_RATE <= value <= MAX_RATE:
        raise ConfigurationError(f"--rate must be from 1/8 to {MAX_RATE}, not {text}")
    if fec == "none":
        raise ConfigurationError("--rate is the rate of the turbo code; leave it out with --fec none")
    return value


def _make_channel(name: str, given: dict[str, Any]) -> Any:
    import dataclasses

    from semcom_phy.channels import CHANNELS, make_channel

    fields = {f.name for f in dataclasses.fields(CHANNELS[name])}  # type: ignore[arg-type]
    for parameter, value in given.items():
        # An SNR has a default on the command line; the other parameters are only there when asked for.
        if value is not None and parameter not in fields and parameter != "snr_db":
            raise ConfigurationError(f"channel {name!r} has no {_OPTIONS[parameter]}; leave that option out")
    if "flip_probability" in fields and given["flip_probability"] is None:
        raise ConfigurationError(f"channel {name!r} needs --flip, the probability that a bit flips (0 to 0.5)")
    try:
        return make_channel(name, **{k: v for k, v in given.items() if k in fields and v is not None})
    except ConfigurationError as error:
        message = str(error)
        for parameter, option in _OPTIONS.items():
            message = message.replace(parameter, option)
        raise ConfigurationError(message) from None


class _Writer:
    """Places the files of one run in its folder; names stay unique, and no input is overwritten."""

    def __init__(self, out: Path, inputs: Sequence[Path]) -> None:
        self.out = out
        self._used: set[str] = set()
        self._inputs = {path.resolve() for path in inputs}

    def _unique(self, stem: str) -> str:
        stem = os.fsdecode(os.fsencode(stem)[:MAX_STEM_BYTES])
        name, number = stem, 1
        while name.casefold() in self._used or self._is_input(name):
            number += 1
            name = f"{stem}-{number}"
        self._used.add(name.casefold())
        return name

    def _is_input(self, name: str) -> bool:
        from semcom_app.images import RESULT_SUFFIXES

        return any((self.out / f"{name}{suffix}").resolve() in self._inputs for suffix in RESULT_SUFFIXES)

    def write_pictures(self, result: ImageResult, stem: str) -> None:
        """Write the received picture and the side-by-side view, and note their names in the row."""
        from semcom_app.images import png_bytes, write_bytes
        from semcom_app.report import comparison_png

        name = self._unique(stem)
        files = {
            "received_file": (f"{name}.received.png", png_bytes(result.received)),
            "comparison_file": (f"{name}.comparison.png", comparison_png(result)),
        }
        for key, (file_name, content) in files.items():
            write_bytes(self.out / file_name, content)
            result.row[key] = file_name

    def write_summary(
        self, config: dict[str, Any], rows: list[dict[str, Any]], results: list[ImageResult]
    ) -> dict[str, Any]:
        """Write report.html and result.json; return the content of the latter."""
        from semcom_app.images import write_bytes
        from semcom_app.report import write_report
        from semcom_app.results import mean_row, versions

        summary = {"config": config, "versions": versions(), "images": rows, "mean": mean_row(rows)}
        write_report(self.out / "report.html", summary, results)
        write_bytes(self.out / "result.json", _json_bytes(summary))
        return summary

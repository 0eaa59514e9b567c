"""`semcom send`: pictures through a codec and a link."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_app.commands.codec_options import (
    BitsOption,
    CodecOption,
    DeviceOption,
    JsonOption,
    SampleOption,
    SeedOption,
    SizeOption,
    ThresholdOption,
    VaeOption,
    check_codec_options,
    check_device,
    check_seed,
)
from semcom_app.commands.link_options import (
    AlgorithmOption,
    FecOption,
    FragmentOption,
    ImpairOption,
    InterleaveOption,
    IterationsOption,
    LinkOptions,
    ModulationOption,
    RateOption,
    RepeatOption,
    SampleRateOption,
    SnrOption,
    SpsOption,
    check_algorithm,
    check_iterations,
    make_link,
    parse_rate,
    parse_snr,
)

if TYPE_CHECKING:
    from semcom_app.results import ImageResult

SHOWN_IN_DETAIL = 20
MAX_STEM_BYTES = 180  # file systems take names of 255 bytes; suffixes and a partial file's name need room


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("send")(send)


def send(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.", show_default=False)],
    codec: CodecOption = "vcsc-8bit",
    link: Annotated[str, typer.Option(help="numpy (symbols) or air (samples).")] = "numpy",
    channel: Annotated[
        str | None, typer.Option(help="numpy: ideal, awgn, rayleigh or bsc.", show_default="awgn")
    ] = None,
    snr: SnrOption = None,
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
    impair: ImpairOption = None,
    modulation: ModulationOption = None,
    sps: SpsOption = None,
    sample_rate: SampleRateOption = None,
    repeat: RepeatOption = None,
    fragment_symbols: FragmentOption = None,
    fec: FecOption = "turbo",
    rate: RateOption = None,
    iterations: IterationsOption = 5,
    algorithm: AlgorithmOption = "log-map",
    interleave: InterleaveOption = False,
    bits: BitsOption = None,
    threshold: ThresholdOption = None,
    vae: VaeOption = "compact",
    sample: SampleOption = False,
    size: SizeOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures, report and result.json.")] = Path("out/send"),
    as_json: JsonOption = False,
) -> int:
    """Send pictures and show what arrived.

    Exit code 0 when every picture was delivered, 1 when one was lost or something failed, 2 for wrong usage.
    """
    # All that can be known to be wrong is found before torch is loaded.
    check_seed(seed)
    check_iterations(iterations)
    check_algorithm(algorithm)
    link_options = LinkOptions(
        seed=seed,
        snr_db=parse_snr(snr),
        fec=fec,
        rate=parse_rate(rate, fec),
        iterations=iterations,
        algorithm=algorithm,
        interleave=interleave,
        channel=channel,
        flip_probability=flip,
        doppler_hz=doppler,
        symbol_rate_hz=symbol_rate,
        scatterers=scatterers,
        impair=impair,
        modulation=modulation,
        sps=sps,
        sample_rate_hz=sample_rate,
        repeat=repeat,
        fragment_symbols=fragment_symbols,
    )
    check_device(device)
    from semcom_app.codecs import CodecOptions, make_codec
    from semcom_app.images import check_writable, find_images, load_image

    check_codec_options(vae, bits, threshold)
    link_object = make_link(link, link_options)
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
        typer.echo(json_bytes(summary), nl=False)
    else:
        from semcom_app.tables import print_results

        print_results(summary, out)
    return 0 if all(row["delivered"] for row in rows) else 1


def json_bytes(summary: dict[str, Any]) -> bytes:
    """A result as it is written and printed."""
    from semcom_app.results import to_json

    # A file name that is no text holds lone surrogates; as \udcxx they are JSON.
    return to_json(summary).encode("utf-8", "backslashreplace")


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
        write_bytes(self.out / "result.json", json_bytes(summary))
        return summary

"""`semcom send`: pictures through a codec and a link."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from semcom_app.commands.codec_options import (
    JsonOption,
    picture_options,
)
from semcom_app.commands.link_options import (
    AlgorithmOption,
    AttachOption,
    FlowgraphOption,
    ImpairOption,
    IterationsOption,
    LinkOptions,
    SampleRateOption,
    SetOption,
    SnrOption,
    SpsOption,
    burst_options,
    check_algorithm,
    check_iterations,
    make_link,
    parse_snr,
    stated_options,
)
from semcom_app.commands.option_groups import call_group, with_options_of
from semcom_phy.errors import LinkError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semcom_app.codecs import Codec
    from semcom_app.images import LoadedImage
    from semcom_app.results import ImageResult
    from semcom_phy.links import Link

SHOWN_IN_DETAIL = 20
MAX_STEM_BYTES = 180  # file systems take names of 255 bytes; suffixes and a partial file's name need room


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("send")(send)


@dataclass(frozen=True)
class Transmission:
    """What the options of `semcom send` amount to.

    size: side of the square that pictures are scaled and cropped to, None for none. fit: what is done to the pixels
    after that, None for nothing.
    """

    codec: Codec
    link: Link
    size: int | None
    seed: int
    device: str
    fit: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None

    def load(self, path: Path) -> LoadedImage:
        """A picture as it is to be sent."""
        from dataclasses import replace

        from semcom_app.images import load_image

        image = load_image(path, self.size)
        return image if self.fit is None else replace(image, pixels=self.fit(image.pixels))


class Witness(Protocol):
    """Looks at every picture that was sent, and has something to add to the results."""

    def take(self, result: ImageResult, path: Path) -> None:
        """One picture; may add to `result.row`."""

    def finish(self, summary: dict[str, Any]) -> None:
        """All are through; may add to the content of result.json."""

    def print(self, summary: dict[str, Any]) -> None:
        """Print what was added, for people."""


@with_options_of(picture_options)
@with_options_of(burst_options)
def prepare(
    link: Annotated[
        str, typer.Option(help="numpy (symbols), air (bursts of samples) or gnuradio (a flowgraph).")
    ] = "numpy",
    channel: Annotated[
        str | None,
        typer.Option(help="numpy: ideal, awgn, rayleigh or bsc; gnuradio: awgn or rayleigh.", show_default="awgn"),
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
    sps: SpsOption = None,
    sample_rate: SampleRateOption = None,
    flowgraph: FlowgraphOption = None,
    set_: SetOption = None,
    attach: AttachOption = None,
    iterations: IterationsOption = 5,
    algorithm: AlgorithmOption = "log-map",
    context: typer.Context = None,  # type: ignore[assignment]  # typer fills it in, and knows it by this very type
    **options: Any,
) -> Transmission:
    """Options that commands which send pictures have in common, checked and made into a codec and a link.

    Raises ConfigurationError for values out of range and options that do not suit each other.
    """
    # All that can be known to be wrong is found before torch is loaded.
    check_iterations(iterations)
    check_algorithm(algorithm)
    pictures = call_group(picture_options, options)
    link_options = LinkOptions(
        **call_group(burst_options, options),
        seed=pictures.seed,
        snr_db=parse_snr(snr),
        iterations=iterations,
        algorithm=algorithm,
        channel=channel,
        flip_probability=flip,
        doppler_hz=doppler,
        symbol_rate_hz=symbol_rate,
        scatterers=scatterers,
        impair=impair,
        sps=sps,
        sample_rate_hz=sample_rate,
        flowgraph=flowgraph,
        settings=tuple(set_) if set_ else None,
        attach=attach,
        stated=stated_options(context),
    )
    link_object = make_link(link, link_options)
    return Transmission(pictures.make_codec(), link_object, pictures.size, pictures.seed, pictures.device)


@with_options_of(prepare)
def send(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures, report and result.json.")] = Path("out/send"),
    as_json: JsonOption = False,
    **options: Any,
) -> int:
    """Send pictures and show what arrived.

    Exit code 0 when every picture was delivered, 1 when one was lost or something failed, 2 for wrong usage.
    """
    from semcom_app.images import find_images

    transmission = prepare(**options)
    return carry_out(transmission, find_images(images), out, as_json)


def carry_out(
    transmission: Transmission, paths: Sequence[Path], out: Path, as_json: bool, witness: Witness | None = None
) -> int:
    """Send the pictures, write what arrived into the folder `out`, and print it; exit code as of `send`.

    Raises LinkError if the link fails for good; what had arrived until then is written all the same.
    """
    from semcom_phy.links import opened

    with opened(transmission.link):
        return _carry_out(transmission, paths, out, as_json, witness)


def _carry_out(
    transmission: Transmission, paths: Sequence[Path], out: Path, as_json: bool, witness: Witness | None
) -> int:
    from semcom_app.images import check_writable
    from semcom_phy.links import open_link

    codec, link, seed = transmission.codec, transmission.link, transmission.seed
    for path in paths:
        image = transmission.load(path)  # a damaged picture is found now, not halfway through
        codec.check_size(*image.pixels.shape[:2])
    check_writable(out)

    from semcom_app.models.devices import select_device
    from semcom_app.pipeline import send_image
    from semcom_app.progress import progress

    target = str(select_device(transmission.device))
    codec.adapt(link)
    codec.check_ready()
    open_link(link)  # now: the time of a picture is not that of starting a flowgraph
    config = {
        "command": shlex.join(["semcom", *sys.argv[1:]]),
        **codec.describe(),
        **link.describe(),
        "size": transmission.size,
        "seed": seed,
        "device": target,
    }

    results: list[ImageResult] = []
    rows: list[dict[str, Any]] = []
    writer = _Writer(out, paths)
    with progress("sending", len(paths), quiet=as_json) as advance:
        for path in paths:
            try:
                result = send_image(transmission.load(path), codec, link, seed, target)
            except LinkError as error:
                if rows:
                    left = {"failure": str(error), "not_sent": [path.name for path in paths[len(rows) :]]}
                    writer.write_summary(writer.summary(config, rows, link) | left, results)
                raise
            writer.write_pictures(result, path.stem)
            if witness is not None:
                witness.take(result, path)
            rows.append(result.row)
            if len(results) < SHOWN_IN_DETAIL:
                results.append(result)
            advance(path.name)
    summary = writer.summary(config, rows, link)
    if witness is not None:
        witness.finish(summary)
    writer.write_summary(summary, results)
    if as_json:
        from semcom_app.results import json_bytes

        typer.echo(json_bytes(summary), nl=False)
    else:
        from semcom_app.tables import print_results

        print_results(summary, out)
        if witness is not None:
            witness.print(summary)
    return 0 if all(row["delivered"] for row in rows) else 1


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
        """Write the received picture, the side-by-side view and any maps, and note their names in the row."""
        from semcom_app.images import png_bytes, write_bytes
        from semcom_app.report import comparison_png, maps_png

        name = self._unique(stem)
        files = {
            "received_file": (f"{name}.received.png", png_bytes(result.received)),
            "comparison_file": (f"{name}.comparison.png", comparison_png(result)),
        }
        maps = maps_png(result)
        if maps is not None:
            files["maps_file"] = (f"{name}.maps.png", maps)
        for key, (file_name, content) in files.items():
            write_bytes(self.out / file_name, content)
            result.row[key] = file_name

    def summary(self, config: dict[str, Any], rows: list[dict[str, Any]], link: Link) -> dict[str, Any]:
        """The content of result.json."""
        from semcom_app.results import mean_row, versions, with_pilots
        from semcom_phy.links import link_counts

        mean, pilots, counts = mean_row(rows), config.get("pilot_channel_uses"), link_counts(link)
        return {
            "config": config,
            "versions": versions(),
            "images": rows,
            "mean": mean if pilots is None else with_pilots(mean, rows, pilots),
            **({"link_counts": counts} if counts else {}),
        }

    def write_summary(self, summary: dict[str, Any], results: list[ImageResult]) -> None:
        """Write report.html and result.json."""
        from semcom_app.images import write_bytes
        from semcom_app.report import write_report
        from semcom_app.results import json_bytes

        write_report(self.out / "report.html", summary, results)
        write_bytes(self.out / "result.json", json_bytes(summary))

"""`semcom bench`: speed of decoders and receivers, error rates of decoders."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_phy.errors import ConfigurationError

if TYPE_CHECKING:
    from semcom_app.benchmarks.fer import FerCurve, StopRule
    from semcom_app.benchmarks.frames import FrameSource

# No exponents: Fraction would write 1e999999999 out in full.
_RATE = re.compile(r"[0-9]{1,4}/[1-9][0-9]{0,3}|[0-9]?\.[0-9]{1,12}")
_GnuRadioPython = Annotated[str, typer.Option(help="Python that has GNU Radio.", metavar="FILE")]
_Size = Annotated[int | None, typer.Option(help="Bits per code block, CRC included.", show_default="6144")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
_JsonFile = Annotated[Path | None, typer.Option("--out", help="Write the JSON to this file.")]
_Curve = Annotated[Path, typer.Argument(help="Curve file.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Measure decoders, receivers and bit allocations.", no_args_is_help=True)
    group.command("turbo")(turbo)
    group.command("waveform")(waveform)
    group.command("impairments")(impairments)
    group.command("gnuradio")(gnuradio)
    group.command("zmq")(zmq)
    group.command("allocation")(allocation)
    group.command("fer")(fer)
    group.command("fer-compare")(fer_compare)
    group.command("fer-figure")(fer_figure)
    app.add_typer(group, name="bench")


def turbo(
    size: _Size = None,
    iterations: Annotated[int, typer.Option(min=1, max=1000, help="Iterations; all of them are run.")] = 5,
    blocks: Annotated[
        int | None, typer.Option(min=1, max=1 << 16, help="Largest batch, code blocks.", show_default="2048")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Timed calls per figure.", show_default="5")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.01, max=3600.0, help="Time for a row, about.", show_default="12")
    ] = None,
    ebn0: Annotated[
        list[float] | None,
        typer.Option(help="Eb/N0 in dB where errors are counted; give it again for more.", show_default="0.6 and 1"),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(help="numpy, …, commpy or gnuradio; give it again for more.", show_default="all there are"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of bits and noise.")] = 0,
    gnuradio_python: _GnuRadioPython = "/usr/bin/python3",
    quick: Annotated[bool, typer.Option("--quick", help="Small blocks and little time: a test of the tool.")] = False,
    as_json: _Json = False,
    out: _JsonFile = None,
) -> int:
    """Measure every turbo decoder that is here, and those of other programs.

    Speed on one core and on all, latency of a block, and errors at two values of Eb/N0.
    """
    from semcom_app.benchmarks.turbo import TurboBenchmark, run
    from semcom_app.benchmarks.turbo_table import print_benchmark
    from semcom_app.progress import progress

    given: dict[str, Any] = {"size": size, "largest_batch": blocks, "repeats": repeats, "row_seconds": seconds}
    if quick:
        given = {"size": 128, "largest_batch": 8, "repeats": 2, "row_seconds": 0.4} | {
            key: value for key, value in given.items() if value is not None
        }
    if ebn0:
        given["ebn0_db"] = tuple(ebn0)
    settings = TurboBenchmark(
        iterations=iterations,
        seed=seed,
        backends=tuple(backend) if backend else None,
        **{key: value for key, value in given.items() if value is not None},
    )
    _check_place(out)
    result = run(settings, gnuradio_python, progress)
    _present(result, print_benchmark, as_json, out)
    return 0 if result["rows"] else 1


def waveform(
    samples: Annotated[int, typer.Option(help="Samples of a timed call.")] = 4_000_000,
    repeats: Annotated[int, typer.Option(help="Timed calls per figure.")] = 5,
    sps: Annotated[
        list[int] | None,
        typer.Option(min=2, max=16, help="Samples per symbol; give it again for more.", show_default="2, 4 and 8"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of bits and noise.")] = 0,
    gnuradio_python: _GnuRadioPython = "/usr/bin/python3",
    as_json: _Json = False,
    out: _JsonFile = None,
) -> int:
    """Measure searching for bursts and receiving them, on one core, and GNU Radio's own receive chain."""
    from semcom_app.benchmarks.waveform import WaveformBenchmark, run
    from semcom_app.benchmarks.waveform_table import print_benchmark
    from semcom_app.progress import progress

    settings = WaveformBenchmark(samples, repeats, tuple(sps) if sps else (2, 4, 8), seed)
    _check_place(out)
    result = run(settings, gnuradio_python, progress)
    _present(result, print_benchmark, as_json, out)
    return 0


def impairments(
    samples: Annotated[int, typer.Option(help="Samples of a timed call.")] = 2_000_000,
    repeats: Annotated[int, typer.Option(help="Timed calls per figure.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples and impairments.")] = 0,
    as_json: _Json = False,
    out: _JsonFile = None,
) -> int:
    """Measure each impairment of sample streams on one core."""
    from semcom_app.benchmarks.impairments import CASES, ImpairmentBenchmark, print_impairments, run
    from semcom_app.progress import progress

    settings = ImpairmentBenchmark(samples, repeats, seed)
    _check_place(out)
    with progress("measuring", len(CASES), quiet=as_json) as advance:
        result = run(settings, advance)
    _present(result, print_impairments, as_json, out)
    return 0


def gnuradio(
    frames: Annotated[int, typer.Option(help="Frames of a timed call.")] = 60,
    bits: Annotated[
        int | None,
        typer.Option(help="Payload bits of a frame.", show_default="131072, a picture of 512×512 with vcsc-8bit"),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Timed calls per figure.")] = 15,
    round_trips: Annotated[int, typer.Option(help="Round trips of one PDU.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of bits and channels.")] = 0,
    as_json: _Json = False,
    out: _JsonFile = None,
) -> int:
    """Measure the GNU Radio link: round trips, and rates through it against the flowgraph alone.

    Exit code 0 when all that docs/gnuradio-link.md promises holds here, 1 when something does not.
    """
    from semcom_app.benchmarks.gnuradio_link import STEPS, GnuRadioBenchmark, print_gnuradio, run
    from semcom_app.progress import progress
    from semcom_phy.flowgraph import find_gnuradio

    given = {} if bits is None else {"bits": bits}
    settings = GnuRadioBenchmark(frames=frames, repeats=repeats, round_trips=round_trips, seed=seed, **given)
    _check_place(out)
    found = find_gnuradio()
    with progress("measuring", STEPS, quiet=as_json) as advance:
        result = run(settings, found, advance)
    _present(result, print_gnuradio, as_json, out)
    return 0 if all(promise["holds"] for promise in result["promises"]) else 1


def zmq(
    repeats: Annotated[int, typer.Option(help="Round trips per figure.")] = 200,
    rate_pdus: Annotated[int, typer.Option(help="PDUs of 1 KiB for a rate.")] = 5000,
    as_json: _Json = False,
    out: _JsonFile = None,
) -> int:
    """Measure PDUs over ZeroMQ: round trips through GNU Radio and without it, rates, encoding."""
    from semcom_app.benchmarks.zmq_link import STEPS, ZmqBenchmark, print_zmq, run
    from semcom_app.progress import progress
    from semcom_phy.flowgraph import find_gnuradio

    settings = ZmqBenchmark(repeats, rate_pdus)
    _check_place(out)
    found = find_gnuradio()
    with progress("measuring", STEPS, quiet=as_json) as advance:
        result = run(settings, found, advance)
    _present(result, print_zmq, as_json, out)
    return 0


def allocation(
    patches: Annotated[int, typer.Option(help="Patches of an image.")] = 196,
    images: Annotated[int, typer.Option(help="Images of a batch.")] = 256,
    bits: Annotated[float, typer.Option(help="Bits per sample, on average over the patches.")] = 2.0,
    mmin: Annotated[int, typer.Option("--mmin", help="Fewest bits of a patch, 0 or 1.")] = 1,
    mu: Annotated[float, typer.Option(help="Bit error rate of the modified algorithms.")] = 0.05,
    repeats: Annotated[int, typer.Option(help="Timed calls per figure.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the importance maps.")] = 0,
    as_json: _Json = False,
    out: _JsonFile = None,
) -> int:
    """Measure the bit allocations: their speed, and how far each is from the optimum."""
    from semcom_app.benchmarks.allocation import AllocationBenchmark, methods, print_allocations, run
    from semcom_app.progress import progress

    settings = AllocationBenchmark(patches, images, bits, mmin, mu, repeats, seed)
    _check_place(out)
    with progress("measuring", len(methods(settings)), quiet=as_json) as advance:
        result = run(settings, advance)
    _present(result, print_allocations, as_json, out)
    return 0


def fer(
    size: _Size = None,
    rate: Annotated[
        str, typer.Option(help="Information bits per transmitted bit, such as 1/2; 1/3 sends all the encoder gives.")
    ] = "1/3",
    algorithm: Annotated[
        str, typer.Option(help="log-map, linear-log-map, table-log-map, max-log; gnuradio: sum-product, min-sum.")
    ] = "log-map",
    backend: Annotated[str, typer.Option(help="auto, numpy, …, or commpy, gnuradio.")] = "auto",
    arithmetic: Annotated[str, typer.Option(help="auto, int8, int16, float32 or float64.")] = "auto",
    iterations: Annotated[int, typer.Option(min=1, max=1000, help="Iterations of the decoder.")] = 6,
    early_stop: Annotated[str, typer.Option(help="none, crc or agreement.")] = "none",
    ebn0: Annotated[str, typer.Option(help="Eb/N0 in dB, or START:STOP:STEP with STOP included.")] = "0:1:0.1",
    errors: Annotated[int, typer.Option(min=1, help="Frame errors after which a point ends.")] = 100,
    max_frames: Annotated[int, typer.Option(min=1, help="Frames after which a point ends.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of bits and noise.")] = 0,
    batch: Annotated[
        int, typer.Option(min=1, max=1 << 16, help="Frames decoded in one call; the counts do not depend on it.")
    ] = 64,
    threads: Annotated[int, typer.Option(min=0, max=1024, help="Cores to use, 0: all; as above.")] = 0,
    label: Annotated[str, typer.Option(help="Name of the curve in figures.", show_default="file name")] = "",
    gnuradio_python: _GnuRadioPython = "/usr/bin/python3",
    out: Annotated[Path | None, typer.Option("--out", help="Curve file; written anew after each point.")] = None,
) -> int:
    """Simulate frame and bit error rates over BPSK/AWGN.

    The same seed gives every decoder the same bits and noise. Without --out the curve goes to standard output.
    """
    import contextlib

    from semcom_app.benchmarks.decoders import EARLY_STOPS, RegisteredDecoder, cores
    from semcom_app.benchmarks.fer import FerCurve, StopRule, ebn0_range, simulate_point
    from semcom_app.benchmarks.frames import FrameSource
    from semcom_app.benchmarks.peers import PEERS, open_peer
    from semcom_app.images import write_bytes
    from semcom_app.progress import printable, progress
    from semcom_phy.coding.decoders import DECODERS
    from semcom_phy.registry import nearest

    source = FrameSource(6144 if size is None else size, parse_rate(rate), seed)
    levels = ebn0_range(ebn0)
    stop = StopRule(errors, max_frames)
    if early_stop not in EARLY_STOPS:
        raise ConfigurationError(
            f"unknown stop rule {early_stop!r}.{nearest(early_stop, EARLY_STOPS)} Known: {', '.join(EARLY_STOPS)}"
        )
    known = ("auto", *DECODERS.names(), *PEERS)
    if backend not in known:
        raise ConfigurationError(f"unknown back end {backend!r}.{nearest(backend, known)} Known: {', '.join(known)}")
    if backend in PEERS and (early_stop != "none" or arithmetic != "auto"):
        raise ConfigurationError(f"{backend} has no --early-stop and no --arithmetic; leave them out")
    _check_place(out)

    command = (
        f"semcom bench fer --size {source.size} --rate {rate} --algorithm {algorithm} --backend {backend}"
        f" --arithmetic {arithmetic} --iterations {iterations} --early-stop {early_stop}"
        f" --ebn0 {ebn0} --errors {errors} --max-frames {max_frames} --seed {seed}"
    )
    header = {
        "command": " ".join(command.split()),
        **_header(source, stop),
        "decoder": f"{algorithm}, {backend}, {arithmetic}",
        "iterations": str(iterations),
        "early stop": early_stop,
    }
    if label.strip():
        header = {"label": " ".join(printable(label).split()), **header}
    curve = FerCurve((), header)
    with contextlib.ExitStack() as stack:
        if backend in PEERS:
            decoder = stack.enter_context(open_peer(backend, algorithm, source.size, iterations, gnuradio_python))
        else:
            decoder = RegisteredDecoder(backend, algorithm, arithmetic, iterations, EARLY_STOPS[early_stop])

        def decode(llrs: Any) -> Any:
            decoded = decoder.decode(llrs, threads)
            return decoded.bits, decoded.iterations

        advance = stack.enter_context(progress("simulating", len(levels)))
        for level in levels:
            point = simulate_point(source, level, decode, stop, batch, threads or cores())
            curve = FerCurve((*curve.points, point), header)
            if out is not None:
                write_bytes(out, _curve_text(curve, source).encode())
            advance(f"{level:g} dB: {point.frame_errors} of {point.frames}")
    if out is None:
        typer.echo(_curve_text(curve, source), nl=False)
    return 0


def fer_compare(
    reference: _Curve,
    curve: _Curve,
    fer: Annotated[float, typer.Option("--fer", help="Frame error rate to compare at.")] = 1e-2,
) -> int:
    """Print by how many dB a curve lies to the right of a reference curve."""
    from semcom_app.benchmarks.fer import compare, load_curve

    typer.echo(f"{compare(load_curve(reference), load_curve(curve), fer):+.3f} dB at a frame error rate of {fer:g}")
    return 0


def fer_figure(
    curves: Annotated[list[Path], typer.Argument(help="Curve files.", show_default=False)],
    title: Annotated[str, typer.Option(help="Title of the figure.")] = "",
    out: Annotated[Path, typer.Option("--out", help="PNG file.")] = Path("out/turbo_fer.png"),
) -> int:
    """Plot curve files."""
    from semcom_app.benchmarks.fer_figure import write_fer_figure

    write_fer_figure(curves, out, title)
    typer.echo(str(out))
    return 0


def parse_rate(text: str) -> float | None:
    """Return the rate of "1/2" or "0.5"; None for 1/3, which sends the streams of the encoder as they are."""
    numbers = _RATE.fullmatch(text.strip())
    rate = Fraction(numbers[0]) if numbers else None
    if rate is None:
        raise ConfigurationError(f"--rate must be a fraction such as 1/3, 1/2, 3/4 or 8/9, not {text[:40]!r}")
    return None if rate == Fraction(1, 3) else float(rate)


def _header(source: FrameSource, stop: StopRule) -> dict[str, str]:
    import numpy as np

    import semcom_phy

    matching = "the encoder's streams in full" if source.rate is None else "rate matching, redundancy version 0"
    return {
        "code": "3GPP TS 36.212 turbo code, generators (13, 15) octal, QPP interleaver, 12 tail bits",
        "K": f"{source.size} information bits, CRC24B included, no filler",
        "E": f"{source.coded_bits} transmitted bits, {matching}",
        "rate": f"K / E = {source.size / source.coded_bits:.6f}",
        "noise": "BPSK over AWGN; Eb/N0 in dB per information bit; Es/N0 = Eb/N0 + 10 log10(rate)",
        "frames": f"seed {source.seed}; the same bits and noise for every decoder",
        "stop": f"with frame error {stop.frame_errors}, or after {stop.frames} frames",
        "versions": f"semcom {semcom_phy.__version__}, numpy {np.__version__}",
    }


def _curve_text(curve: FerCurve, source: FrameSource) -> str:
    from semcom_app.benchmarks.fer import curve_text

    return curve_text("Frame and bit error rate of the LTE turbo code over BPSK/AWGN.", curve, source.size)


def _present(result: dict[str, Any], show: Callable[[dict[str, Any]], None], as_json: bool, out: Path | None) -> None:
    """Write a benchmark's result to `out`, if there is one, and print it as JSON or as `show` does."""
    from semcom_app.images import write_bytes
    from semcom_app.results import to_json

    text = to_json(result)
    if out is not None:
        write_bytes(out, text.encode())
    if as_json:
        typer.echo(text, nl=False)
    else:
        show(result)


def _check_place(out: Path | None) -> None:
    """Find out before the work whether its result can be written."""
    from semcom_app.images import check_writable

    if out is not None:
        if out.is_dir():
            raise ConfigurationError(f"--out {out} is a folder; give a file")
        check_writable(out.parent)

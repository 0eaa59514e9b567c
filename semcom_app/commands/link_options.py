"""What the command line says about a link, and the factories that make links of it.

Every link takes some of the options of `LinkOptions`; one that is given and that the link does not have is an error,
not something to pass over.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_app.commands.option_names import named_as_options
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry

if TYPE_CHECKING:
    from semcom_phy.channels.impairments import SampleChannel
    from semcom_phy.flowgraph.catalogue import Flowgraph
    from semcom_phy.links import AirLinkConfig, FrameFormat, GnuRadioLinkConfig, Link
    from semcom_phy.waveform import Waveform

MAX_ITERATIONS = 1000
DEFAULT_SNR = "10"
_FRACTION = re.compile(r"(\d{1,9}|\d{0,9}\.\d{1,17})(?:/([1-9]\d{0,8}))?", re.ASCII)

# How the command line calls each option.
_OPTIONS = {
    "channel": "--channel",
    "snr_db": "--snr",
    "flip_probability": "--flip",
    "doppler_hz": "--doppler",
    "symbol_rate_hz": "--symbol-rate",
    "scatterers": "--scatterers",
    "impair": "--impair",
    "modulation": "--modulation",
    "sps": "--sps",
    "sample_rate_hz": "--sample-rate",
    "repeat": "--repeat",
    "fragment_symbols": "--fragment-symbols",
    "flowgraph": "--flowgraph",
    "settings": "--set",
    "attach": "--attach",
    "fec": "--fec",
    "rate": "--rate",
    "iterations": "--iterations",
    "algorithm": "--algorithm",
    "interleave": "--interleave",
}
# And the parameters that error messages name.
_PARAMETERS = {
    **{name: _OPTIONS[name] for name in ("snr_db", "flip_probability", "doppler_hz", "symbol_rate_hz", "scatterers")},
    **{name: _OPTIONS[name] for name in ("sample_rate_hz", "fragment_symbols")},
    "samples_per_symbol": "--sps",
    "passes": "--repeat",
}

# --- options that several commands share -----------------------------------------------------------

SnrOption = Annotated[
    str | None,
    typer.Option("--snr", help="Es/N0 in dB, per transmitted symbol.", metavar="DB", show_default=DEFAULT_SNR),
]
ImpairOption = Annotated[
    str | None,
    typer.Option(
        "--impair",
        help="bursts: impairments, such as cheap-sdr,cfo=3000,esn0=10 (docs/impairments.md).",
        metavar="LIST",
        show_default="clean",
    ),
]
ModulationOption = Annotated[
    str | None, typer.Option(help="bursts: bpsk, qpsk or 16qam.", metavar="NAME", show_default="bpsk")
]
SpsOption = Annotated[int | None, typer.Option("--sps", help="bursts: samples per symbol, 2 to 16.", show_default="4")]
SampleRateOption = Annotated[
    float | None, typer.Option("--sample-rate", help="bursts: samples per second.", show_default="1e6")
]
RepeatOption = Annotated[
    int | None,
    typer.Option("--repeat", help="bursts: send every frame so many times, 1 to 8.", show_default="1"),
]
FragmentOption = Annotated[
    int | None,
    typer.Option("--fragment-symbols", help="bursts: payload symbols per burst at most.", show_default="16384"),
]
FlowgraphOption = Annotated[
    str | None,
    typer.Option(
        "--flowgraph",
        help="gnuradio: see `semcom flowgraph list`.",
        metavar="NAME",
        show_default="by --channel and --fec",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="gnuradio: a parameter of the flowgraph; give it again for more.", metavar="NAME=VALUE"),
]
AttachOption = Annotated[
    str | None,
    typer.Option(
        "--attach",
        help="gnuradio: wait for a flowgraph that you start; the first of four ports, such as tcp://127.0.0.1:29001.",
        metavar="ADDRESS",
    ),
]
FecOption = Annotated[str, typer.Option(help="turbo or none.")]
RateOption = Annotated[
    str | None,
    typer.Option(
        help="Rate of the turbo code, 1/8 to 0.95, such as 3/4 or 0.75.",
        show_default="the mother code, about 1/3",
        metavar="R",
    ),
]
IterationsOption = Annotated[int, typer.Option(help="Iterations of the turbo decoder.")]
AlgorithmOption = Annotated[
    str, typer.Option(help="Turbo decoder: log-map, linear-log-map, table-log-map or max-log.", metavar="NAME")
]
InterleaveOption = Annotated[
    bool, typer.Option("--interleave/--no-interleave", help="Interleave the coded bits over the image.")
]


@dataclass(frozen=True)
class LinkOptions:
    """What the command line says about the link; None where an option was not given.

    `rate`, `snr_db` have been parsed; the others are checked by the link's own configuration. `stated`: which of the
    options that have a default were given nevertheless.
    """

    seed: int = 0
    snr_db: float | None = None
    fec: str = "turbo"
    rate: float | None = None
    iterations: int = 5
    algorithm: str = "log-map"
    interleave: bool = False
    channel: str | None = None
    flip_probability: float | None = None
    doppler_hz: float | None = None
    symbol_rate_hz: float | None = None
    scatterers: int | None = None
    impair: str | None = None
    modulation: str | None = None
    sps: int | None = None
    sample_rate_hz: float | None = None
    repeat: int | None = None
    fragment_symbols: int | None = None
    flowgraph: str | None = None
    settings: tuple[str, ...] | None = None
    attach: str | None = None
    stated: frozenset[str] = frozenset()


_SYMBOL_CHANNEL = ("channel", "flip_probability", "doppler_hz", "symbol_rate_hz", "scatterers")
_AIR = ("impair", "modulation", "sps", "sample_rate_hz", "repeat", "fragment_symbols")
_GNURADIO = ("flowgraph", "settings", "attach")
_CODING = ("fec", "iterations", "algorithm", "interleave")


def burst_options(
    modulation: ModulationOption = None,
    repeat: RepeatOption = None,
    fragment_symbols: FragmentOption = None,
    fec: FecOption = "turbo",
    rate: RateOption = None,
    interleave: InterleaveOption = False,
) -> dict[str, Any]:
    """Options of commands that send bursts, as fields of `LinkOptions`. Raises ConfigurationError for a wrong rate."""
    return {
        "modulation": modulation,
        "repeat": repeat,
        "fragment_symbols": fragment_symbols,
        "fec": fec,
        "rate": parse_rate(rate, fec),
        "interleave": interleave,
    }


LINK_FACTORIES: Registry[Callable[[LinkOptions], Link]] = Registry("link")
"""Name of a link → function that makes it of the options."""


def make_link(name: str, options: LinkOptions) -> Link:
    """Make the link `name`. Raises ConfigurationError for one that does not exist, or options that do not suit it."""
    return LINK_FACTORIES[name](options)


def _refuse(link: str, options: LinkOptions, others: tuple[str, ...]) -> None:
    for name in others:
        if getattr(options, name) is not None:
            raise ConfigurationError(f"link {link!r} has no {_OPTIONS[name]}; leave that option out")


@LINK_FACTORIES.register("numpy")
def _numpy_link(options: LinkOptions) -> Link:
    from semcom_phy.coding.transport import TurboCode
    from semcom_phy.links import NumpyLink, NumpyLinkConfig

    _refuse("numpy", options, (*_AIR, *_GNURADIO))
    turbo = TurboCode(iterations=options.iterations, algorithm=options.algorithm, rate=options.rate)
    return NumpyLink(NumpyLinkConfig(_symbol_channel(options), options.fec, turbo, options.interleave, options.seed))


def _symbol_channel(options: LinkOptions) -> Any:
    import dataclasses

    from semcom_phy.channels import CHANNELS, make_channel

    name = "awgn" if options.channel is None else options.channel
    fields = {f.name for f in dataclasses.fields(CHANNELS[name])}  # type: ignore[arg-type]
    given = {parameter: getattr(options, parameter) for parameter in _SYMBOL_CHANNEL if parameter != "channel"}
    for parameter, value in given.items():
        if value is not None and parameter not in fields:
            raise ConfigurationError(f"channel {name!r} has no {_OPTIONS[parameter]}; leave that option out")
    if "flip_probability" in fields and given["flip_probability"] is None:
        raise ConfigurationError(f"channel {name!r} needs --flip, the probability that a bit flips (0 to 0.5)")
    # An SNR has a default on the command line; the other parameters are only there when asked for.
    given["snr_db"] = float(DEFAULT_SNR) if options.snr_db is None else options.snr_db
    with named_as_options(_PARAMETERS):
        return make_channel(name, **{k: v for k, v in given.items() if k in fields and v is not None})


@LINK_FACTORIES.register("air")
def _air_link(options: LinkOptions) -> Link:
    from semcom_phy.links import AirLink

    return AirLink(air_config(options))


def air_config(options: LinkOptions) -> AirLinkConfig:
    """Configuration of the air link, or of the transmitter of a recording.

    Raises ConfigurationError for options of other links and values out of range.
    """
    from semcom_phy.links import AirLinkConfig

    _refuse("air", options, (*_SYMBOL_CHANNEL, *_GNURADIO))
    waveform = make_waveform(options.sps, options.sample_rate_hz)
    with named_as_options(_PARAMETERS):
        frames = _frame_format(options)
    channel = _sample_channel(options, waveform.samples_per_symbol)
    return AirLinkConfig(channel, waveform, frames, seed=options.seed)


def make_waveform(sps: int | None, sample_rate_hz: float | None) -> Waveform:
    """Pulse shape of the air interface with what was given of the rates."""
    from semcom_phy.waveform import Waveform

    given = {"samples_per_symbol": sps, "sample_rate_hz": sample_rate_hz}
    with named_as_options(_PARAMETERS):
        return Waveform(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _frame_format(options: LinkOptions) -> FrameFormat:
    from semcom_phy.coding.transport import TurboCode
    from semcom_phy.links import FrameFormat

    given = {
        "modulation": options.modulation,
        "passes": options.repeat,
        "fragment_symbols": options.fragment_symbols,
    }
    return FrameFormat(
        fec=options.fec,
        turbo=TurboCode(iterations=options.iterations, algorithm=options.algorithm, rate=options.rate),
        interleave=options.interleave,
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )


def _sample_channel(options: LinkOptions, samples_per_symbol: int) -> SampleChannel:
    """The impairments, with the Es/N0 of --snr where they have no noise of their own."""
    from semcom_phy.channels.impairments import parse_impairments
    from semcom_phy.channels.impairments.additive_noise import AdditiveNoise

    text = options.impair or ""
    channel = parse_impairments(text)
    if any(isinstance(impairment, AdditiveNoise) for impairment in channel.impairments):
        if options.snr_db is not None:
            raise ConfigurationError("--impair states the noise already; leave --snr out")
        return channel
    snr_db = float(DEFAULT_SNR) if options.snr_db is None else options.snr_db
    return parse_impairments(",".join(filter(None, (text, f"esn0={snr_db!r}/{samples_per_symbol}"))))


# --- GNU Radio ---------------------------------------------------------------------------------------

#: The flowgraph for a channel and a code.
FLOWGRAPHS = {
    ("awgn", "none"): "bpsk_awgn",
    ("awgn", "turbo"): "turbo_awgn",
    ("rayleigh", "turbo"): "turbo_rayleigh",
}
#: What flowgraphs may call an option besides its own name.
_FLOWGRAPH_PARAMETERS = {
    "snr_db": ("snr_db", "esn0_db"),
    "rate": ("rate", "turbo_rate"),
    "sps": ("sps", "samples_per_symbol"),
    "repeat": ("repeat", "passes"),
    "impair": ("impair", "impairments"),
    "sample_rate_hz": ("sample_rate_hz", "samp_rate"),
}
ATTACH_TIMEOUT_S = 120.0


def stated_options(context: typer.Context | None) -> frozenset[str]:
    """Which of the options with a default were given on the command line."""
    if context is None:
        return frozenset()
    sources = {name: context.get_parameter_source(name) for name in _CODING}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")


@LINK_FACTORIES.register("gnuradio")
def _gnuradio_link(options: LinkOptions) -> Link:
    from semcom_phy.links import GnuRadioLink

    return GnuRadioLink(_started(options) if options.attach is None else _attached(options))


def _attached(options: LinkOptions) -> GnuRadioLinkConfig:
    """A flowgraph that somebody starts: it is set there, and says itself what it is."""
    from semcom_phy.flowgraph.connection import attach_addresses
    from semcom_phy.links import GnuRadioLinkConfig

    for name in _OPTIONS:
        value = getattr(options, name)
        if name in options.stated or (name not in (*_CODING, "attach", "flowgraph") and value is not None):
            raise ConfigurationError(
                f"with --attach the flowgraph itself sets {_OPTIONS[name]}; set it there and leave that option out"
            )
    wanted = {} if options.flowgraph is None else {"flowgraph": options.flowgraph}
    return GnuRadioLinkConfig(
        options.flowgraph or "(any)",
        addresses=attach_addresses(options.attach or ""),
        capabilities=wanted,
        ready_timeout_s=ATTACH_TIMEOUT_S,
    )


def _started(options: LinkOptions) -> GnuRadioLinkConfig:
    """A flowgraph that is started here, with the options as its parameters."""
    from semcom_phy.flowgraph import catalogue
    from semcom_phy.flowgraph.launch import launcher
    from semcom_phy.links import GnuRadioLinkConfig

    flowgraph = catalogue.find(options.flowgraph or _flowgraph_for(options))
    values = _flowgraph_values(options, flowgraph)
    return GnuRadioLinkConfig(
        flowgraph.name,
        launcher(flowgraph, values, on_line=lambda line: _show_output(flowgraph.name, line)),
        capabilities={"flowgraph": flowgraph.name},
    )


def _flowgraph_for(options: LinkOptions) -> str:
    channel = options.channel or "awgn"
    name = FLOWGRAPHS.get((channel, options.fec))
    if name is None:
        from semcom_phy.channels import CHANNELS
        from semcom_phy.coding.transport import FEC_CODES
        from semcom_phy.registry import nearest

        for kind, value, known in (("channel", channel, CHANNELS.names()), ("fec", options.fec, list(FEC_CODES))):
            if value not in known:
                raise ConfigurationError(f"unknown {kind} {value!r}.{nearest(value, known)} Known: {', '.join(known)}")
        raise ConfigurationError(
            f"there is no flowgraph for channel {channel!r} with fec {options.fec!r} but, of native blocks, "
            "--flowgraph native_rayleigh; take that, or --link numpy"
            if (channel, options.fec) == ("rayleigh", "none")
            else f"there is no flowgraph for channel {channel!r} with fec {options.fec!r}; "
            "name one with --flowgraph, or use --link numpy"
        )
    return name


def _flowgraph_values(options: LinkOptions, flowgraph: Flowgraph) -> dict[str, str | int | float | bool]:
    """Values of the flowgraph's parameters; refuses options that it has none for."""
    known = {parameter.id for parameter in flowgraph.parameters}
    values: dict[str, str | int | float | bool] = {}
    for name, value in _given_or_default(options).items():
        found = [parameter for parameter in _FLOWGRAPH_PARAMETERS.get(name, (name,)) if parameter in known]
        if found:
            values[found[0]] = value
        elif _asked_for(name, options):
            _check_built_in(name, value, flowgraph.name)
    for text in options.settings or ():
        name, equals, setting = text.partition("=")
        if not equals:
            raise ConfigurationError(f"--set takes NAME=VALUE, not {text!r}")
        values[name.replace("-", "_")] = setting
    return values


def _given_or_default(options: LinkOptions) -> dict[str, Any]:
    """What a flowgraph may be told: all options that are not None, and the default Es/N0."""
    names = ("seed", *(name for name in _OPTIONS if name not in _GNURADIO))
    values = {"snr_db": float(DEFAULT_SNR)} | {name: getattr(options, name) for name in names if name != "snr_db"}
    if options.snr_db is not None:
        values["snr_db"] = options.snr_db
    return {name: value for name, value in values.items() if value is not None}


def _asked_for(name: str, options: LinkOptions) -> bool:
    """Whether the command line names the option; the seed is the codec's as well."""
    if name in _CODING:
        return name in options.stated
    return name != "seed" and getattr(options, name) is not None


def _check_built_in(name: str, value: Any, flowgraph: str) -> None:
    """Refuse an option that the flowgraph has no parameter for, unless it asks for what is built in."""
    built_in = {chosen: {"channel": channel, "fec": fec} for (channel, fec), chosen in FLOWGRAPHS.items()}
    there = built_in.get(flowgraph, {}).get(name)
    if there is None:
        raise ConfigurationError(f"flowgraph {flowgraph!r} has no {_OPTIONS[name]}; leave that option out")
    if there != value:
        raise ConfigurationError(
            f"flowgraph {flowgraph!r} is for {name} {there!r}; leave {_OPTIONS[name]} out, or --flowgraph"
        )


def _show_output(flowgraph: str, line: str) -> None:
    """What a flowgraph prints, on standard error."""
    from semcom_app.progress import printable

    print(f"{flowgraph}: {printable(line)}", file=sys.stderr, flush=True)


# --- values ----------------------------------------------------------------------------------------


def parse_snr(text: str | None) -> float | None:
    """Es/N0 in dB, None where it was not given."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ConfigurationError(f"--snr must be a number of dB, such as 10 or -2.5, not {text!r}") from None
    if not -200 <= value <= 200:
        raise ConfigurationError(f"--snr must be from -200 to 200 dB, not {text}")
    return value


def parse_rate(text: str | None, fec: str) -> float | None:
    """Code rate from a fraction or a decimal, None where it was not given."""
    from semcom_phy.coding.transport import MAX_RATE, MIN_RATE

    if text is None:
        return None
    numbers = _FRACTION.fullmatch(text.strip())
    if numbers is None:
        raise ConfigurationError(f"--rate must be a code rate such as 3/4 or 0.75, not {text!r}")
    value = float(numbers[1]) / float(numbers[2] or 1)
    if not MIN_RATE <= value <= MAX_RATE:
        raise ConfigurationError(f"--rate must be from 1/8 to {MAX_RATE}, not {text}")
    if fec == "none":
        raise ConfigurationError("--rate is the rate of the turbo code; leave it out with --fec none")
    return value


def check_algorithm(algorithm: str) -> None:
    """Raise ConfigurationError for a decoding algorithm that does not exist."""
    from semcom_phy.coding.decoders import ALGORITHMS
    from semcom_phy.registry import nearest

    if algorithm not in ALGORITHMS:
        raise ConfigurationError(
            f"unknown --algorithm {algorithm!r}.{nearest(algorithm, ALGORITHMS)} Known: {', '.join(ALGORITHMS)}"
        )


def check_iterations(iterations: int) -> None:
    """Raise ConfigurationError for a number of decoder iterations out of range."""
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise ConfigurationError(f"--iterations must be from 1 to {MAX_ITERATIONS}, not {iterations}")

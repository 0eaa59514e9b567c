import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.channels.impairments import (
    MULTIPATH_PROFILES,
    PHASE_NOISE_PRESETS,
    PRESETS,
    AdditiveNoise,
    AmplitudeScaling,
    CarrierFrequencyOffset,
    DcOffset,
    Interferer,
    IqImbalance,
    JakesFading,
    Multipath,
    Overflow,
    Quantization,
    SampleChannel,
    SamplingClockOffset,
    Underrun,
    parse_impairments,
)
from semcom_phy.channels.impairments.text import KEYS, ORDER
from semcom_phy.errors import ConfigurationError


def test_the_example_of_the_documentation() -> None:
    text = "cfo=5000,ppm=12,iq=1/5,dc=-20,multipath=short,fading=10,phase_noise=rtl-sdr"
    assert parse_impairments(text) == SampleChannel(
        transmitter=(SamplingClockOffset(12.0),),
        air=(Multipath(**MULTIPATH_PROFILES["short"]), JakesFading(10.0)),
        receiver=(
            CarrierFrequencyOffset(5000.0),
            PHASE_NOISE_PRESETS["rtl-sdr"],
            IqImbalance(1.0, 5.0),
            DcOffset(-20.0),
        ),
    )


def test_every_key_with_all_its_values() -> None:
    text = (
        "underrun=5/100, tx.bits=14/2, rx.ppm=3/0.5, tx.gain=-6, tx.iq=0.5/1, tx.dc=-40/10, tx.cfo=100/1,"
        "tx.phase_noise=good, multipath=eva/70, cw=3/-1e3/noise, ofdm=-5, n0=-60, gain=2, bits=8, overflow=2/50"
    )
    channel = parse_impairments(text)
    assert channel.transmitter == (
        Underrun(5.0, 100),
        Quantization(14, 2.0),
        AmplitudeScaling(-6.0),
        IqImbalance(0.5, 1.0),
        DcOffset(-40.0, 10.0),
        CarrierFrequencyOffset(100.0, 1.0),
        PHASE_NOISE_PRESETS["good"],
    )
    assert channel.air == (
        Multipath(**MULTIPATH_PROFILES["eva"], doppler_hz=70.0),
        Interferer("cw", 3.0, -1e3, "noise"),
        Interferer("ofdm", -5.0),
        AdditiveNoise(density_db_hz=-60.0),
    )
    assert channel.receiver == (
        AmplitudeScaling(2.0),
        SamplingClockOffset(3.0, 0.5),
        Quantization(8),
        Overflow(2.0, 50),
    )


def test_the_order_of_the_entries_does_not_matter() -> None:
    entries = ["cfo=1", "tx.cfo=2", "noise=-3", "fading=4", "bits=5"]
    assert len({parse_impairments(",".join(p)) for p in itertools.permutations(entries)}) == 1


@pytest.mark.parametrize("text", ["", " , ", "clean"])
def test_nothing_is_a_clean_channel(text: str) -> None:
    assert parse_impairments(text) == SampleChannel()


def test_presets() -> None:
    assert set(PRESETS) == {"clean", "cheap-sdr", "indoor", "mobile-10hz", "mobile-100hz"}
    assert parse_impairments("cheap-sdr") == SampleChannel(
        transmitter=(SamplingClockOffset(20.0),),
        receiver=(PHASE_NOISE_PRESETS["rtl-sdr"], IqImbalance(1.0, 5.0), DcOffset(-20.0)),
    )
    assert parse_impairments("indoor").air == (Multipath(**MULTIPATH_PROFILES["indoor"]),)
    for name, doppler in (("mobile-10hz", 10.0), ("mobile-100hz", 100.0)):
        (paths,) = parse_impairments(name).impairments
        assert isinstance(paths, Multipath)
        assert paths.doppler_hz == doppler


def test_entries_replace_those_of_a_preset_and_add_to_it() -> None:
    channel = parse_impairments("ppm=5,cheap-sdr,cfo=300")
    assert channel.transmitter == (SamplingClockOffset(5.0),)
    assert channel.receiver[0] == CarrierFrequencyOffset(300.0)
    assert len(channel.receiver) == 4


def test_esn0_counts_the_power_that_is_sent() -> None:
    (noise,) = parse_impairments("esn0=10/8,tx.gain=-12,gain=30").air
    assert noise == AdditiveNoise(10.0, 8.0, -12.0)


def test_every_key_has_its_place() -> None:
    assert set(KEYS) == {key for order in ORDER.values() for key in order}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cfq=1", "unknown impairment 'cfq'. Did you mean 'cfo'"),
        ("cheap_sdr", "unknown preset.*Did you mean 'cheap-sdr'"),
        ("cfo", "unknown preset, and no key=value 'cfo'"),
        ("cfo=", "does not have the form cfo=HZ\\[/DRIFT_HZ_PER_S\\]"),
        ("cfo=1/2/3", "does not have the form"),
        ("iq=1/", "does not have the form iq=GAIN_DB\\[/PHASE_DEG\\]"),
        ("cfo=five", "'five' is not a number; the form is cfo="),
        ("cfo=nan", "cfo_hz must be a number"),
        ("bits=8.5", "'8.5' is not an integer"),
        ("bits=0", "bits must be an integer from 1 to 16"),
        ("ppm=1e9", "offset_ppm"),
        ("multipath=shrt", "unknown multipath profile 'shrt'. Did you mean 'short'"),
        ("phase_noise=bad", "unknown phase noise 'bad'"),
        ("cw=1/2/both", "relative_to must be one of signal, noise"),
        ("cw=1/2/noise", "needs additive noise"),
        ("noise=0,noise=1", "given twice"),
        ("cfo=1,rx.cfo=2", "'cfo' is given twice for the receiver"),
        ("tx.fading=1", "only 'tx.' and 'rx.' may be put before a key"),
        ("tx.overflow=1", "may be put before"),
        ("air.cfo=1", "may be put before"),
        ("clean,indoor", "only one preset"),
        ("=", "unknown impairment ''"),
        ("cfo=1," * 300, "at most 1000 characters"),
    ],
)
def test_mistakes_are_answered_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as failure:
        parse_impairments(text)
    assert "\n" not in str(failure.value)


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.tuples(
                st.sampled_from(["", "tx.", "rx."]),
                st.sampled_from([*KEYS, "x"]),
                st.lists(st.sampled_from(["1", "-3e9", "short", "nan", "", "noise", "good", "0x1", "1_0"]), max_size=4),
            ).map(lambda e: f"{e[0]}{e[1]}={'/'.join(e[2])}"),
            max_size=4,
        ).map(",".join),
    )
)
def test_any_text_is_a_channel_or_a_typed_error(text: str) -> None:
    channel, problem = None, ""
    try:
        channel = parse_impairments(text)
    except ConfigurationError as error:
        problem = str(error)
    if channel is None:
        assert problem
        assert "\n" not in problem
    else:
        assert SampleChannel.from_description(channel.describe()) == channel

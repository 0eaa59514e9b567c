"""The HTML report and the side-by-side PNG."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from semcom_app.images import ImageError, placeholder
from semcom_app.report import comparison_png, page, write_report
from semcom_app.report import text as formatting
from semcom_app.report.figures import ColourScale, decibels, difference_picture, display_picture
from semcom_app.results import ImageResult, mean_row

VOID = {"meta", "img", "br", "link", "hr", "input"}
HOSTILE = "<img src=x onerror=alert(1)>\"'&.png"


class Page(HTMLParser):
    """Checks that tags balance; collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.images: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)


def make_row(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "image": "a.png",
        "width": 40,
        "height": 24,
        "source_width": 40,
        "source_height": 24,
        "notes": ["padded from 40×24 to 48×24"],
        "codec": "vcsc-attn-0.2",
        "link": "numpy",
        "channel": "awgn",
        "snr_db": -4.0,
        "ebn0_db": 0.771,
        "esn0_measured_db": -4.034,
        "fec": "turbo",
        "rate": 0.3333,
        "payload_bits": 131072,
        "header_bits": 264,
        "channel_uses": 404116,
        "overhead_uses": 1234,
        "cbr": 0.5139,
        "compression_rate": 0.0208333,
        "compression_rate_with_header": 0.0209,
        "ber_raw": 0.1866,
        "ber_decoded": 1.234e-5,
        "blocks": 22,
        "blocks_failed": 0,
        "delivered": True,
        "intact": True,
        "error": None,
        "psnr_db": 26.123,
        "ssim": 0.7812,
        "encode_ms": 100.0,
        "link_ms": 12345.6,
        "decode_ms": 300.0,
        "seed": 7,
        "device": "cpu",
    }
    assert changes.keys() <= row.keys() | {"lpips", "note_of_codec"}
    return row | changes


def make_image(
    height: int = 24, width: int = 40, artifacts: bool = True, block_ok: Any = None, **changes: Any
) -> ImageResult:
    rng = np.random.default_rng(3)
    sent = rng.integers(0, 256, (height, width, 3), np.uint8)
    received = np.clip(sent.astype(int) + rng.integers(-5, 6, sent.shape), 0, 255).astype(np.uint8)
    row = make_row(width=width, height=height, source_width=width, source_height=height) | changes
    at_sender: dict[str, NDArray[Any]] = {}
    at_receiver: dict[str, NDArray[Any]] = {}
    if artifacts:
        shape = (4, -(-height // 8), -(-width // 8))
        latent = rng.normal(size=shape).astype(np.float32)
        mask = np.zeros(shape[1:], bool)
        mask[0, 0] = True
        at_sender = {"latent": latent, "attention": rng.random(shape[1:]), "mask": mask}
        at_receiver = {"latent": latent + np.float32(0.01), "mask": mask}
    if not row["delivered"]:
        received, at_receiver = placeholder(height, width), {}
    if block_ok is not None:
        at_receiver["block_ok"] = np.asarray(block_ok, bool)
    return ImageResult(row, sent, received, at_sender, at_receiver)


def lost_image(**changes: Any) -> ImageResult:
    lost: dict[str, Any] = {
        "delivered": False,
        "intact": False,
        "error": "header lost",
        "psnr_db": 0.0,
        "ssim": 0.0,
        "ber_raw": None,
        "ber_decoded": None,
        "esn0_measured_db": None,
        "blocks": 0,
    }
    return make_image(**(lost | changes))


def write(folder: Path, *images: ImageResult, config: dict[str, Any] | None = None) -> str:
    rows = [image.row for image in images]
    result = {
        "config": {"link": {"channel": "awgn", "interleave": False}} if config is None else config,
        "versions": {"semcom": "0.1.0"},
        "images": rows,
        "mean": mean_row(rows) if rows else {},
    }
    path = folder / "report.html"
    write_report(path, result, images)
    text = path.read_text("utf-8")
    check_self_contained(text)
    return text


def check_self_contained(text: str) -> None:
    page = Page(text)
    assert not page.tags.keys() & {"script", "link", "iframe", "object", "base", "form"}
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in {"src", "href", "srcset", "poster", "data"}:
            assert value.startswith(("data:image/", "#")), (tag, name, value[:60])
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "http:" not in text
    assert "https:" not in text
    anchors = {value for _, name, value in page.attributes if name == "id"}
    assert {v[1:] for _, name, v in page.attributes if name == "href"} <= anchors
    for image in page.images:
        assert "alt" in image
        open_uri(image["src"]).load()


def open_uri(uri: str | None) -> Image.Image:
    assert uri is not None
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def spaced(text: str) -> str:
    return text.replace("\u202f", " ")


def body(text: str) -> str:
    """The page without its style sheet, which names all banners."""
    return text[text.index("</style>") :]


def test_one_picture(tmp_path: Path) -> None:
    text = write(tmp_path, make_image())
    seen = spaced(Page(text).text)
    assert "1 picture sent as 131 072 bits in 404 116 channel uses over AWGN at −4 dB" in seen
    assert "delivered , 26.1 dB, SSIM 0.781." in seen
    for figure in ("2.08 %", "2.09 %", "264 bit", "0.5139", "−4.03 dB", "0.77 dB", "1.23 × 10⁻⁵",
                   "1.87 × 10⁻¹", "0 of 22", "12.3 s", "100 ms", "0.305 % of all uses",
                   "6.67 % of 15 locations", "padded from 40×24 to 48×24", "amplified ×4"):  # fmt: skip
        assert figure in seen, figure
    assert 'class="banner' not in body(text)
    assert "overview" not in body(text)


def test_latent_is_drawn_for_both_ends_with_its_error(tmp_path: Path) -> None:
    text = write(tmp_path, make_image())
    alts = [image["alt"] for image in Page(text).images]
    wanted = [f"{end}, channel {c}" for end in ("sender", "receiver", "error") for c in range(4)]
    assert [alt for alt in alts if alt and "channel" in alt] == wanted
    assert "RMS 0.0100" in text
    assert {"attention", "mask"} <= set(alts)


def test_codec_without_artifacts_has_no_empty_sections(tmp_path: Path) -> None:
    text = write(tmp_path, make_image(artifacts=False))
    assert "Latent" not in body(text)
    assert "important" not in body(text)
    assert len(Page(text).images) == 3


@pytest.mark.parametrize("key", ["image", "error", "codec", "channel", "link", "fec", "device", "notes"])
def test_text_from_outside_is_escaped(tmp_path: Path, key: str) -> None:
    value: Any = [HOSTILE] if key == "notes" else HOSTILE
    for image in (make_image(**{key: value}), lost_image(**{key: value})):
        text = write(tmp_path, image, image)
        assert HOSTILE not in text
        assert "<img src=x" not in text
    assert HOSTILE in Page(text).text or any(HOSTILE in v for _, _, v in Page(text).attributes)


def test_config_versions_and_command_are_escaped(tmp_path: Path) -> None:
    config = {HOSTILE: {HOSTILE: HOSTILE}, "list": [HOSTILE], "command": ["semcom", "send", HOSTILE]}
    text = write(tmp_path, make_image(), config=config)
    assert "<img src=x" not in text
    assert Page(text).tags["details"] == 1
    assert Page(text).tags["pre"] == 1
    assert "semcom send '<img src=x" in Page(text).text


def test_names_that_are_no_text(tmp_path: Path) -> None:
    text = write(tmp_path, make_image(image="a\udcff\x00\u202e\n.png"))
    assert "\x00" not in text
    assert "\u202e" not in text


def test_lost_picture(tmp_path: Path) -> None:
    text = write(tmp_path, lost_image(error="header lost & <gone>"))
    assert '<p class="banner lost"' in text
    assert "banner damaged" not in body(text)
    assert "header lost &amp; &lt;gone&gt;" in text
    assert '<b class="lost">lost</b>' in text
    assert "amplified" not in text
    assert "Nothing reached the receiver." in text
    assert [i["alt"] for i in Page(text).images][:2] == ["sent: a.png", "placeholder"]


def test_damaged_picture(tmp_path: Path) -> None:
    text = write(tmp_path, make_image(intact=False, blocks_failed=3))
    assert '<p class="banner damaged"' in text
    assert "banner lost" not in body(text)
    assert "delivered with damage" in text
    assert 'aria-label="3 of 22 blocks failed"' in text
    bad, good = re.findall(r'<i class="(?:bad|good)" style="flex-grow:([\d.]+)"', text)
    assert float(bad) == pytest.approx(100 * 3 / 22, abs=1e-3)
    assert float(good) == pytest.approx(100 * 19 / 22, abs=1e-3)


def test_failed_blocks_stand_in_their_places(tmp_path: Path) -> None:
    verdicts = [True, False, True, True, False]
    text = write(tmp_path, make_image(intact=False, block_ok=verdicts))
    strip = re.search(r'<div class="blocks".*?</div>', text)
    assert strip is not None
    assert re.findall(r'<i class="(\w+)">', strip[0]) == ["good" if ok else "bad" for ok in verdicts]


def test_very_many_blocks_are_grouped(tmp_path: Path) -> None:
    verdicts = np.ones(2 * page.MAX_BLOCKS_DRAWN, bool)
    verdicts[5] = False
    text = write(tmp_path, make_image(block_ok=verdicts))
    strip = re.search(r'<div class="blocks".*?</div>', text)
    assert strip is not None
    drawn = re.findall(r'<i class="(\w+)">', strip[0])
    assert len(drawn) == page.MAX_BLOCKS_DRAWN
    assert [k for k, kind in enumerate(drawn) if kind == "bad"] == [2]
    assert "up to 2 blocks" in text


def test_identical_pictures_have_infinite_psnr(tmp_path: Path) -> None:
    text = spaced(write(tmp_path, make_image(psnr_db=None, ssim=1.0)))
    assert "∞ dB" in text
    assert "identical to what was sent" in text


def test_several_pictures(tmp_path: Path) -> None:
    images = [make_image(image="a.png"), make_image(image="b.png", intact=False), lost_image(image="c.png"),
              make_image(image="d.png", psnr_db=None)]  # fmt: skip
    text = write(tmp_path, *images)
    page, seen = Page(text), spaced(Page(text).text)
    table = text[text.index('<table class="overview">') : text.index("</table>")]
    assert table.count("<tr>") == 1 + 4 + 1
    assert page.tags["article"] == 4
    assert "4 pictures sent as 524 288 bits in 1 616 464 channel uses over AWGN at −4 dB" in seen
    assert "2 delivered intact , 1 damaged , 1 lost" in seen
    mean_psnr = (26.123 + 26.123 + 0.0) / 3
    assert f"<td>{mean_psnr:.2f}</td>" in table[table.index("<tfoot>") :]
    assert "1 lost picture in the mean" in seen
    assert "1 identical picture (∞ dB) left out of the mean PSNR" in seen


def test_details_of_the_first_twenty_only(tmp_path: Path) -> None:
    images = [make_image(artifacts=False, image=f"p{k}.png") for k in range(23)]
    text = write(tmp_path, *images)
    assert Page(text).tags["article"] == 20
    assert "Details of the first 20 of 23 pictures" in text
    assert "p22.png" in text
    assert "more" not in [v for _, n, v in Page(write(tmp_path, images[0])).attributes if n == "class"]


def test_channels_and_levels_that_differ_are_named_as_such(tmp_path: Path) -> None:
    seen = spaced(Page(write(tmp_path, make_image(), make_image(snr_db=10.0, channel="rayleigh"))).text)
    assert "over 2 channels at −4 dB to 10 dB" in seen


def test_none_everywhere(tmp_path: Path) -> None:
    keep = {"image", "width", "height", "delivered", "intact", "codec", "channel"}
    nothing: dict[str, Any] = {key: None for key in make_row() if key not in keep}
    one, two = write(tmp_path, make_image(**nothing)), write(tmp_path, *2 * [make_image(**nothing)])
    for text in (one, two):
        assert "None" not in Page(text).text
        assert "nan" not in Page(text).text
    assert "<dd>–</dd>" in one


def test_nothing_but_the_outcome(tmp_path: Path) -> None:
    bare = make_image(artifacts=False)
    text = write(tmp_path, ImageResult({"delivered": True, "intact": True}, bare.sent, bare.received))
    assert "<dd>–</dd>" in text
    assert "∞" not in text


def test_no_pictures(tmp_path: Path) -> None:
    assert "No picture was sent." in write(tmp_path)


def test_further_metrics_are_shown(tmp_path: Path) -> None:
    image = make_image()
    image.row.update(lpips=0.1234, words="a <b> cat")
    text = write(tmp_path, image)
    assert "<dt>LPIPS</dt><dd>0.1234</dd>" in text
    assert "<dd>a &lt;b&gt; cat</dd>" in text


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (5, 7), (3, 2600), (1500, 1100)])
def test_any_size(tmp_path: Path, height: int, width: int) -> None:
    page = Page(write(tmp_path, make_image(height, width, ssim=None)))
    for image in page.images:
        picture = open_uri(image["src"])
        assert max(picture.size) <= 1024
        assert picture.format == ("PNG" if max(picture.size) <= 512 else "JPEG")
    with Image.open(io.BytesIO(comparison_png(make_image(height, width)))) as comparison:
        assert max(comparison.size) <= 2100


def test_unusual_latents(tmp_path: Path) -> None:
    image = make_image()
    latent = np.zeros((20, 1, 1), np.float32)
    latent[0] = np.nan
    image = ImageResult(image.row, image.sent, image.received, {"latent": latent}, {"latent": latent[:2]})
    text = write(tmp_path, image)
    assert "The first 16 of 20 channels." in text
    constant = ImageResult(image.row, image.sent, image.received, {"latent": np.full((3, 4), 2.0)}, {})
    assert "channel 0" in write(tmp_path, constant)


def test_report_is_deterministic(tmp_path: Path) -> None:
    images = [make_image(), lost_image()]
    assert write(tmp_path, *images) == write(tmp_path, *images)


def test_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="cannot write"):
        write(tmp_path / "file", make_image())


def flat(colour: tuple[int, int, int], height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def panel_colours(png: bytes) -> list[tuple[int, ...]]:
    """Colours at the middles of the panels, from left to right, found as what is wide and not white."""
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    for line in pixels:
        coloured = np.concatenate([[0], (line != 255).any(axis=1).astype(int), [0]])
        starts, ends = (np.flatnonzero(np.diff(coloured) == step) for step in (1, -1))
        if starts.size and (ends - starts).min() >= 30:  # wider than a stroke of a letter
            return [tuple(line[k].tolist()) for k in (starts + ends) // 2]
    raise AssertionError("no panels")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (64, 64), (512, 512), (9, 400), (400, 9), (700, 1300)])
def test_comparison_panels_in_order(height: int, width: int) -> None:
    result = ImageResult(
        make_row(psnr_db=None, ssim=None),
        flat((200, 30, 60), height, width),
        flat((190, 30, 80), height, width),
    )
    assert panel_colours(comparison_png(result)) == [(200, 30, 60), (190, 30, 80), (40, 0, 80)]


def test_comparison_shows_pixels_as_they_are() -> None:
    image = make_image(256, 300)
    with Image.open(io.BytesIO(comparison_png(image))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    windows = np.lib.stride_tricks.sliding_window_view(pixels[:, :, 0], (1, 300))
    hits = np.argwhere((windows == image.sent[100:101, :, 0]).all(axis=(2, 3)))
    assert len(hits) == 1


def test_comparison_of_a_lost_picture_has_no_difference() -> None:
    row = make_row(delivered=False, intact=False, psnr_db=0.0, ssim=0.0)
    result = ImageResult(row, flat((200, 30, 60), 80, 80), flat((128, 128, 128), 80, 80))
    colours = panel_colours(comparison_png(result))
    assert colours[:2] == [(200, 30, 60), (128, 128, 128)]
    assert colours[2] != (255, 255, 255)
    assert colours[2] != tuple(min(255, 4 * abs(a - 128)) for a in (200, 30, 60))


def test_comparison_is_deterministic_and_carries_no_metadata() -> None:
    first, second = comparison_png(make_image()), comparison_png(make_image())
    assert first == second
    with Image.open(io.BytesIO(first)) as picture:
        assert set(picture.info) <= {"dpi"}


def test_comparison_takes_odd_names() -> None:
    assert comparison_png(make_image(codec="$a_{b", channel="\\alpha")).startswith(b"\x89PNG")
    assert comparison_png(make_image(codec="", channel="", snr_db=None)).startswith(b"\x89PNG")


def test_difference_is_amplified_four_times_and_clipped() -> None:
    sent, received = flat((10, 100, 255), 4, 4), flat((13, 40, 0), 4, 4)
    assert difference_picture(sent, received, 512).getpixel((1, 1)) == (12, 240, 255)


def test_long_pictures_are_stretched_across() -> None:
    assert display_picture(Image.new("RGB", (2400, 1)), 1200).size == (1200, 100)
    assert display_picture(Image.new("RGB", (1, 120)), 1200).size == (10, 120)
    assert display_picture(Image.new("RGB", (100, 50)), 1200).size == (100, 50)
    assert display_picture(Image.new("RGB", (8192, 4096)), 1024).size == (1024, 512)


def test_colour_scale_ends() -> None:
    picture = ColourScale(-1.0, 1.0, "viridis").picture(np.array([[-1.0, 1.0, -9.0, 9.0]])).convert("RGB")
    low, high = picture.getpixel((0, 0)), picture.getpixel((1, 0))
    assert low == (68, 1, 84)  # the published ends of viridis
    assert high == (253, 231, 37)
    assert picture.getpixel((2, 0)) == low
    assert picture.getpixel((3, 0)) == high


@pytest.mark.parametrize(
    ("value", "text"),
    [(10.0, "10 dB"), (-4.0, "−4 dB"), (0.0, "0 dB"), (-0.0, "0 dB"), (2.5, "2.5 dB"), (-0.001, "0 dB"),
     (float("inf"), "∞ dB"), (float("-inf"), "−∞ dB"), (None, "–"), (float("nan"), "–")],
)  # fmt: skip
def test_decibels(value: float | None, text: str) -> None:
    assert spaced(decibels(value)) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0208333, "2.08 %"), (0.9996, "100 %"), (1.0, "100 %"), (0.0001, "0.0100 %"), (0.0, "0 %"),
     (0.954, "95.4 %"), (0.00000123, "0.000123 %"), (0.099996, "10.0 %"), (None, "–")],
)  # fmt: skip
def test_percent_has_three_digits(share: float | None, text: str) -> None:
    assert spaced(formatting.percent(share)) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, "0"), (1.234e-5, "1.23 × 10⁻⁵"), (0.5, "5.00 × 10⁻¹"), (9.999e-4, "1.00 × 10⁻³"), (None, "–")],
)
def test_error_rate(rate: float | None, text: str) -> None:
    assert spaced(formatting.error_rate(rate)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(404116, "404 116"), (12.25, "12.2"), (1234.6, "1 235"), (-1500, "−1 500"), (True, "–")],
)
def test_count(value: Any, text: str) -> None:
    assert spaced(formatting.count_text(value)) == text

"""Pictures of every kind and condition, and files that are written whole or not at all."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcom_app.images import (
    ImageError,
    check_writable,
    find_images,
    load_image,
    pad_to_multiple,
    placeholder,
    png_bytes,
    write_bytes,
)
from semcom_phy.errors import ConfigurationError


@pytest.fixture
def colours() -> np.ndarray:
    """A smooth colour picture of 40×48 without symmetries."""
    y, x = np.mgrid[0:40, 0:48]
    return np.stack([5 * x, 6 * y, 2 * x + 3 * y], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.fixture
def grey(colours: np.ndarray) -> np.ndarray:
    return colours[..., 0]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, rows: bytes, depth: int = 8, extra: bytes = b"") -> bytes:
    """An RGB PNG with any header and any content."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    body = _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def _refusal(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError) as caught:
            load_image(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert path.name in message
    return message


def test_plain_pictures_are_read_exactly_and_without_notes(tmp_path: Path, colours: np.ndarray) -> None:
    for suffix in ("png", "bmp", "ppm", "tif"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(colours).save(path)
        loaded = load_image(path)
        assert np.array_equal(loaded.pixels, colours)
        assert loaded.pixels.dtype == np.uint8
        assert (loaded.name, loaded.source_size, loaded.notes) == (path.name, (48, 40), ())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, colours: np.ndarray, orientation: int) -> None:
    upright = {
        1: colours,
        2: colours[:, ::-1],
        3: colours[::-1, ::-1],
        4: colours[::-1],
        5: colours.transpose(1, 0, 2),
        6: np.rot90(colours, -1),
        7: colours[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(colours),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(colours).save(path, exif=exif)
    loaded = load_image(path)
    assert np.array_equal(loaded.pixels, upright)
    assert any("EXIF" in note for note in loaded.notes) == (orientation != 1)


def test_transparency_is_laid_over_white(tmp_path: Path, colours: np.ndarray) -> None:
    half = np.dstack([colours, np.where(np.arange(48) < 24, 0, 255)[None].repeat(40, 0).astype(np.uint8)])
    for mode in ("RGBA", "LA"):
        path = tmp_path / f"{mode}.png"
        Image.fromarray(half).convert(mode).save(path)
        loaded = load_image(path)
        assert (loaded.pixels[:, :24] == 255).all()
        assert not (loaded.pixels[:, 24:] == 255).all()
        assert loaded.notes == ("transparency laid over white",)


def test_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.save(tmp_path / "p.png", transparency=0)
    expected = [[[255] * 3, [200, 100, 50]], [[200, 100, 50], [255] * 3]]
    assert load_image(tmp_path / "p.png").pixels.tolist() == expected


def test_lab_is_not_taken_for_a_picture_with_alpha(tmp_path: Path) -> None:
    Image.new("LAB", (8, 8), (128, 128, 128)).save(tmp_path / "lab.tif")
    assert load_image(tmp_path / "lab.tif").notes == ("converted from LAB to RGB",)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_other_modes_become_rgb_and_say_so(tmp_path: Path, colours: np.ndarray, mode: str) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(colours).convert(mode).save(path)
    loaded = load_image(path)
    assert loaded.pixels.shape == (40, 48, 3)
    assert loaded.notes == (f"converted from {mode} to RGB",)


def test_sixteen_bit_grey_keeps_its_brightness(tmp_path: Path, grey: np.ndarray) -> None:
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "a.png")
    loaded = load_image(tmp_path / "a.png")
    assert np.array_equal(loaded.pixels, grey[..., None].repeat(3, axis=-1))
    assert loaded.notes == ("16-bit greyscale scaled to 8 bits",)


def test_sixteen_bit_colour_keeps_the_upper_byte_and_says_so(tmp_path: Path, colours: np.ndarray) -> None:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours.astype(np.uint16) * 256 + 7)
    (tmp_path / "a.png").write_bytes(_png(48, 40, rows, depth=16))
    loaded = load_image(tmp_path / "a.png")
    assert np.array_equal(loaded.pixels, colours)
    assert loaded.notes == ("16-bit colour reduced to 8 bits",)


def test_wide_integers_are_scaled_by_their_range(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 100_000], [200_000, 50_000]], np.int32)).save(tmp_path / "a.tif")
    loaded = load_image(tmp_path / "a.tif")
    assert loaded.pixels[..., 0].tolist() == [[0, 128], [255, 64]]
    assert loaded.notes == ("32-bit greyscale, 0 to 200000 scaled to 8 bits",)


def test_floats_with_nan_and_infinity(tmp_path: Path) -> None:
    values = np.array([[0.0, 0.5, 1.0], [np.nan, np.inf, -np.inf]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    loaded = load_image(tmp_path / "a.tif")
    assert loaded.pixels[..., 0].tolist() == [[0, 128, 255], [0, 0, 0]]
    assert "pixels without a finite value shown black: 3" in loaded.notes


def test_negative_floats_are_not_cut_off(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1.0, 0.0, 1.0]], np.float32)).save(tmp_path / "a.tif")
    assert load_image(tmp_path / "a.tif").pixels[0, :, 0].tolist() == [0, 128, 255]


def test_floats_without_a_finite_value_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(tmp_path / "a.tif")
    assert "no finite value" in _refusal(tmp_path / "a.tif")


def test_first_frame_of_an_animation(tmp_path: Path, colours: np.ndarray) -> None:
    frame = Image.fromarray(colours)
    frame.save(tmp_path / "a.webp", save_all=True, append_images=[frame.rotate(180)], lossless=True)
    loaded = load_image(tmp_path / "a.webp")
    assert np.array_equal(loaded.pixels, colours)
    assert loaded.notes == ("first frame of an animation or of several pages",)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (7, 9), (300, 1)])
def test_any_size_is_accepted(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").pixels.shape == (size[1], size[0], 3)
    scaled = load_image(tmp_path / "a.png", 32)
    assert scaled.pixels.shape == (32, 32, 3)
    assert scaled.source_size == size
    assert f"{size[0]}×{size[1]} to 32×32" in scaled.notes[0]


@pytest.mark.parametrize("size", [0, 7, -8, 100_000])
def test_absurd_sizes_are_wrong_usage(tmp_path: Path, size: int) -> None:
    with pytest.raises(ConfigurationError, match="--size must be from 8 to 8192"):
        load_image(tmp_path / "a.png", size)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not a picture\n" * 20)
    # An interpreter must never be started for a picture.
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    assert "is empty" in _refusal(tmp_path / "empty.png")
    assert "not a picture" in _refusal(tmp_path / "text.png")
    assert "not a picture" in _refusal(tmp_path / "program.eps")


def test_things_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "file").write_text("x")
    assert "not a regular file" in _refusal(tmp_path / "fifo.png")
    assert "not a regular file" in _refusal(tmp_path / "zero.png")
    assert "not a regular file" in _refusal(tmp_path)
    assert "symbolic links" in _refusal(tmp_path / "loop.png")
    assert "Not a directory" in _refusal(tmp_path / "file" / "a.png")
    assert "File name too long" in _refusal(tmp_path / ("x" * 300))
    assert "no file" in _refusal(tmp_path / "missing.png")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not stop root, so the refusal itself is put in their place.
    (tmp_path / "a.png").write_bytes(b"x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "check its permissions" in _refusal(tmp_path / "a.png")


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    bombs = {
        "huge": _png(60_000, 60_000, b"\0" * 1000),
        "large": _png(9_400, 9_400, b"\0" * 1000),
        "long": _png(70_000, 1, b"\0" * 1000),
        "text": _png(8, 8, b"\0" * 200, extra=_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1 << 27)))),
    }
    for name, content in bombs.items():
        (tmp_path / f"{name}.png").write_bytes(content)
        _refusal(tmp_path / f"{name}.png")
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(1 << 31)
    assert "2048 MiB" in _refusal(tmp_path / "sparse.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_truncation_is_noticed_wherever_it_happens(tmp_path: Path, colours: np.ndarray, suffix: str) -> None:
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(1).integers(0, 256, colours.shape, np.uint8)
    Image.fromarray(noise).save(whole)
    content = whole.read_bytes()
    # A PNG's last bytes are checksum and end mark: all pixels are there without them.
    last = len(content) - 40
    for length in {*range(0, 64, 3), *range(64, last, last // 25), last}:
        cut.write_bytes(content[:length])
        _refusal(cut)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp", "ppm"])
def test_damage_gives_a_picture_or_an_error_of_ours(tmp_path: Path, colours: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(colours).save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(7)
    refusals = []
    for trial in range(120):
        damaged = bytearray(content)
        reach = len(content) if trial % 2 else min(len(content), 100)
        for position in rng.integers(0, reach, 4):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert load_image(path).pixels.dtype == np.uint8
        except ImageError as error:
            refusals.append(str(error))
    assert refusals
    assert all(len(refusal.splitlines()) == 1 for refusal in refusals)


def test_folders_stand_for_the_pictures_in_them(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", "a.received.png", "a.comparison.png", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in find_images([tmp_path])] == ["a.png", "b.JPG"]
    # Given by name, everything is taken.
    given = tmp_path / "a.received.png"
    assert find_images([given]) == [given]
    with pytest.raises(ImageError, match="no pictures in folder"):
        find_images([tmp_path / "folder.png"])
    with pytest.raises(ImageError, match="no file"):
        find_images([tmp_path / "missing"])


def test_padding_repeats_the_edge(colours: np.ndarray) -> None:
    padded = pad_to_multiple(colours[:33, :47], 8)
    assert padded.shape == (40, 48, 3)
    assert np.array_equal(padded[:33, :47], colours[:33, :47])
    assert (padded[33:, :47] == colours[32:33, :47]).all()
    assert pad_to_multiple(colours, 8).shape == colours.shape


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (50, 70)])
def test_placeholder_is_grey(size: tuple[int, int]) -> None:
    picture = placeholder(*size)
    assert picture.shape == (*size, 3)
    assert set(np.unique(picture)) <= {96, 128}


def test_png_bytes_are_lossless_and_repeatable(tmp_path: Path, colours: np.ndarray) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(colours))
    assert np.array_equal(load_image(tmp_path / "a.png").pixels, colours)
    assert png_bytes(colours) == png_bytes(colours.copy())


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "result.json"
    write_bytes(target, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError, match=r"cannot write .*result\.json: No space left on device"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_writing_replaces_whole_files_and_creates_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "x.bin"
    write_bytes(target, b"one")
    write_bytes(target, b"two")
    assert target.read_bytes() == b"two"
    (tmp_path / "folder").mkdir()
    with pytest.raises(ImageError, match="Is a directory"):
        write_bytes(tmp_path / "folder", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "folder"]


def test_unwritable_places_are_found_before_work_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImageError, match="it is a file"):
        check_writable(tmp_path / "file")
    for folder in (tmp_path / "file" / "x", Path("/dev/null/x"), Path("/proc/semcom"), tmp_path / ("x" * 300)):
        with pytest.raises(ImageError, match="cannot write to folder"):
            check_writable(folder)
    check_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []

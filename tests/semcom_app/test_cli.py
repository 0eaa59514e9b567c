"""The command line: results, and one clear line for everything that can go wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app import images as images_module
from semcom_app.cli import run
from semcom_app.models.weights import FILES, local_folder
from semcom_app.progress import progress

ROW_KEYS = {
    "image",
    "codec",
    "link",
    "channel",
    "snr_db",
    "ebn0_db",
    "fec",
    "rate",
    "payload_bits",
    "header_bits",
    "channel_uses",
    "cbr",
    "compression_rate",
    "ber_raw",
    "ber_decoded",
    "blocks",
    "blocks_failed",
    "delivered",
    "intact",
    "error",
    "psnr_db",
    "ssim",
    "encode_ms",
    "link_ms",
    "decode_ms",
    "seed",
    "device",
    "notes",
    "received_file",
    "comparison_file",
}
COMMANDS = [[], ["send"], ["weights"], ["weights", "list"], ["train"], ["train", "vae"], ["doctor"]]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of 48×40 with something in it."""
    y, x = np.mgrid[0:40, 0:48]
    pixels = np.stack([5 * x, 6 * y, 255 - 5 * x], axis=-1).clip(0, 255).astype(np.uint8)
    path = tmp_path / "in" / "a.png"
    path.parent.mkdir()
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def _result(out: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    result: dict[str, Any] = json.loads((out / "result.json").read_bytes(), parse_constant=refuse)
    return result


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _send(*arguments: object) -> int:
    return run(["send", *map(str, arguments)])


def _refused(capsys: pytest.CaptureFixture[str], arguments: list[object], code: int, *expected: str) -> None:
    assert run([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("semcom: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    assert "unforeseen" not in captured.err
    for text in expected:
        assert text in captured.err


# --- what a run gives -------------------------------------------------------------------------------


def test_one_picture(picture: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _send(picture, "--size", 32, "--out", out) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "intact" in captured.out
    assert "a.png: scaled and centre-cropped from 48×40 to 32×32" in captured.out
    assert max(len(line) for line in captured.out.splitlines() if "report:" not in line) <= 80
    assert _names(out) == ["a.comparison.png", "a.received.png", "report.html", "result.json"]
    result = _result(out)
    assert set(result) == {"config", "versions", "images", "mean"}
    (row,) = result["images"]
    assert set(row) >= ROW_KEYS
    assert row["delivered"]
    assert row["intact"]
    assert row["payload_bits"] == 4 * 4 * 4 * 8
    assert row["channel_uses"] > 3 * row["payload_bits"]
    assert row["ebn0_db"] == pytest.approx(row["snr_db"] - 10 * np.log10(row["rate"]))
    assert row["psnr_db"] > 8
    assert result["versions"]["semcom"]
    assert result["config"]["size"] == 32
    assert Image.open(out / row["received_file"]).size == (32, 32)


def test_json_is_the_file_and_nothing_else(
    picture: Path, out: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert _send(picture, picture, "--size", 32, "--out", out, "--json") == 0
    captured = capsysbinary.readouterr()
    assert captured.err == b""
    assert captured.out == (out / "result.json").read_bytes()


def test_several_pictures_give_a_row_each_and_a_mean(
    picture: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.open(picture).rotate(90).save(picture.with_name("b.png"))
    (picture.parent / "sub").mkdir()
    Image.open(picture).rotate(180).save(picture.parent / "sub" / "a.png")
    assert _send(picture.parent, picture.parent / "sub" / "a.png", "--size", 32, "--out", out) == 0
    captured = capsys.readouterr()
    assert "mean of 3" in captured.out
    assert "none lost" in captured.out
    assert "3 pictures: scaled and centre-cropped" in captured.out
    assert captured.err.splitlines()[-1] == "sending: 3/3 a.png"
    rows = _result(out)["images"]
    assert [row["received_file"] for row in rows] == ["a.received.png", "b.received.png", "a-2.received.png"]
    assert _result(out)["mean"]["psnr_db"] == pytest.approx(np.mean([row["psnr_db"] for row in rows]))


def test_a_lost_picture_is_exit_code_1_and_fully_reported(
    picture: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _send(picture, "--size", 32, "--channel", "bsc", "--flip", 0.5, "--out", out) == 1
    captured = capsys.readouterr()
    assert "LOST: header lost" in captured.out
    assert captured.err == ""
    assert _names(out) == ["a.comparison.png", "a.received.png", "report.html", "result.json"]
    (row,) = _result(out)["images"]
    assert row["delivered"] is False
    assert (row["psnr_db"], row["ssim"], row["ber_decoded"]) == (0, 0, None)
    received = np.asarray(Image.open(out / "a.received.png"))
    assert np.array_equal(received, images_module.placeholder(32, 32))


@pytest.mark.parametrize("rate", ["3/4", "0.75"])
def test_a_rate_is_sent_and_reported(picture: Path, out: Path, rate: str) -> None:
    assert _send(picture, "--size", 64, "--rate", rate, "--out", out) == 0
    result = _result(out)
    (row,) = result["images"]
    assert result["config"]["turbo_rate"] == 0.75
    assert row["payload_bits"] == 2048
    assert row["channel_uses"] - row["overhead_uses"] == 2731  # ⌈2048/0.75⌉
    assert row["rate"] == 2048 / 2731
    assert row["intact"]


def test_a_picture_too_small_for_its_rate(picture: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = "32 payload bits and their CRC need 56 coded bits, a rate of 0.571 at most"
    _refused(capsys, ["send", picture, "--size", "8", "--rate", "0.6", "--out", out], 2, expected)


def test_the_same_seed_gives_the_same_bytes(picture: Path, tmp_path: Path) -> None:
    def once(name: str, seed: int) -> tuple[str, dict[str, Any]]:
        folder = tmp_path / name
        assert _send(picture, "--size", 32, "--fec", "none", "--snr", 0, "--seed", seed, "--out", folder) == 0
        result = _result(folder)
        for row in (*result["images"], result["mean"]):
            for key in [key for key in row if key.endswith("_ms")]:
                del row[key]
        return hashlib.sha256((folder / "a.received.png").read_bytes()).hexdigest(), result

    assert once("first", 5) == once("second", 5)
    assert once("third", 6)[0] != once("fourth", 5)[0]


@pytest.mark.parametrize(("size", "padded"), [((1, 1), "8×8"), ((7, 9), "8×16"), ((130, 1), "136×8")])
def test_odd_sizes_come_back_as_they_were(tmp_path: Path, out: Path, size: tuple[int, int], padded: str) -> None:
    Image.new("RGB", size, (90, 120, 150)).save(tmp_path / "odd.png")
    assert _send(tmp_path / "odd.png", "--out", out) == 0
    (row,) = _result(out)["images"]
    assert (row["width"], row["height"]) == size
    assert row["notes"] == [
        f"padded from {size[0]}×{size[1]} to {padded} for the autoencoder and cut back at the receiver"
    ]
    assert Image.open(out / row["received_file"]).size == size


def test_names_that_a_terminal_or_a_file_system_may_stumble_over(
    picture: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a b.png", "ü — 😀.png", "new\nline.png", "[red]x[bold].png", "\x1b[31m.png", "x" * 245 + ".png"]
    for name in names:
        shutil.copy(picture, picture.parent / name)
    shutil.copy(os.fsencode(picture), os.fsencode(picture.parent) + b"/bad\xff.png")
    assert _send(picture.parent, "--size", 16, "--out", out) == 0
    captured = capsys.readouterr()
    assert "[red]x[bold].png" in captured.out
    assert "\x1b[31m" not in captured.out
    assert "\x1b" not in captured.err
    assert captured.err.splitlines()[-1].startswith("sending: 8/8 ")
    rows = _result(out)["images"]
    assert {row["image"] for row in rows} == {*names, "a.png", "bad\udcff.png"}
    assert all((out / row["received_file"]).is_file() for row in rows)
    assert capsys.readouterr().err == ""


def test_a_leading_dash(picture: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture.rename(picture.with_name("-dash.png"))
    monkeypatch.chdir(picture.parent)
    assert _send("--size", 16, "--out", out, "--", "-dash.png") == 0
    assert "-dash.received.png" in _names(out)


def test_no_input_is_overwritten_when_it_lies_in_the_output_folder(picture: Path) -> None:
    folder = picture.parent
    other = folder / "a.received.png"
    shutil.copy(picture, other)
    before = other.read_bytes()
    assert _send(picture, other, "--size", 16, "--out", folder) == 0
    assert other.read_bytes() == before
    # A second run over the folder takes the pictures, not what the first run left.
    assert _send(folder, "--size", 16, "--out", folder) == 0
    assert [row["image"] for row in _result(folder)["images"]] == ["a.png"]


# --- wrong usage: exit code 2 -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--snr", "abc"], "number of dB"),
        (["--snr", ""], "number of dB"),
        (["--snr", "nan"], "--snr must be from -200 to 200 dB"),
        (["--snr", "inf"], "--snr must be"),
        (["--snr=-inf"], "--snr must be"),
        (["--snr", "1e3"], "--snr must be"),
        (["--link", "numpi"], "Did you mean 'numpy'?"),
        (["--channel", "rayligh"], "Did you mean 'rayleigh'?"),
        (["--fec", "turbp"], "Did you mean 'turbo'?"),
        (["--rate", "x"], "--rate must be a code rate such as 3/4 or 0.75, not 'x'"),
        (["--rate", ""], "--rate must be a code rate"),
        (["--rate", "nan"], "--rate must be a code rate"),
        (["--rate", "3/0"], "--rate must be a code rate"),
        (["--rate", "1e999999999"], "--rate must be a code rate"),
        (["--rate", "1/9"], "--rate must be from 1/8 to 0.95, not 1/9"),
        (["--rate", "0"], "--rate must be from"),
        (["--rate", "1"], "--rate must be from"),
        (["--rate=-0.5"], "--rate must be a code rate"),
        (["--rate", "1/2", "--fec", "none"], "leave it out with --fec none"),
        (["--rate", "1/2", "--fec", "turbp"], "Did you mean 'turbo'?"),
        (["--codec", "vcsc-8bits"], "Did you mean 'vcsc-8bit'?"),
        (["--codec", ""], "unknown codec ''"),
        (["--codec", "vcsc-9bit"], "1…8, not 9"),
        (["--codec", "vcsc-attn-1.5"], "[0, 1], not 1.5"),
        (["--device", "cud"], "Known: auto, cpu, cuda"),
        (["--device", "cpu:9"], "Known: auto, cpu, cuda"),
        (["--bits", "0"], "--bits must be from 1 to 8, not 0"),
        (["--bits", "9"], "--bits must be"),
        (["--bits", "x"], "--bits"),
        (["--threshold", "nan"], "--threshold must be from 0 to 1"),
        (["--threshold", "2"], "--threshold must be"),
        (["--algorithm", "logmap"], "unknown --algorithm 'logmap'"),
        (["--iterations", "0"], "--iterations must be from 1 to 1000"),
        (["--iterations", "1000000000"], "--iterations must be"),
        (["--seed", "-1"], "--seed must be"),
        (["--seed", str(1 << 63)], "--seed must be"),
        (["--size", "0"], "--size must be from 8 to 8192"),
        (["--size", "7"], "--size must be"),
        (["--size", "100000"], "--size must be"),
        (["--flip", "0.1"], "channel 'awgn' has no --flip"),
        (["--doppler", "nan"], "channel 'awgn' has no --doppler"),
        (["--channel", "bsc"], "needs --flip"),
        (["--channel", "bsc", "--flip", "nan"], "--flip must be a number from 0 to 0.5"),
        (["--channel", "bsc", "--flip", "0.6"], "--flip must be"),
        (["--channel", "rayleigh", "--doppler", "nan"], "--doppler must be"),
        (["--channel", "rayleigh", "--scatterers", "0"], "--scatterers must be an integer from 1"),
        (["--channel", "rayleigh", "--symbol-rate", "0"], "--symbol-rate must be"),
        (["--vae", "nonsense"], "no weights named 'nonsense'"),
        (["--vae", "compct"], "Did you mean 'compact'?"),
        (["--vae", ""], "no weights named ''"),
        (["--vae", "a/b/c"], "no weights named"),
        (["--bogus"], "(see `semcom send --help`)"),
    ],
)
def test_wrong_options(
    picture: Path, out: Path, capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    _refused(capsys, ["send", picture, "--out", out, *options], 2, expected)
    assert not out.exists() or _names(out) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["bogus"], "(see `semcom --help`)"),
        (["send"], "(see `semcom send --help`)"),
        (["weights", "bogus"], "(see `semcom weights --help`)"),
        (["weights", "path"], "(see `semcom weights path --help`)"),
        (["train", "vae"], "--data"),
    ],
)
def test_wrong_commands(capsys: pytest.CaptureFixture[str], arguments: list[object], expected: str) -> None:
    _refused(capsys, arguments, 2, expected)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert run([*command, "--help"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"Usage: {' '.join(['semcom', *command])}")
    assert captured.err == ""


def test_no_command_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    run([])
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert all(command in text for command in ("send", "weights", "train", "doctor"))
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("semcom ")


# --- runtime failures: exit code 1 ------------------------------------------------------------------


def test_bad_pictures_are_found_before_anything_is_written(
    picture: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncated = picture.with_name("cut.png")
    truncated.write_bytes(picture.read_bytes()[:-60])
    text = picture.with_name("text.png")
    text.write_text("no picture")
    empty = picture.parent / "empty"
    empty.mkdir()
    _refused(capsys, ["send", picture, truncated, picture, "--out", out], 1, "cut.png is damaged or truncated")
    _refused(capsys, ["send", text, "--out", out], 1, "text.png is not a picture")
    _refused(capsys, ["send", empty, "--out", out], 1, "no pictures in folder")
    _refused(capsys, ["send", "missing.png", "--out", out], 1, "no file missing.png")
    _refused(capsys, ["send", "/dev/zero", "--out", out], 1, "not a regular file")
    _refused(capsys, ["send", "x" * 300, "--out", out], 1, "File name too long")
    assert not out.exists()


def test_a_picture_that_goes_bad_midway_leaves_whole_files(
    picture: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = images_module.load_image, []

    def load(path: Path, size: int | None = None) -> images_module.LoadedImage:
        calls.append(path)
        if len(calls) == 5:  # three while checking, then the second in the run itself
            raise images_module.ImageError(f"{path} is damaged or truncated")
        return real(path, size)

    monkeypatch.setattr(images_module, "load_image", load)
    assert _send(picture, picture, picture, "--size", 16, "--out", out) == 1
    assert capsys.readouterr().err == f"semcom: {picture} is damaged or truncated\n"
    assert _names(out) == ["a.comparison.png", "a.received.png"]
    assert all(Image.open(path).load() for path in out.iterdir())


def test_unwritable_output(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("kept")
    for place in (tmp_path / "file", tmp_path / "file" / "x", "/dev/null/x", "/proc/semcom", "/dev/full"):
        _refused(capsys, ["send", picture, "--out", place], 1, "cannot write to folder")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_disk_that_fills_up(
    picture: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    _refused(capsys, ["send", picture, "--size", 16, "--out", out], 1, "No space left on device", "cannot write")
    assert _names(out) == []


def test_missing_weights_say_which_command_gets_them(
    picture: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    for name in ("sd-vae", "taesd", "some/hubid"):
        expected = f"run `semcom weights pull {name}`"
        _refused(capsys, ["send", picture, "--vae", name, "--out", out], 1, expected)


_CONFIG: dict[str, Any] = json.loads((local_folder("compact") / FILES[0]).read_text())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (b"{", "is no JSON file"),
        (b"\xff\xfe", "is no JSON file"),
        (b"[1]", "is no JSON object"),
        (b" " * (1 << 21), "is larger than"),
        (b"{}", "names the model class"),
        (json.dumps({**_CONFIG, "_class_name": "os.system"}).encode(), "names the model class 'os.system'"),
        (json.dumps({**_CONFIG, "coarse_width": 161}).encode(), "do not fit"),
        (json.dumps({**_CONFIG, "coarse_width": -5}).encode(), "do not fit"),
        (json.dumps({**_CONFIG, "coarse_width": 10**12}).encode(), "beyond"),
        (json.dumps({**_CONFIG, "coarse_width": "wide"}).encode(), "do not fit"),
        (json.dumps({**_CONFIG, "_class_name": "AutoencoderKL"}).encode(), "do not fit"),
    ],
)
def test_hostile_model_configurations(
    picture: Path,
    tmp_path: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    config: bytes,
    expected: str,
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(local_folder("compact"), folder)
    (folder / FILES[0]).write_bytes(config)
    _refused(capsys, ["send", picture, "--vae", folder, "--size", 16, "--out", out], 1, expected)
    assert _names(out) == []


@pytest.mark.parametrize("keep", [None, 0, 1000, -10])
def test_damaged_weights(
    picture: Path, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str], keep: int | None
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(local_folder("compact"), folder)
    weights = folder / FILES[1]
    content = weights.read_bytes()
    weights.unlink()
    if keep is not None:
        weights.write_bytes(content[:keep])
    expected = "is missing" if keep is None else "damaged"
    _refused(capsys, ["send", picture, "--vae", folder, "--size", 16, "--out", out], 1, expected)


def test_errors_nobody_thought_of_are_one_line_too(
    picture: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: BaseException) -> None:
        def raise_it(*_: object) -> None:
            raise error

        monkeypatch.setattr("semcom_app.pipeline.send_image", raise_it)

    arguments = ["send", str(picture), "--size", "16", "--out", str(out)]
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 TB")):
        fail(error)
        _refused(capsys, [*arguments], 1, "out of memory; send a smaller picture")
    fail(KeyError("x\ny"))
    assert run(arguments) == 1
    captured = capsys.readouterr()
    assert "unforeseen KeyError" in captured.err
    assert captured.err.count("\n") == 1
    monkeypatch.setenv("SEMCOM_TRACEBACK", "1")
    with pytest.raises(KeyError):
        run(arguments)
    monkeypatch.delenv("SEMCOM_TRACEBACK")
    fail(KeyboardInterrupt())
    assert run(arguments) == 130
    assert capsys.readouterr().err == "semcom: interrupted\n"


# --- as a process -----------------------------------------------------------------------------------

_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": ""}
_COMMAND = [sys.executable, "-m", "semcom_app.cli"]


def test_the_installed_script() -> None:
    script = Path(sys.executable).with_name("semcom")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, env=_ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("semcom ")


def test_help_and_wrong_usage_need_no_torch(picture: Path) -> None:
    wrong = ["--snr nan", "--bits 0", "--vae nonsense", "--device x", "--iterations 0", "--link x", "--size 7"]
    program = (
        "import sys\n"
        "from semcom_app.cli import run\n"
        f"for command in {COMMANDS!r}:\n"
        "    assert run([*command, '--help']) == 0\n"
        f"for options in {wrong!r}:\n"
        f"    assert run(['send', {str(picture)!r}, *options.split()]) == 2\n"
        "heavy = {'torch', 'diffusers', 'matplotlib', 'torchmetrics'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=_ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == len(wrong)


def test_stdout_and_stderr_of_a_whole_process_are_clean(picture: Path, out: Path) -> None:
    command = [*_COMMAND, "send", picture, "--size", "16", "--json", "--out", out]
    # A terminal that knows no more than ASCII must not spoil the JSON.
    done = subprocess.run(command, capture_output=True, env={**_ENVIRONMENT, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (out / "result.json").read_bytes()


def test_a_reader_that_goes_away_and_a_full_output() -> None:
    for script, expected in (
        ('"$@" weights list | true; echo "${PIPESTATUS[0]}"', ""),
        ('"$@" weights list > /dev/full; echo $?', "No space left on device"),
    ):
        done = subprocess.run(
            ["bash", "-c", script, "bash", *_COMMAND], capture_output=True, text=True, env=_ENVIRONMENT
        )
        assert done.stdout.strip() in {"0", "1"}
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) <= 1


@pytest.mark.slow
def test_interrupt_is_one_line_and_leaves_no_partial_file(picture: Path, out: Path) -> None:
    for k in range(30):
        shutil.copy(picture, picture.with_name(f"b{k}.png"))
    process = subprocess.Popen(
        [*_COMMAND, "send", picture.parent, "--size", "128", "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_ENVIRONMENT,
        # A shell's background jobs are started with Ctrl-C ignored, and so would be their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 240
        while not (out / "a.received.png").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "semcom: interrupted"
    assert "Traceback" not in errors
    assert not [name for name in _names(out) if "partial" in name or "probe" in name]


def test_progress_is_quiet_for_one_step_and_plain_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    for total, quiet in ((1, False), (3, True)):
        with progress("sending", total, quiet) as advance:
            for _ in range(total):
                advance("a.png")
    assert capsys.readouterr().err == ""
    with progress("sending", 2) as advance:
        advance("a\n.png")
        advance("\x1b[31m.png")
    assert capsys.readouterr().err == "sending: 2/2 \ufffd[31m.png\n"

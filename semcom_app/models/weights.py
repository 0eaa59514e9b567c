"""Where the weights of each named model come from: shipped with the package, a hub, or a local folder."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from semcom_phy.errors import ConfigurationError, SemcomError
from semcom_phy.registry import Registry, nearest

_HUB_PART = r"[A-Za-z0-9](?:(?:[A-Za-z0-9_]|[.-](?![.-])){0,94}[A-Za-z0-9_])?"
_HUB_ID = re.compile(f"(?=.{{1,96}}$){_HUB_PART}/{_HUB_PART}")


class WeightsError(SemcomError):
    """Weights are missing, damaged or of an unknown kind."""


@dataclass(frozen=True)
class WeightsSource:
    """One named set of weights.

    purpose: what it is for. licence: of the weights. hub_id: repository on the model hub, None for
    weights inside this package. subfolder: folder in the repository. sha256: of the weights file
    (shipped weights only; a hub's files are checked by the hub's client).
    """

    name: str
    purpose: str
    licence: str
    hub_id: str | None = None
    subfolder: str | None = None
    package_folder: str | None = None
    sha256: str | None = None

    def describe(self) -> dict[str, str | None]:
        """Fields as a dictionary, for `semcom weights list --json`."""
        return asdict(self)


WEIGHTS: Registry[WeightsSource] = Registry("weights")


def _enter(source: WeightsSource) -> None:
    WEIGHTS.register(source.name)(source)


_enter(
    WeightsSource(
        "compact",
        "embedded autoencoder, 4 latent channels at 1/8 resolution",
        "GPL-3.0-or-later",
        package_folder="compact",
    )
)
_enter(
    WeightsSource(
        "sd-vae",
        "Stable Diffusion v1.5 autoencoder (AutoencoderKL), the one of the VCSC paper",
        "CreativeML Open RAIL-M",
        hub_id="stable-diffusion-v1-5/stable-diffusion-v1-5",
        subfolder="vae",
    )
)
_enter(
    WeightsSource(
        "taesd",
        "tiny autoencoder for the Stable Diffusion latent (AutoencoderTiny)",
        "MIT",
        hub_id="madebyollin/taesd",
    )
)

FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def package_folder(source: WeightsSource) -> Path:
    """Folder inside the installed package that holds shipped weights."""
    return Path(str(resources.files("semcom_app.models"))) / "weights" / str(source.package_folder)


def _source(spec: str) -> WeightsSource:
    if spec in WEIGHTS:
        return WEIGHTS[spec]
    if _HUB_ID.fullmatch(spec):
        return WeightsSource(spec, "autoencoder from the hub", "see its model card", hub_id=spec)
    known = WEIGHTS.names()
    raise ConfigurationError(
        f"no weights named {spec!r} and no such folder.{nearest(spec, known)} Known: {', '.join(known)};"
        " or give a folder or a hub id owner/name"
    )


def local_folder(spec: str) -> Path:
    """Folder with config.json and safetensors weights for a name of `WEIGHTS`, a hub id or a path.

    Looks only at what is on this machine (package, given folder, the hub client's cache). Raises
    WeightsError that says which command or path provides what is missing.
    """
    if spec not in WEIGHTS and spec and Path(spec).is_dir():
        return _checked(_with_subfolder(Path(spec)), spec)
    source = _source(spec)
    if source.package_folder is not None:
        return _checked(package_folder(source), spec)
    return _cached(source)


def _with_subfolder(folder: Path) -> Path:
    inside = folder / "vae"
    return inside if not (folder / FILES[0]).exists() and (inside / FILES[0]).exists() else folder


def _checked(folder: Path, spec: str) -> Path:
    for name in FILES:
        if not (folder / name).is_file():
            raise WeightsError(f"weights {spec!r}: {folder / name} is missing; give a folder saved by save_pretrained")
    return folder


def _cached(source: WeightsSource) -> Path:
    from huggingface_hub import try_to_load_from_cache

    hub_id = str(source.hub_id)
    for subfolder in (source.subfolder,) if source.subfolder else (None, "vae"):
        prefix = f"{subfolder}/" if subfolder else ""
        found = [try_to_load_from_cache(hub_id, prefix + name) for name in FILES]
        if all(isinstance(f, str) for f in found):
            return Path(str(found[0])).parent
    raise WeightsError(
        f"weights {source.name!r} are not on this machine: run `semcom weights pull {source.name}`,"
        f" or give the folder of a copy of {hub_id} with --vae FOLDER"
    )


def pull(name: str) -> Path:
    """Download weights from the hub into its client's cache; returns their folder.

    Raises WeightsError when the hub cannot be reached or does not have them.
    """
    from huggingface_hub import snapshot_download

    source = _source(name)
    if source.package_folder is not None:
        return _checked(package_folder(source), name)
    folders = (f"{source.subfolder}/",) if source.subfolder else ("", "vae/")
    try:
        folder = snapshot_download(
            str(source.hub_id), allow_patterns=[prefix + file for prefix in folders for file in FILES]
        )
    except Exception as error:  # the client raises errors of several libraries; all mean the same here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"cannot download {source.hub_id}: {reason}") from None
    inside = Path(folder) / source.subfolder if source.subfolder else _with_subfolder(Path(folder))
    return _checked(inside, name)

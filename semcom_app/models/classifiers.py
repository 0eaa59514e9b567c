"""One face for every image classifier and device encoder: pictures in, class scores out.

A classifier is a folder in the layout of timm's models on the hub: `config.json` with `architecture`, `num_classes`,
`label_names` and `pretrained_cfg` (input size, mean, standard deviation, crop), beside the weights as safetensors or as
a torch file that `weights_only=True` reads. The architecture is a name of timm, or `semcom_vit` with the fields of
`VitConfig` as `model_args`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semcom_app.datasets.base import fit_picture
from semcom_app.images import write_bytes
from semcom_app.models.torchvision_ops import import_timm
from semcom_app.models.vit import VitConfig, build_vit
from semcom_app.models.weights import WEIGHTS, WeightsError, local_folder, packaged_file
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import nearest

OWN_ARCHITECTURE = "semcom_vit"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
MAX_CONFIG_BYTES = 1 << 20
MAX_CLASSES = 1 << 16
IMAGENET_CLASSES = 1000
_BATCH = 128
#: Four pictures of 224×224: what lies between the layers of more does not fit into a processor's caches.
_CPU_BATCH_SAMPLES = 4 * 3 * 224**2


@dataclass(frozen=True)
class InputTransform:
    """How pictures become the input of a model.

    side: of the square input, pixels. mean, std: per colour, of values in 0…1. crop: share of the short side kept.
    """

    side: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    crop: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.side <= 2048:
            raise ConfigurationError(f"input side must be from 1 to 2048 pixels, not {self.side}")
        if not (all(math.isfinite(m) for m in self.mean) and all(math.isfinite(s) and s > 0 for s in self.std)):
            raise ConfigurationError("mean and std of a model's input must be finite, std above 0")
        if not 0.1 <= self.crop <= 1.0:
            raise ConfigurationError(f"crop must be from 0.1 to 1, not {self.crop}")

    def fit(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Picture uint8 (H, W, 3) → uint8 (side, side, 3): what is sent over the link."""
        return fit_picture(pixels, self.side, self.crop)

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 or float (N, side, side, 3) in 0…255 → float32 (N, 3, side, side) of zero mean and unit variance."""
        mean = torch.tensor(self.mean, device=pixels.device) * 255.0
        scale = 1.0 / (torch.tensor(self.std, device=pixels.device) * 255.0)
        return ((pixels.float() - mean) * scale).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class ImageClassifier:
    """A loaded model: `name` as asked for, the torch module, its input and the names of its classes.

    fingerprint: first 32 bits of the SHA-256 of the weights file.
    """

    name: str
    model: Any
    device: torch.device
    transform: InputTransform
    classes: tuple[str, ...]
    fingerprint: int

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.model.parameters())

    @torch.inference_mode()
    def logits(self, pictures: NDArray[Any], batch: int | None = None) -> NDArray[np.float32]:
        """Pictures uint8 or float (N, side, side, 3) in 0…255 → class scores float32 (N, classes).

        batch: pictures at once; None: as many as suit the device.
        Raises ConfigurationError for pictures of another size: fit them with `transform.fit` first.
        """
        side = self.transform.side
        if pictures.ndim != 4 or pictures.shape[1:] != (side, side, 3):
            raise ConfigurationError(f"{self.name} takes pictures (N, {side}, {side}, 3), not {pictures.shape}")
        if batch is None:
            batch = _BATCH if self.device.type != "cpu" else max(1, _CPU_BATCH_SAMPLES // (3 * side**2))
        scores = [np.empty((0, len(self.classes)), np.float32)]
        for start in range(0, len(pictures), batch):
            x = torch.from_numpy(np.ascontiguousarray(pictures[start : start + batch])).to(self.device)
            scores.append(self.model(self.transform.normalise(x)).float().cpu().numpy())
        return np.concatenate(scores)

    def log_probabilities(self, pictures: NDArray[Any], batch: int | None = None) -> NDArray[np.float64]:
        """Log-softmax of `logits`, float64 (N, classes)."""
        scores = self.logits(pictures, batch).astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        result: NDArray[np.float64] = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return result


def accuracy(classifier: ImageClassifier, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Share of pictures whose first class is the right one."""
    return float(np.mean(classifier.logits(pictures).argmax(axis=1) == labels))


def save_classifier(
    folder: Path,
    model: nn.Module,
    architecture: str,
    model_args: Mapping[str, Any],
    transform: InputTransform,
    classes: Sequence[str],
) -> None:
    """Write config.json and the weights in half precision (safetensors)."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    config = {
        "architecture": architecture,
        "num_classes": len(classes),
        "model_args": dict(model_args),
        "label_names": list(classes),
        "pretrained_cfg": {
            "input_size": [3, transform.side, transform.side],
            "mean": list(transform.mean),
            "std": list(transform.std),
            "crop_pct": transform.crop,
            "interpolation": "bicubic",
        },
    }
    write_bytes(folder / WEIGHTS_FILE, save(tensors))
    write_bytes(folder / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())


def own_vit_args(config: VitConfig) -> dict[str, Any]:
    """`model_args` of `semcom_vit` for `save_classifier`."""
    return {**asdict(config), "stem_widths": list(config.stem_widths)}


@dataclass(frozen=True)
class Description:
    """What config.json says of a classifier."""

    architecture: str
    model_args: dict[str, Any]
    transform: InputTransform
    classes: tuple[str, ...]


def load_classifier(spec: str, device: str = "auto", dynamic: bool = False) -> ImageClassifier:
    """Load a classifier or device encoder, ready for inference.

    spec: a name of `WEIGHTS` of the kind "classifier", a folder or hub id in timm's layout, or `ARCHITECTURE=FILE` for
    a timm architecture and a file of its weights. dynamic: let a vision transformer take other input sizes than its
    own (its positions are then resampled). Nothing is downloaded here.

    Raises ConfigurationError for a spec that names nothing, WeightsError when weights are missing or damaged.
    """
    from semcom_app.models.devices import select_device

    target = select_device(device)
    description, weights = locate(spec)
    model = build_model(description, dynamic=dynamic)
    load_weights(model, read_tensors(weights), weights)
    return ImageClassifier(
        name=spec,
        model=model.to(target).eval().requires_grad_(False),
        device=target,
        transform=description.transform,
        classes=description.classes,
        fingerprint=_fingerprint(weights),
    )


def locate(spec: str) -> tuple[Description, Path]:
    """What a classifier is and the file of its weights, for a spec as `load_classifier` takes it."""
    architecture, equals, file = spec.partition("=")
    if equals:
        return _described_by_timm(architecture, Path(file)), Path(file)
    if spec in WEIGHTS and WEIGHTS[spec].python_package is not None:
        return _packaged(spec)
    folder = local_folder(spec)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise WeightsError(f"{folder} holds no {WEIGHTS_FILE}: {spec!r} is no classifier")
    return _read_description(folder / CONFIG_FILE), weights


def _fingerprint(path: Path) -> int:
    with path.open("rb") as file:
        return int.from_bytes(hashlib.file_digest(file, "sha256").digest()[:4], "big")


def _packaged(name: str) -> tuple[Description, Path]:
    """Classifiers that other Python packages ship."""
    if name != "efficientnet-lite0":
        raise WeightsError(f"{name!r} has no classes: it is no classifier")
    transform = InputTransform(224, crop=0.875)
    return Description("tf_efficientnet_lite0", {}, transform, _imagenet_names()), packaged_file(WEIGHTS[name])


def _numbered(count: int) -> tuple[str, ...]:
    """Names of classes that have none: ImageNet's where there are as many, else their numbers."""
    return _imagenet_names() if count == IMAGENET_CLASSES else tuple(str(i) for i in range(count))


@cache
def _imagenet_names() -> tuple[str, ...]:
    """The first word that ImageNet-1k has for each class; with its synset where two classes have the same."""
    import_timm()
    data = importlib.import_module("timm.data").ImageNetInfo()
    words = [data.index_to_description(i).partition(",")[0] for i in range(IMAGENET_CLASSES)]
    often = Counter(words)
    return tuple(word if often[word] == 1 else f"{word} {data.index_to_label_name(i)}" for i, word in enumerate(words))


def describe_timm_model(architecture: str, classes: Sequence[str]) -> Description:
    """A timm architecture with the input of its published weights. Raises ConfigurationError for an unknown name."""
    timm = import_timm()
    if not timm.is_model(architecture):
        raise ConfigurationError(f"timm has no model {architecture!r}.{nearest(architecture, timm.list_models())}")
    given = timm.get_pretrained_cfg(architecture)
    published = {} if given is None else given.to_dict()
    return Description(architecture, {}, _transform(published, Path(architecture)), tuple(classes))


def _described_by_timm(architecture: str, file: Path) -> Description:
    """A timm architecture whose weights are in `file`; the file tells how many classes there are."""
    timm = import_timm()
    description = describe_timm_model(architecture, ())
    head = timm.get_pretrained_cfg(architecture).classifier or "head"
    head = head if isinstance(head, str) else head[0]
    count = _classes_in(read_tensors(file), head, file)
    return replace(description, classes=_numbered(count))


def _classes_in(tensors: Mapping[str, Tensor], head: str, path: Path) -> int:
    bias = tensors.get(f"{head}.bias")
    if bias is None or bias.ndim != 1:
        raise WeightsError(f"{path} has no tensor {head}.bias: it holds no classifier of that architecture")
    return len(bias)


def _read_description(path: Path) -> Description:
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise WeightsError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        config = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        raise WeightsError(f"{path} is no JSON file ({error})") from None
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise WeightsError(f"{path} names no architecture: it describes no classifier")
    given, args = config.get("pretrained_cfg"), config.get("model_args", {})
    if not isinstance(given, dict) or not isinstance(args, dict):
        raise WeightsError(f"{path} has no pretrained_cfg, or model_args that are no object")
    count = config.get("num_classes", given.get("num_classes"))
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_CLASSES:
        raise WeightsError(f"{path}: num_classes must be from 1 to {MAX_CLASSES}, not {count!r}")
    names = config.get("label_names") or list(_numbered(count))
    if not isinstance(names, list) or len(names) != count:
        raise WeightsError(f"{path} does not name its {count} classes")
    return Description(config["architecture"], args, _transform(given, path), tuple(str(name) for name in names))


def _transform(given: Mapping[str, Any], path: Path) -> InputTransform:
    try:
        _, height, width = (int(length) for length in given.get("input_size", (3, 224, 224)))
        if height != width:
            raise ValueError(f"input of {height}×{width} pixels is not square")
        mean, std = (tuple(float(v) for v in given.get(key, (0.5,) * 3)) for key in ("mean", "std"))
        if len(mean) != 3 or len(std) != 3:
            raise ValueError("mean and std need three entries")
        return InputTransform(height, mean, std, float(given.get("crop_pct") or 1.0))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path} describes no input that is known here ({error})") from None


def build_model(description: Description, dynamic: bool = False, drop_path: float = 0.0) -> Any:
    """The described network with random weights.

    dynamic: as of `load_classifier`. drop_path: stochastic depth, for training. Raises WeightsError for a description
    that makes no network.
    """
    if description.architecture == OWN_ARCHITECTURE:
        shape = replace(own_vit_config(description.model_args), classes=len(description.classes))
        return build_vit(shape, drop_path, dynamic)
    timm = import_timm()
    if not timm.is_model(description.architecture):
        known = nearest(description.architecture, timm.list_models())
        raise WeightsError(f"timm has no architecture {description.architecture!r}.{known}")
    options: dict[str, Any] = (
        {"dynamic_img_size": True} if dynamic and _is_vision_transformer(description.architecture) else {}
    )
    if drop_path:
        options["drop_path_rate"] = drop_path
    try:
        return timm.create_model(
            description.architecture, pretrained=False, num_classes=len(description.classes), **options
        )
    except Exception as error:  # whatever an architecture raises for arguments that it does not take
        raise WeightsError(f"{description.architecture} cannot be built ({_first_line(error)})") from None


def _is_vision_transformer(architecture: str) -> bool:
    import timm

    module: str = timm.model_entrypoint(architecture).__module__
    return module in {"timm.models.vision_transformer", "timm.models.deit"}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or of a torch file of nothing but tensors. Raises WeightsError for others."""
    if not path.is_file():
        raise WeightsError(f"no weights file {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, weights_only=True, map_location="cpu")
        tensors = state.get("model", state.get("state_dict", state))
        if not all(isinstance(value, Tensor) for value in tensors.values()):
            raise ValueError("it holds other things than tensors")
        return dict(tensors)
    except Exception as error:  # safetensors, torch and its unpickler each raise their own
        raise WeightsError(f"{path} is no weights file ({_first_line(error)})") from None


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path, new_head: bool = False) -> None:
    """Load by name; or, when no name fits, by order where every tensor has the shape and role of its counterpart.

    path: where the tensors are from, for messages. new_head: keep the model's own classifier head (other classes).
    Raises WeightsError when tensors are missing, left over, of another shape or not finite.
    """
    wanted = model.state_dict()
    if not set(tensors) & set(wanted):
        tensors = _renamed(tensors, wanted, path)
    if new_head:
        head = {name for name in wanted if name.partition(".")[0] in ("head", "classifier", "fc", "head_dist")}
        tensors = {**tensors, **{name: wanted[name] for name in head}}
    misfits = [name for name, value in wanted.items() if name not in tensors or tensors[name].shape != value.shape]
    if misfits or len(tensors) != len(wanted):
        first = f"first {misfits[0]}" if misfits else "there are tensors that it does not have"
        raise WeightsError(f"{path} does not fit its architecture ({len(misfits)} tensors differ, {first})")
    if not all(torch.isfinite(value).all() for value in tensors.values() if value.is_floating_point()):
        raise WeightsError(f"{path} holds values that are not finite")
    model.load_state_dict({name: value.to(wanted[name].dtype) for name, value in tensors.items()})


def _renamed(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Tensors of another implementation of the same network under the names of this one."""

    def kind(name: str, value: Tensor) -> tuple[str, torch.Size]:
        return name.rpartition(".")[2], value.shape

    if [kind(*item) for item in tensors.items()] != [kind(*item) for item in wanted.items()]:
        raise WeightsError(f"{path} does not fit its architecture (other tensors in another order)")
    return dict(zip(wanted, tensors.values(), strict=True))


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def own_vit_config(args: Mapping[str, Any]) -> VitConfig:
    """`VitConfig` of the `model_args` in a config.json. Raises WeightsError for fields that it does not have."""
    known = {field.name for field in fields(VitConfig)}
    if not set(args) <= known:
        raise WeightsError(f"a vision transformer has no {min(set(args) - known)!r}")
    try:
        widths = tuple(int(width) for width in args.get("stem_widths", ()))
        return VitConfig(**{**args, "stem_widths": widths, "mlp_ratio": float(args.get("mlp_ratio", 4.0))})
    except (TypeError, ConfigurationError) as error:
        raise WeightsError(f"the shape of the vision transformer is not valid ({_first_line(error)})") from None

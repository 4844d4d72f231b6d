"""Reads line images with onnxruntime, numpy and Pillow alone: the file contract (docs/embedding.md) in one page.

python read_line.py MODEL.onnx LINE.png …
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def load_line(path, height):
    """Grey pixels uint8 [height, W], 0 = black."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):  # 16 bits; where they hold 8, these
        deep = np.asarray(image)
        image = Image.fromarray((deep if deep.max() <= 255 else deep // 257).astype(np.uint8))
    elif image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    image = image.convert("L")  # ITU-R BT.601
    width = max(1, round(image.width * height / image.height))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))


def pad(line, multiple):
    """Columns of the paper's grey at the right, up to the next multiple and no further."""
    paper = int(np.percentile(line, 80))
    return np.pad(line, ((0, 0), (0, -line.shape[1] % multiple)), constant_values=paper)


def decode(logits, charset, blank):
    """The text of logits [T, V]: the best class of each frame, equal neighbours merged, blanks dropped."""
    best = logits.argmax(axis=1)
    kept = [int(c) for i, c in enumerate(best) if c != blank and (i == 0 or c != best[i - 1])]
    return "".join(charset[c] for c in kept)


def main(model, *paths):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    if about.get("format") != "htrjand/1":
        sys.exit(f"{model}: no line reader of format htrjand/1")
    charset, height, multiple = json.loads(about["charset"]), int(about["height"]), int(about["width_multiple"])
    for path in paths:
        try:
            line = pad(load_line(path, height), multiple)
        except OSError as error:
            sys.exit(f"{path}: {error}")
        if line.shape[1] > int(about["max_width"]):
            sys.exit(f"{path}: too wide for one line")
        (logits,) = session.run(["logits"], {"image": line[None, None]})  # uint8 [1, 1, 64, W] -> float32 [1, T, V]
        print(decode(logits[0], charset, int(about["blank"])), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 2 else sys.exit(__doc__)

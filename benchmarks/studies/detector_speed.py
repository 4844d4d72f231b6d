"""How long line detectors take for a page on one thread, a process each, in turn: ours, and RapidOCR's as it ships.

`python -m htrjand.benchmarks.studies.detector_speed PAGE MODEL… [rapidocr]` prints a table, and the size of the network
of each MODEL that is weights (.safetensors). In a round every detector has the page once; a figure is the median of the
rounds, in milliseconds of its process's processor time: what other processes do on the machine counts little then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import process_time as clock
from typing import Any

ROUNDS, WARM = 21, 2
LONGER = 1000  # pixels of the page's longer side
PEER = "rapidocr"


def main(arguments: list[str]) -> None:
    page, *models = arguments
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "htrjand.benchmarks.studies.detector_speed", "--worker", page]
    workers = {
        model: subprocess.Popen(
            [*command, model], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for model in models
    }
    about = {model: ask(worker) for model, worker in workers.items()}
    rounds = [{model: ask(worker) for model, worker in workers.items()} for _ in range(WARM + ROUNDS)][WARM:]
    for worker in workers.values():
        worker.terminate()
        worker.wait()
    print("| detector | MB | input | network | least | before | after | page | lines |\n|---|" + "---:|" * 8)
    for model in models:
        parts = [
            f"{median(times[model][name] for times in rounds):.0f}" for name in ("network", "before", "after", "page")
        ]
        parts.insert(1, f"{min(times[model]['network'] for times in rounds):.0f}")
        known = about[model]
        cells = [Path(model).name, f"{known['bytes'] / 1e6:.2f}", known["input"], *parts, str(known["lines"])]
        print(f"| {' | '.join(cells)} |")
    for model in models:
        if model.endswith(".safetensors"):
            print(f"\n{Path(model).name}: {work_of(Path(model), 1024, 768)}")


def work_of(weights: Path, height: int, width: int) -> str:
    """Parameters of a network, and multiply-adds of its convolutions for an image."""
    import torch

    from ...train.page.weights import load_detector

    network, work = load_detector(weights), [0]

    def count(module: torch.nn.Module, _: object, answer: torch.Tensor) -> None:
        assert isinstance(module, torch.nn.Conv2d)
        work[0] += answer.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 1, height, width, dtype=torch.uint8))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return f"{parameters:,} parameters, {work[0] / 1e9:.2f} G multiply-adds for {height} × {width}"


def ask(worker: subprocess.Popen[str]) -> dict[str, Any]:
    """What a worker says next: of itself first, then the times of a page."""
    assert worker.stdin and worker.stdout
    worker.stdin.write("\n")
    worker.stdin.flush()
    answer: dict[str, Any] = json.loads(worker.stdout.readline())
    return answer


def work(page: str, model: str) -> None:
    """Answers a line on stdin with one on stdout."""
    run = peer(page) if model == PEER else ours(page, model)
    for _ in sys.stdin:
        print(json.dumps(run(), allow_nan=False), flush=True)


def ours(page: str, model: str) -> Callable[[], dict[str, Any]]:
    """A detector of ours: its preparation, the network, the reading of its maps."""
    import numpy as np

    from ...runtime.info import size_of
    from ...runtime.page.detect import find_lines, prepare
    from ...train.page.session import open_detector

    if model.endswith(".safetensors"):
        import torch

        torch.set_num_threads(1)
        detector = open_detector(Path(model))
    else:
        from ...runtime.page.detector import LineDetector

        detector = LineDetector(model, 1)
    grey = np.asarray(loaded(page).convert("L"))
    image, _ = prepare(grey)
    lines = len(detector.detect(grey))
    told = [{"bytes": size_of(Path(model)), "input": f"{image.shape[2]} × {image.shape[3]}", "lines": lines}]

    def run() -> dict[str, Any]:
        if told:
            return told.pop()
        times = [clock()]
        image, scale = prepare(grey)
        times.append(clock())
        maps = detector.run(image)[0]
        times.append(clock())
        find_lines(maps, scale)
        times.append(clock())
        return dict(zip(("before", "network", "after"), milliseconds(times), strict=True)) | {
            "page": 1000 * (times[-1] - times[0])
        }

    return run


def peer(page: str) -> Callable[[], dict[str, Any]]:
    """RapidOCR's detector (PP-OCRv6-small on onnxruntime), with the scaling and the thresholds that it ships with."""
    import cv2
    import numpy as np
    import rapidocr

    cv2.setNumThreads(1)
    weights = Path(rapidocr.__file__).parent / "models" / "PP-OCRv6_det_small.onnx"
    engine: Any = rapidocr.RapidOCR(
        params={
            "Global.use_cls": False, "Global.use_rec": False, "Global.log_level": "critical",
            "Det.model_path": str(weights), "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )  # fmt: skip
    picture = np.asarray(loaded(page).convert("RGB"))[:, :, ::-1]
    engine(picture, use_det=True, use_cls=False, use_rec=False)  # loads the detector
    detector = engine.text_det
    network, inside, sizes = detector.session, [0.0, 0.0], [()]

    def timed(tensor: Any) -> Any:
        inside[0] = clock()
        answer = network(tensor)
        inside[1], sizes[0] = clock(), tensor.shape
        return answer

    detector.session = timed
    lines = len(detector(picture).boxes)
    told = [{"bytes": weights.stat().st_size, "input": "{2} × {3}".format(*sizes[0]), "lines": lines}]

    def run() -> dict[str, Any]:
        if told:
            return told.pop()
        times = [clock()]
        detector(picture)
        times += [*inside, clock()]
        return dict(zip(("before", "network", "after"), milliseconds(times), strict=True)) | {
            "page": 1000 * (times[-1] - times[0])
        }

    return run


def loaded(page: str) -> Any:
    """The page, its longer side `LONGER` pixels."""
    from PIL import Image

    image = Image.open(page)
    image.thumbnail((LONGER, LONGER))
    return image


def milliseconds(times: list[float]) -> list[float]:
    """The steps between times in seconds."""
    return [1000 * (b - a) for a, b in pairwise(times)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
    else:
        main(sys.argv[1:])

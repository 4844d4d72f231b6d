"""Why an int8 file does not read every line alike in onnxruntime-web and in onnxruntime: operator by operator.

    npm ci --ignore-scripts --prefix docs/examples/web
    python -m htrjand.benchmarks.studies.web_layers -i lines/

Three tables. Each operator of the optimised graph by itself, fed the same values in both: which of them give others.
Then the layers in their order, fed what each engine made of the layers before. Then how many texts change in *one*
engine when the weights of the first layer, which is in float, move by their last bit. Sums are exact in both, as on a
processor with VNNI; what else a processor without it changes, `web.py` tells.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from ...runtime import HtrjandError
from ...runtime.bundled import bundled_in
from ...runtime.image import Grey, pad_line
from ...runtime.recognizer import BUNDLED
from ...train.data.lines import data_dir, read_lines, spread
from .web import EXACT, EXAMPLE, KINDS, PATH, exact_reader, exact_session, read_here

Array = npt.NDArray[Any]
INT8 = ("QLinearConv", "QGemm")


def session_of(model: onnx.ModelProto, level: str = "ORT_DISABLE_ALL", out: Path | None = None) -> Any:
    """A session on one thread, with exact sums; the optimised graph goes to `out`."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.add_session_config_entry(EXACT, "1")
    if out is not None:
        options.optimized_model_filepath = str(out)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def optimised(path: Path) -> onnx.ModelProto:
    """The graph that onnxruntime runs, before it is fitted to the processor."""
    with tempfile.TemporaryDirectory() as folder:
        session_of(onnx.load(path), "ORT_ENABLE_EXTENDED", Path(folder) / "optimised.onnx")
        return onnx.load(Path(folder) / "optimised.onnx")


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The same graph with these tensors as its outputs."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return shown


def islands(model: onnx.ModelProto, image: Grey) -> onnx.ModelProto:
    """Each node of a graph by itself: its inputs are what the whole graph makes of an image [64, W], as constants."""
    names = [name for node in model.graph.node for name in node.output if name]
    found = session_of(with_outputs(model, names)).run(None, {"image": image[None, None]})
    values = dict(zip(names, found, strict=True))
    constants = [numpy_helper.from_array(np.asarray(value), f"given {name}") for name, value in values.items()]
    alone = onnx.ModelProto()
    alone.CopyFrom(with_outputs(model, [node.output[0] for node in model.graph.node]))
    alone.graph.initializer.extend(constants)
    for node in alone.graph.node:
        node.input[:] = [f"given {name}" if name in values else name for name in node.input]
    return alone


def in_both(model: onnx.ModelProto, images: Sequence[Grey]) -> list[list[tuple[Array, Array]]]:
    """Every output of a graph for images [64, W], from onnxruntime and from onnxruntime-web, by image."""
    session = session_of(model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(model, folder / "model.onnx")
        shapes = [{"shape": [1, 1, *image.shape]} for image in images]
        (folder / "inputs.json").write_text(json.dumps(shapes, allow_nan=False), encoding="utf-8")
        for number, image in enumerate(images):
            image.tofile(folder / f"{number}.u8")
        command = ["node", str(EXAMPLE / "tensors.mjs"), str(folder / "model.onnx"), name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HtrjandError(f"{EXAMPLE / 'tensors.mjs'}: {done.stderr.strip()}; npm ci --prefix {EXAMPLE}")
        return [
            [
                (here, np.fromfile(folder / f"{number}.{k}", here.dtype).reshape(here.shape))
                for k, here in enumerate(map(np.asarray, session.run(None, {"image": image[None, None]})))
            ]
            for number, image in enumerate(images)
        ]


def operators(model: onnx.ModelProto, image: Grey) -> str:
    """The first table: every kind of operator."""
    pairs = in_both(islands(model, image), [image])[0]
    kinds: dict[str, list[tuple[Array, Array]]] = {}
    for node, pair in zip(model.graph.node, pairs, strict=True):
        kinds.setdefault(node.op_type, []).append(pair)
    rows, same = [], []
    for kind, found in kinds.items():
        if all(np.array_equal(*pair) for pair in found):
            same.append(kind)
            continue
        other = [pair for pair in found if not np.array_equal(*pair)]
        most = max(float(np.abs(here - there).max() / np.abs(here).max()) for here, there in other)
        rows.append(f"| {kind} | {len(found)} | {share(found):.1f} | {most:.1e} |")
    exact = sum(len(kinds[kind]) for kind in INT8 if kind in same)
    head = "| operator | of it | values that differ, % | at most, of the greatest |\n|---|---:|---:|---:|"
    return "\n".join([head, *sorted(rows)]) + f"\n\nEqual in every value: {', '.join(sorted(same))}: {exact} in int8.\n"


def layers(model: onnx.ModelProto, images: Sequence[Grey]) -> str:
    """The second table: what goes into each int8 layer and comes out of it."""
    nodes = [node for node in model.graph.node if node.op_type in INT8]
    ends = [(node.input[0], node.output[0]) for node in nodes]
    names = list(dict.fromkeys(name for pair in ends for name in pair))
    found = in_both(with_outputs(model, [*names, "logits"]), images)
    by_name = {name: [line[k] for line in found] for k, name in enumerate([*names, "logits"])}
    rows = ["| layer | of its inputs, % | of its outputs, % |\n|---|---:|---:|"]
    for node, (before, after) in zip(nodes, ends, strict=True):
        module = node.name.partition("/")[0].replace(".conv.conv", "")
        rows.append(f"| {module} | {share(by_name[before]):.4f} | {share(by_name[after]):.4f} |")
    first = by_name[ends[0][0]]
    flipped, total = (sum(values) for values in zip(*((int((a != b).sum()), a.size) for a, b in first), strict=True))
    apart = np.concatenate([np.abs(here - there).ravel() for here, there in by_name["logits"]])
    rows.append(f"\nOf {total:,} values that go in first, {flipped} differ. The logits are {apart.mean():.3f} apart.\n")
    return "\n".join(rows)


def share(pairs: Sequence[tuple[Array, Array]]) -> float:
    """The values that differ, in percent."""
    return 100 * sum(int((a != b).sum()) for a, b in pairs) / sum(a.size for a, _ in pairs)


def moved(path: Path, out: Path) -> None:
    """The file with the weights of its first convolution, if that is in float, one step of a float higher."""
    model = onnx.load(path)
    [first] = [node for node in model.graph.node if node.op_type == "Conv"][:1]
    [weight] = [tensor for tensor in model.graph.initializer if tensor.name == first.input[1]]
    values = numpy_helper.to_array(weight)
    weight.CopyFrom(numpy_helper.from_array(np.nextafter(values, np.float32(np.inf)), weight.name))
    onnx.save(model, out)


def last_bit(path: Path, images: Sequence[Path]) -> str:
    """How many texts of one engine the last bit of the first layer's weights changes."""
    with tempfile.TemporaryDirectory() as folder:
        moved(path, Path(folder) / path.name)
        reader = exact_reader(path)
        before = read_here(reader, images)
        reader.session = exact_session(Path(folder) / path.name)
        after = read_here(reader, images)
    changed = {kind: sum(a != b for a, b in zip(before[kind], after[kind], strict=True)) for kind in KINDS}
    return f"Texts that the last bit of the first layer's weights changes, of {len(images)}: {changed}"


@click.command()
@click.option("-i", "--input", "files", multiple=True, type=PATH, help="Lines. Repeatable. Default: of HTRJAND_DATA.")
@click.option("--split", type=click.Choice(("train", "val", "test")), default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Lines, drawn at random.")
@click.option("--few", type=click.IntRange(1), default=10, show_default=True, help="Of them, for the second table.")
@click.option("-m", "--model", type=PATH, help="An ONNX file in int8. Default: the bundled one.")
def main(files: tuple[Path, ...], split: str, limit: int, few: int, model: Path | None) -> None:
    """Print where onnxruntime-web and onnxruntime differ."""
    path = model or bundled_in(BUNDLED, ".onnx")
    if path is None or shutil.which("node") is None:
        raise HtrjandError("no bundled ONNX file, or no node; name a file by -m, and install node")
    rows = spread(read_lines(files or (data_dir() / "lines",), split), limit)
    prepared = [pad_line(row.pixels()) for row in rows[:: max(1, len(rows) // few)]]
    graph = optimised(path)
    click.echo(operators(graph, prepared[0]))
    click.echo(layers(graph, prepared))
    with tempfile.TemporaryDirectory() as folder:
        images = [Path(folder) / f"{number:04}.png" for number in range(len(rows))]
        for image, row in zip(images, rows, strict=True):
            image.write_bytes(row.image)
        click.echo(last_bit(path, images))


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"web_layers: {problem}") from problem

"""TFLite: proven, self-describing, readable by others' tools, for lines of any width or of one."""

from __future__ import annotations

import dataclasses
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from htrjand.export.files import export_files
from htrjand.export.proof import Reference
from htrjand.export.tflite_metadata import SHOWN, describe_tflite
from htrjand.runtime import Recognizer
from htrjand.runtime.engines.litert import MODEL_BUFFERS, MODEL_METADATA, Table
from htrjand.runtime.errors import HtrjandError
from htrjand.runtime.image import pad_line
from htrjand.runtime.seal import PATTERN
from htrjand.train.checkpoint import load_network
from htrjand.train.data.lines import LineRow, read_lines
from htrjand.train.network.blocks import SqueezeExcite
from htrjand.train.reader import open_weights

MODEL_DESCRIPTION = 3


@pytest.fixture(scope="module")
def weights(tiny_run: Path) -> Path:
    return tiny_run / "run" / "weights.safetensors"


@pytest.fixture(scope="module")
def rows(tiny_run: Path) -> list[LineRow]:
    return list(read_lines(tiny_run / "lines.parquet", "val"))


@pytest.fixture(scope="module")
def file(weights: Path, rows: list[LineRow], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Proven: values at six widths, and the same text for every line."""
    out = tmp_path_factory.mktemp("export") / "tiny.tflite"
    (proof,) = export_files(weights, [out], reference=Reference(weights, rows))
    assert max(proof["largest difference of a logit"].values()) < 1e-3
    assert len(proof["largest difference of a logit"]) == 12
    return out


def test_the_file_says_what_it_is(file: Path, weights: Path) -> None:
    info, known = Recognizer(file).info, open_weights(weights).info
    assert info == known and info.precision == "fp32"
    assert len(PATTERN.findall(file.read_bytes())) == 1


def test_other_tools_show_what_it_is(file: Path) -> None:
    info = dataclasses.replace(
        Recognizer(file).info, languages=("en", "fr"), cer={"letters": 5.25}, licence="Apache-2.0"
    )
    model = Table(describe_tflite(file.read_bytes(), info), 0)
    assert len(list(model.tables(MODEL_METADATA))) == len(list(Table(file.read_bytes(), 0).tables(MODEL_METADATA)))
    assert re.match(rb"htrjand 0 \(fp32\) reads handwritten text lines\..*'htrjand'", model.vector(MODEL_DESCRIPTION))
    (entry,) = (entry for entry in model.tables(MODEL_METADATA) if entry.vector(0) == SHOWN.encode())
    shown = list(model.tables(MODEL_BUFFERS))[entry.number(1)].vector(0)
    assert shown[4:8] == b"M001"
    name, description, version, licence = (Table(shown, 0).vector(field) for field in (0, 1, 2, 5))
    assert (name, version, licence) == (b"htrjand", b"0", b"Apache-2.0")
    assert description == b"Languages: en, fr. CER of its float weights on test lines, %: letters 5.2."


def test_buffers_lie_inside_and_aligned(file: Path) -> None:
    """What older interpreters and SIMD count on."""
    for buffer in Table(file.read_bytes(), 0).tables(MODEL_BUFFERS):
        begin, count = buffer.items(0)
        assert begin % 16 == 0 or not count
        assert buffer.field(1) is None  # no offset to somewhere behind the tables


def test_ports_are_named_and_ready_for_a_line(file: Path) -> None:
    interpreter = Interpreter(str(file))
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["logits"]}}
    (image,) = interpreter.get_input_details()
    assert image["name"] == "image" and list(image["shape_signature"]) == [1, 1, 64, -1]
    assert list(image["shape"]) == [1, 1, 64, 1024]
    interpreter.allocate_tensors()
    assert list(interpreter.get_output_details()[0]["shape"]) == [1, 256, 5]


def test_ops_are_named_by_the_modules_they_come_from(file: Path, weights: Path) -> None:
    names = ";".join(tensor["name"] for tensor in Interpreter(str(file)).get_tensor_details())
    named = set(re.findall(r"(?:^|;)([^/;]+)/(?:Conv2D|MatMul)", names))
    network, _ = load_network(weights)
    modules = {name for name, module in network.named_modules() if type(module).__name__ in ("Conv2d", "Linear")}
    assert named == modules - {"shortcut"}


def test_one_width(file: Path, weights: Path, rows: list[LineRow], tmp_path: Path) -> None:
    out = tmp_path / "fixed.tflite"
    (proof,) = export_files(weights, [out], width=2048, reference=Reference(weights))
    assert {key.split()[1] for key in proof["largest difference of a logit"]} == {"2048"}
    assert out.stat().st_size < 1.05 * file.stat().st_size, "something of T² is in the file"
    reader = Recognizer(out, 1)
    assert (reader.info.width_multiple, reader.info.max_width) == (2048, 2048)
    padded = [pad_line(row.pixels(), 2048) for row in rows]
    known = [line.text for line in open_weights(weights).read_lines(padded)]
    assert [line.text for line in reader.read_lines([row.image for row in rows])] == known
    with pytest.raises(HtrjandError, match="4096 columns wide at 64 rows is too wide for this model .at most 2048"):
        reader.read_line(np.full((64, 2100), 255, np.uint8))


def test_half_precision_takes_half_the_room_and_reads_the_same(
    weights: Path, rows: list[LineRow], tmp_path: Path, file: Path
) -> None:
    out = tmp_path / "half.tflite"
    export_files(weights, [out], precision="fp16", reference=Reference(weights, rows), budget=0)
    assert Recognizer(out).info.precision == "fp16"
    assert buffers(out) < 0.55 * buffers(file)


def buffers(file: Path) -> int:
    """Bytes of what is no metadata."""
    model = Table(file.read_bytes(), 0)
    described = {entry.number(1) for entry in model.tables(MODEL_METADATA)}
    return sum(len(b.vector(0)) for i, b in enumerate(model.tables(MODEL_BUFFERS)) if i not in described)


def test_a_network_that_the_twin_does_not_follow_is_not_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqueezeExcite, "forward", lambda self, x, mask: x)
    with pytest.raises(HtrjandError, match=r"w.tflite: at width .* its logits differ"):
        export_files(weights, [tmp_path / "w.tflite"])
    assert not list(tmp_path.iterdir())


def test_nothing_is_said_and_nothing_needed_is_hidden(weights: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from htrjand.export.files import export_files\n"
        "export_files(Path(sys.argv[1]), [Path(sys.argv[2])])"
    )
    command = [sys.executable, "-c", code, str(weights), str(tmp_path / "quiet.tflite")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_tensorflow_the_error_says_how_to_get_it(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ImportError('not here')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom htrjand.cli import main\n"
        f"main(['export', {str(weights)!r}, '-o', {str(tmp_path / 'x.tflite')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "pip install 'htrjand[tensorflow]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_lengths_are_read_as_the_format_has_them() -> None:
    """A table with one field, made by hand: a vector of three bytes."""
    vector = struct.pack("<I", 3) + b"abc\0"
    vtable = struct.pack("<HHH", 6, 8, 4) + b"\0\0"
    table = struct.pack("<iI", len(vtable), 4)
    content = struct.pack("<I", 4 + len(vtable)) + vtable + table + vector
    found = Table(content, 0)
    assert found.vector(0) == b"abc" and found.vector(1) == b"" and found.number(1) == 0

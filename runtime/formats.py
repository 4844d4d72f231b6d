"""What a model file format is, in one table.

A format is a row here and up to three modules: an engine that opens its files (`htrjand.runtime.engines`), an exporter
that writes float files (`htrjand.export`), and a quantizer that writes int8 files (`htrjand.compress.quantize`).
Nothing else knows a format by its name. A module is imported when it is needed: a device has the engines alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .errors import UsageError

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Format:
    """A model file format. The modules are named in full, and offer these functions:

    - `session`: `open_session(path, threads) -> Session`, see `engines`.
    - `exporter`: `export(network, info, out, width)` writes and seals a float file; `redescribe(model, info, out)`
      writes and seals a file, int8 too, with another description. Where `converted_from` is set also
      `convert(model, out)`, which writes a file of that format in this one.
    - `quantizer`: `quantize(model, images, out, recipe) -> list[str]` writes and seals an int8 file from the float file
      of this format, and returns the modules that stay in float. It may have `quantize_within(model, lines, rows, out,
      recipe, budget)` besides, which leaves more and more in float until the file reads well enough.
    """

    suffix: str  # of the file, by which its format is known
    engine: str  # the runtime that reads it, as reports call it
    libraries: tuple[str, ...]  # modules of which one has to be installed to read it
    session: str
    exporter: str
    quantizer: str | None = None  # None: int8 files are converted too
    converted_from: str | None = None  # suffix of the format that int8 files are converted from
    beside: tuple[str, ...] = ()  # suffixes of further files that belong to one: they bear its name
    precisions: tuple[str, ...] = PRECISIONS
    fixed_width: bool = False  # whether a file may be made for lines of one width alone

    @property
    def name(self) -> str:
        """The suffix without its dot, as recipes name the format."""
        return self.suffix.removeprefix(".")

    def is_installed(self) -> bool:
        """Whether a library that reads such files can be imported."""
        return any(find_spec(library) is not None for library in self.libraries)


OTHERS = {  # files of ours that are no model files, and what takes them
    ".safetensors": "weights become one by `htrjand export`",
    ".lm": "an n-gram is given by --lm, and shown by `htrjand lm show`",
    ".nlm": "a neural language model is given by --neural-lm, and shown by `htrjand lm show`",
}
FORMATS: dict[str, Format] = {}  # by suffix; where a choice is free the first that is installed is taken


def add(form: Format) -> Format:
    """Makes a format known; one of the same suffix is replaced."""
    FORMATS[form.suffix] = form
    return form


add(
    Format(
        suffix=".onnx",
        engine="onnxruntime",
        libraries=("onnxruntime",),
        session="htrjand.runtime.engines.onnx",
        exporter="htrjand.export.onnx",
        quantizer="htrjand.compress.quantize.onnx",
    )
)
add(
    Format(
        suffix=".ort",
        engine="onnxruntime",
        libraries=("onnxruntime",),
        session="htrjand.runtime.engines.onnx",
        exporter="htrjand.export.ort",
        converted_from=".onnx",
        precisions=("fp32", "int8"),  # onnxruntime folds fp16 weights into floats as it writes the file
    )
)
add(
    Format(
        suffix=".tflite",
        engine="litert",
        libraries=("ai_edge_litert", "tflite_runtime"),
        session="htrjand.runtime.engines.litert",
        exporter="htrjand.export.tflite",
        quantizer="htrjand.compress.quantize.tflite",
        fixed_width=True,
    )
)
add(
    Format(
        suffix=".xml",
        engine="openvino",
        libraries=("openvino",),
        session="htrjand.runtime.engines.openvino",
        exporter="htrjand.export.openvino",
        quantizer="htrjand.compress.quantize.openvino",
        beside=(".bin",),
    )
)


def format_of(path: str | Path) -> Format:
    """The format of a file, by its suffix in small letters; a UsageError lists the known ones."""
    path = Path(path)
    form = FORMATS.get(path.suffix)
    if form is None:
        told = f"; {OTHERS[path.suffix]}" if path.suffix in OTHERS else ""
        raise UsageError(
            f"{path}: unknown model format {path.suffix!r}; give a name that ends in {', '.join(FORMATS)}{told}"
        )
    return form


def formats_of(engine: str) -> list[Format]:
    """The formats called so, or read by this engine ("tflite", "litert"); a UsageError lists the names there are."""
    found = [form for form in FORMATS.values() if engine in (form.name, form.engine)]
    if not found:
        known = dict.fromkeys(name for form in FORMATS.values() for name in (form.name, form.engine))
        raise UsageError(f"{engine!r}: no such engine; give one of {', '.join(known)}")
    return found


def parts_of(path: Path) -> list[Path]:
    """The files that a model consists of: itself, and those beside it (the weights of an OpenVINO `.xml`)."""
    form = FORMATS.get(path.suffix)
    return [path, *(path.with_suffix(suffix) for suffix in (form.beside if form else ()))]

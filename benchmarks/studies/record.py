"""Writes tables of README and docs out of the results of record: `make results`.

A table stands between two comments of Markdown, of which the first names it:

    <!-- results: NAME, FILE -->
    <!-- end of results -->

NAME is one of `TABLES`, FILE a result in `benchmarks/results/`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...runtime.errors import HtrjandError
from ...runtime.files import atomic_path
from ..document import load_result
from ..report.layout import markdown_rows
from ..report.tables import table
from .language import figures_table
from .models import table as models_table
from .page_tables import cost_table, found_table, lost_table, text_table, whole_table
from .rescoring import table as rescoring_table
from .trained_peers import table as trained_table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
MARKED = re.compile(r"(<!-- results: ([\w-]+), ([\w.-]+) -->\n)(.*?)(<!-- end of results -->)", re.DOTALL)
FORMATS = {".onnx": "ONNX", ".xml": "OpenVINO", ".tflite": "TFLite"}
LEFT_OUT = ("precision", "decoder", "CER all", "p90", "p50 ÷ greedy's", "libraries", "lines a second", "J a line")
# Of the engines of a result: what they are called, and where their version stands.
ENGINES = {
    "onnxruntime": ("onnxruntime", "onnxruntime"),
    "openvino": ("OpenVINO", "openvino"),
    "litert": ("LiteRT", "ai-edge-litert"),
}


def peers_table(path: Path) -> str:
    """The bundled files beside peers: errors by data set, time, memory, size; what is ours alone is left out."""
    result = load_result(path)
    rows = [row for row in result["engines"] if "error" not in row and row["unit"] == "line"]
    whole = table(result, "line", rows)
    kept = [number for number, title in enumerate(whole.header) if not title.startswith(LEFT_OUT)]
    small = whole.of(kept)
    for cells, row in zip(small.rows, rows, strict=True):
        cells[0] = title_of(row)
    header = ["size, MB" if title.startswith("size") else title for title in small.header]
    return "\n".join(markdown_rows(type(whole)(header, small.rows, 1)))


def title_of(row: dict[str, Any]) -> str:
    """What a row is called in the README."""
    if row["name"] == "tesseract":
        return f"Tesseract {row['version']}"
    if row["name"] == "rapidocr":
        library, model = row["version"].split(", ")
        return f"{model} (RapidOCR {library})"
    form = FORMATS[Path(row["name"]).suffix]
    return f"**bundled {form}**, with its n-gram" if "lm" in row else f"bundled {form}, greedy"


def formats_table(path: Path) -> str:
    """fp32 and int8 of each format, by turns: milliseconds, how many times as fast, and the size of int8."""
    result = load_result(path)
    rows = {(Path(row["name"]).suffix, row["precision"]): row for row in result["engines"]}
    lines = ["| format | engine | fp32, ms | int8, ms | times as fast | int8, MB |", "|---|---|---:|---:|---:|---:|"]
    for (suffix, precision), row in rows.items():
        base = rows.get((suffix, "fp32"))
        if precision != "int8" or base is None:
            continue
        name, library = ENGINES[row["engine"]]
        version = ".".join(result["versions"][library].split(".")[:2])
        old, new = (one["latency"][0]["p50_ms"] for one in (base, row))
        figures = f"{old:.1f} | {new:.1f} | {old / new:.2f} | {row['bytes'] / 1e6:.2f}"
        lines.append(f"| `{suffix}` | {name} {version} | {figures} |")
    return "\n".join(lines)


def of_study(made: Callable[[dict[str, Any]], str]) -> Callable[[Path], str]:
    """A table of a study's document, without what stands below it."""

    def rows(path: Path) -> str:
        text = made(json.loads(path.read_text(encoding="utf-8")))
        return "\n".join(line for line in text.splitlines() if line.startswith("|"))

    return rows


TABLES: dict[str, Callable[[Path], str]] = {
    "peers": peers_table,
    "formats": formats_table,
    "trained-peers": of_study(trained_table),
    "language": of_study(lambda document: figures_table(document["datasets"])),
    "rescoring": lambda path: rescoring_table(json.loads(path.read_text(encoding="utf-8"))),
    "models": of_study(models_table),
    "pages": of_study(lambda document: whole_table(*document["engines"][:2])),
    "pages-lost": of_study(lambda document: lost_table(document["engines"][1])),
    "pages-found": of_study(lambda document: found_table(document["engines"])),
    "pages-text": of_study(lambda document: text_table(document["engines"])),
    "pages-cost": of_study(lambda document: cost_table(document["engines"])),
}


def filled(text: str) -> str:
    """A page with every table as its result has it; an HtrjandError names a table or a result that there is not."""

    def made(found: re.Match[str]) -> str:
        head, name, file, _, end = found.groups()
        if name not in TABLES or not (RESULTS / file).is_file():
            raise HtrjandError(f"results: {name}, {file}: no such table or result; see benchmarks/studies/record.py")
        return f"{head}{TABLES[name](RESULTS / file)}\n{end}"

    return MARKED.sub(made, text)


def pages() -> list[Path]:
    """The pages that may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main() -> None:
    for path in pages():
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            with atomic_path(path) as part:
                part.write_text(new, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        print(f"record: {problem}", file=sys.stderr)
        sys.exit(problem.exit_status)

"""`htrjand export`, `htrjand prove`, `htrjand lm fit` and `htrjand correct export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..options import FILE, MAX_CER_INCREASE, MAX_LINES_LOST, PATH, PROOF_SPLIT, LineChoice, line_options, log

if TYPE_CHECKING:
    from .proof import AnyReference


@click.command("export")
@click.argument("weights", type=PATH)
@line_options
@click.option(
    "-o", "--output", "outputs", multiple=True, type=FILE, required=True,
    help="A file: .onnx, .ort, .xml (OpenVINO) or .tflite. Repeatable.",
)  # fmt: skip
@click.option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True)
@click.option(
    "--width",
    type=click.IntRange(1),
    help="The only width the file takes (.tflite): lines are padded to it, and read worse. Default: any.",
)
@PROOF_SPLIT
@MAX_CER_INCREASE
@MAX_LINES_LOST
def export(
    weights: Path, lines: LineChoice, outputs: tuple[Path, ...], precision: str, width: int | None, split: str,
    budget: float, page_budget: float,
) -> None:  # fmt: skip
    """Write weights as ONNX, OpenVINO or TFLite, proven equal.

    WEIGHTS is a .safetensors file of a line reader or of a line detector; a proof stands beside each file. With -i the
    lines that they read are compared too, or the lines that they find on pages; without -i only what they compute of
    random images is. An .onnx file can be given for an .ort.
    """
    from ..runtime.errors import HtrjandError, UsageError
    from ..runtime.formats import FORMATS
    from .files import convert_file, export_files
    from .proof import summary_line

    reference = reference_for(weights, lines, split, required=False)
    if lines.files and not reference.rows:
        raise HtrjandError(
            f"{weights}: no {split} {reference.of.removesuffix('s')} to prove on; check -i, --dataset, --exclude and "
            "--split"
        )
    budget = page_budget if reference.of == "pages" else budget
    if len(set(outputs)) < len(outputs):
        raise UsageError(f"{weights}: one -o is given twice; name different files")
    if weights.suffix in FORMATS:
        if width is not None or precision != "fp32":
            raise UsageError(f"{weights}: is converted as it is; --precision and --width are for weights")
        proofs = [convert_file(weights, output, reference, budget) for output in outputs]
    else:
        proofs = export_files(weights, list(outputs), precision, width, reference, budget)
    for output, proof in zip(outputs, proofs, strict=True):
        click.echo(f"{output}: {proof['bytes']:,} bytes, {summary_line(proof)}")


@click.command("prove")
@click.argument("model", type=PATH)
@click.option("--against", type=PATH, required=True, help="Weights, or a float file of them.")
@line_options
@PROOF_SPLIT
@MAX_CER_INCREASE
@MAX_LINES_LOST
def prove(model: Path, against: Path, lines: LineChoice, split: str, budget: float, page_budget: float) -> None:
    """Compare a model file with the weights it was made from: what it reads of lines, or the lines it finds on pages.

    Writes the proof beside MODEL.
    """
    from .proof import made_by, summary_line, write_proof
    from .proof import prove as prove_file

    reference = reference_for(against, lines, split)
    budget = page_budget if reference.of == "pages" else budget
    proof = made_by(model) | prove_file(model, model, reference, budget)
    write_proof(model, proof)
    click.echo(f"{model}: {summary_line(proof)}")


def reference_for(path: Path, lines: LineChoice, split: str, required: bool = True) -> AnyReference:
    """What files are held against: weights or a float file, with the lines or pages that `lines` chooses; with none
    where no file of them is named and none is required."""
    from .kinds import is_detector
    from .page_proof import PageReference
    from .proof import Reference

    some = required or bool(lines.files)
    if is_detector(path):
        return PageReference(path, list(lines.pages(split)) if some else [], split)
    return Reference(path, list(lines.rows(split)) if some else [])


@click.command("fit")
@click.argument("models", nargs=-1, required=True, type=PATH)
@line_options
@click.option("--lm", "ngram", type=PATH, help="The n-gram to fit to. Default: the bundled one.")
def fit(models: tuple[Path, ...], lines: LineChoice, ngram: Path | None) -> None:
    """Fit models to a language model, on validation lines.

    Found are the weights of the language and of a character, and a temperature for each decoder that makes confidences
    chances. They are written into MODELS: model files, or .safetensors (then all files exported from them have them).
    """
    from ..runtime.decode.ngram import Ngram
    from ..runtime.recognizer import bundled_ngram
    from ..train.lm.fit import fit as fit_lm
    from .describe import describe
    from .proof import open_reader

    opened = Ngram(ngram) if ngram else bundled_ngram()
    rows = list(lines.rows("val"))
    for model in models:
        found = fit_lm(open_reader(model), rows, opened, log)
        describe(model, found.info)
        click.echo(f"{model}: {len(rows)} validation lines\n{found.summary()}")


@click.command("export")
@click.argument("weights", type=PATH)
@click.option("-o", "--output", type=FILE, required=True, help="An .onnx file.")
@click.option("--precision", type=click.Choice(["int8", "fp32"]), default="int8", show_default=True)
@click.option("--pairs", type=PATH, help="Pairs to prove on. Default: pairs.json beside WEIGHTS.")
@click.option("--doubt", type=click.FloatRange(0, 1), help="Correct lines whose confidence is below this. Default: 1.")
@click.option("--most-change", type=click.FloatRange(0, 1), help="Share of a line that may change. Default: 0.3.")
@click.option("--keep", multiple=True, type=click.Choice(["digits", "capitals", "nothing"]),
              help="What stays as it was read. Repeatable. Default: digits and capitals.")  # fmt: skip
@MAX_CER_INCREASE
def export_corrector(
    weights: Path, output: Path, precision: str, pairs: Path | None, doubt: float | None, most_change: float | None,
    keep: tuple[str, ...], budget: float,
) -> None:  # fmt: skip
    """Write a corrector as one ONNX file, proven to correct as its network does; the proof stands beside it."""
    from ..runtime.errors import UsageError
    from .corrector_proof import export_corrector

    if output.suffix != ".onnx":
        raise UsageError(f"{output}: a corrector is an .onnx file")
    kept = None if not keep else tuple(name for name in dict.fromkeys(keep) if name != "nothing")
    proof = export_corrector(
        weights, output, precision, pairs, budget, doubt=doubt, most_change=most_change, keep=kept
    )  # fmt: skip
    click.echo(
        f"{output}: {proof['bytes']:,} bytes; CER of {proof['lines']} validation readings {proof['cer_read']:.2f} %, "
        f"corrected {proof['cer_file']:.2f}, by the network {proof['cer_network']:.2f}"
    )

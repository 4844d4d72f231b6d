"""`htrjand export`, `htrjand prove` and `htrjand lm fit`."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import FILE, MAX_CER_INCREASE, PATH, PROOF_SPLIT, LineChoice, line_options, log


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
def export(
    weights: Path, lines: LineChoice, outputs: tuple[Path, ...], precision: str, width: int | None, split: str,
    budget: float,
) -> None:  # fmt: skip
    """Write weights as ONNX, OpenVINO or TFLite, proven equal.

    WEIGHTS is a .safetensors file; a proof stands beside each file. With -i the lines that they read are compared too;
    without -i only logits of random images are. An .onnx file can be given for an .ort.
    """
    from ..runtime.errors import HtrjandError, UsageError
    from ..runtime.formats import FORMATS
    from .files import convert_file, export_files
    from .proof import Reference, summary_line

    rows = list(lines.rows(split)) if lines.files else []
    if lines.files and not rows:
        raise HtrjandError(f"{weights}: no {split} line to prove on; check -i, --dataset, --exclude and --split")
    if len(set(outputs)) < len(outputs):
        raise UsageError(f"{weights}: one -o is given twice; name different files")
    reference = Reference(weights, rows)
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
def prove(model: Path, against: Path, lines: LineChoice, split: str, budget: float) -> None:
    """Compare a model file with the weights it was made from.

    Writes the proof beside MODEL.
    """
    from .proof import Reference, made_by, summary_line, write_proof
    from .proof import prove as prove_file

    proof = made_by(model) | prove_file(model, model, Reference(against, list(lines.rows(split))), budget)
    write_proof(model, proof)
    click.echo(f"{model}: {summary_line(proof)}")


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

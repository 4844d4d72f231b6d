"""`htrjand export` and `htrjand prove`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from ..runtime.errors import HtrjandError, UsageError
from ..train.data.lines import LineRow, data_dir, read_lines
from .files import FLOATS, convert_file, export_files
from .proof import BUDGET, Reference, write_proof
from .proof import prove as prove_file

Command = TypeVar("Command", bound=Callable[..., Any])
Rows = Callable[[str], Iterator[LineRow]]  # a split -> its lines


def proof_options(command: Command) -> Command:
    """The options that choose the lines of a proof, for a verb that takes them as `rows`, `split` and `budget`."""

    @functools.wraps(command)
    def with_rows(
        *args: Any, data: tuple[Path, ...], core: bool, datasets: tuple[str, ...], exclude: tuple[str, ...], **rest: Any
    ) -> Any:
        def rows(split: str) -> Iterator[LineRow]:
            found = read_lines(data or (data_dir() / "lines",), split, core=core, exclude=exclude)
            return (row for row in found if not datasets or row.dataset in datasets)

        return command(*args, rows=rows, given=bool(data), **rest)

    file = click.Path(path_type=Path)
    for option in (
        click.option("-i", "--lines", "data", multiple=True, type=file, help="Parquet files or folders."),
        click.option("--prove-on", "split", type=click.Choice(["val", "test"]), default="val", help="Default: val."),
        click.option("--max-cer-increase", "budget", type=click.FloatRange(0), default=BUDGET, show_default=True),
        click.option("--core", is_flag=True, help="Only lines marked as core."),
        click.option("--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable."),
        click.option("--exclude", multiple=True, help="A dataset to leave out. Repeatable."),
    ):  # fmt: skip
        with_rows = option(with_rows)
    return with_rows  # type: ignore[return-value]


OUTPUT = click.option(
    "-o", "--output", "outs", multiple=True, type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="A file: .onnx, .ort, .xml (OpenVINO) or .tflite. Repeatable.",
)  # fmt: skip


@click.command("export")
@click.argument("weights", type=click.Path(path_type=Path))
@OUTPUT
@click.option("--precision", type=click.Choice(FLOATS), default="fp32", show_default=True)
@click.option(
    "--width",
    type=click.IntRange(1),
    help="The only width the file takes (.tflite): lines are padded to it, and read worse. Default: any.",
)
@proof_options
def export(
    weights: Path, outs: tuple[Path, ...], precision: str, width: int | None, split: str, budget: float, rows: Rows,
    given: bool,
) -> None:  # fmt: skip
    """Export WEIGHTS (.safetensors) to files proven equal to them; the proofs stand beside these.

    With -i they are proven on lines too, without on noise alone. An .onnx file can be given for an .ort.
    """
    chosen = list(rows(split)) if given else []
    if given and not chosen:
        raise HtrjandError(f"{weights}: no {split} line to prove on; check -i, --dataset and --prove-on")
    reference = Reference(weights, chosen)
    if weights.suffix == ".onnx":
        if any(out.suffix != ".ort" for out in outs):
            raise UsageError(f"{weights}: an .onnx file can be made an .ort; for other formats give the weights")
        proofs = [convert_file(weights, out, reference, budget) for out in outs]
    else:
        proofs = export_files(weights, list(outs), precision, width, reference, budget)
    for out, proof in zip(outs, proofs, strict=True):
        click.echo(f"{out}: {proof['bytes']:,} bytes, {told(proof)}")


@click.command("prove")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), required=True, help="Weights, or a float file of them.")
@proof_options
def prove(model: Path, against: Path, split: str, budget: float, rows: Rows, given: bool) -> None:
    """Hold MODEL against the weights it was made from, and write the proof beside it."""
    proof = prove_file(model, model, Reference(against, list(rows(split))), budget)
    write_proof(model, proof)
    click.echo(f"{model}: {told(proof)}")


def told(proof: dict[str, Any]) -> str:
    """What a proof found, in a line."""
    worst = max(proof["largest difference of a logit"].values())
    if "cer" not in proof:
        return f"logits within {worst:.1e} of {proof['reference']['file']}"
    cer = proof["cer"]["all"]
    return (
        f"logits within {worst:.1e} of {proof['reference']['file']}, {proof['texts equal']} of {cer['lines']} "
        f"{proof['split']} lines read alike, CER {cer['file']:.2f} % (there {cer['reference']:.2f} %)"
    )

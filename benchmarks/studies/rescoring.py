"""What a neural language model brings that chooses among the best texts of a line, and what it costs.

    python -m htrjand.benchmarks.studies.rescoring figures mine.nlm -i lines/ --dataset copiste --split test
    python -m htrjand.benchmarks.studies.rescoring weights mine.nlm -i lines/

Lines are chosen as by `htrjand bench`, and read with the bundled n-gram, or that of `--lm`. `bundled` in the place of
the file is the neural model that came with the package. Milliseconds are of one thread where `OPENBLAS_NUM_THREADS=1`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from ...runtime import HtrjandError
from ...runtime.decode import rescore
from ...runtime.decode.beam import TINY, best_texts
from ...runtime.decode.greedy import softmax
from ...runtime.decode.neural import NeuralLm
from ...runtime.decode.rescore import Rescorer
from ...runtime.recognizer import BUNDLED_LM, bundled_neural
from ...runtime.text import normalize
from ...train.data.error_rates import compare, percent
from .language import BATCH, LM, Lines, compared, described, figures_table, line_options, markdown, save

ROUNDS = 3  # of timing, by turns
WAYS = ("n-gram", "neural besides")  # what both are called in the table
NGRAMS, NEURALS, ENDS, BONUSES = (
    (0.3, 0.4, 0.5, 0.6),
    (0.2, 0.3, 0.4, 0.5, 0.6),
    (0.0, 0.5, 0.75, 1.0),
    (1.5, 2.0, 2.5, 3.0),
)
FILE = click.argument("file")


@click.group()
def main() -> None:
    """What a neural language model brings, and what it costs."""


@main.command()
@FILE
@line_options
@LM
def figures(file: str, lines: Lines, ngram: Path | None, output: Path | None) -> None:
    """Print CER and WER with the n-gram, and with the neural model besides; milliseconds a line of each."""
    language, rescorer = lines.language(ngram), opened(file, lines)
    ways: dict[str, Callable[[], list[str]]] = {
        "n-gram": lambda: lines.read(language),
        "neural": lambda: lines.read(language, rescorer=rescorer),
    }
    texts: dict[str, list[str]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, read in ways.items():
            begun = time.perf_counter()
            texts[name] = read()
            seconds[name].append(time.perf_counter() - begun)
    before, after = (lines.errors(texts[name]) for name in ways)
    found = {name: compared(before[name], after[name], ("n-gram", "neural")) for name in before}
    times = {name: round(1000 * median(taken) / len(lines.rows), 2) for name, taken in seconds.items()}
    neural = rescorer.neural.path
    document = described(lines, language) | {
        "neural_lm": neural.name, "neural_lm_bytes": neural.stat().st_size, "milliseconds": times, "datasets": found,
    }  # fmt: skip
    click.echo(table(document))
    save(output, document)


def table(document: dict[str, Any]) -> str:
    """Errors of each dataset with both, and below them the means and the times."""
    datasets = document["datasets"]
    means = [
        f"{name}: {np.mean([row[name]['cer'] for row in datasets.values()]):.2f} % CER, the mean of the datasets; "
        f"decoding takes {milliseconds} ms a line"
        for name, milliseconds in document["milliseconds"].items()
    ]
    return f"{figures_table(datasets, WAYS).rstrip()}\n\n" + "  \n".join(means)


@main.command()
@FILE
@line_options
@LM
@click.option("--show", type=click.IntRange(1), default=8, show_default=True, help="Weights to print.")
def weights(file: str, lines: Lines, ngram: Path | None, show: int, output: Path | None) -> None:
    """Print the mean CER of the datasets by weights of n-gram, neural model, end of line and characters; best first."""
    language, rescorer = lines.language(ngram), opened(file, lines)
    charset, blank = lines.reader.info.charset, lines.reader.info.blank
    known: dict[str, list[tuple[Any, int]]] = {}  # of each line its texts [K, 6], and the length of what it says
    for begin in range(0, len(lines.rows), BATCH):
        part = slice(begin, begin + BATCH)
        logs = [np.log(np.maximum(softmax(frames), TINY)) for frames in lines.logits[part]]
        for row, found in zip(lines.rows[part], best_texts(logs, language, blank, keep=rescore.KEPT), strict=True):
            close = rescorer.close(found, language)
            classes = [np.array(text.found.classes, np.intp) for text in close]
            said, ends = rescorer.neural.said([rescorer.codes[chosen] for chosen in classes])
            errors = [compare(row.text, normalize("".join(charset[c] for c in chosen))) for chosen in classes]
            values = [
                (text.ctc, text.spoken, logs @ rescorer.scales[chosen], end, len(chosen), line.character_edits)
                for text, chosen, logs, end, line in zip(close, classes, said, ends, errors, strict=True)
            ]
            known.setdefault(row.dataset, []).append((np.array(values), errors[0].characters))
    grid = [(language.weight, 0.0, 0.0, language.bonus), *product(NGRAMS, NEURALS, ENDS, BONUSES)]
    rated = []
    for chosen in grid:
        weighed = np.array([1.0, *chosen])
        rates = [
            percent([values[int(np.argmax(values[:, :5] @ weighed)), 5] for values, _ in some], [n for _, n in some])
            for some in known.values()
        ]
        rated.append((float(np.mean(rates)), *chosen))
    best = [rated[0], *sorted(rated[1:])[:show]]
    cells = [[f"{rate:.3f}", *(f"{value:g}" for value in chosen)] for rate, *chosen in best]
    click.echo(markdown(["mean CER, %", "n-gram", "neural", "end", "bonus"], cells), nl=False)
    asked = [len(values) * (len(values) > 1) for some in known.values() for values, _ in some]
    click.echo(
        f"\nthe first row is reading without the neural model; {np.mean(asked):.1f} texts of a line are asked about"
    )
    save(output, {"rows": best})


def opened(file: str, lines: Lines) -> Rescorer:
    """The neural model of a file, or the bundled one, over the reader of some lines."""
    return Rescorer(bundled_neural() if file == BUNDLED_LM else NeuralLm(file), lines.reader.info.charset)


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"rescoring: {problem}") from problem

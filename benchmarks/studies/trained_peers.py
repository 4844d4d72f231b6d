"""kraken's recogniser, PyLaia and ours, trained from nothing on the same lines for the same time on the same cores.

    python -m htrjand.benchmarks.studies.trained_peers -o OUT --minutes 10 --kraken KRAKEN --pylaia PYLAIA

KRAKEN and PYLAIA are virtual environments of their own: these tools and htrjand need different versions of torch.
Lines are those of `train/recipes/speedrun.yaml`. Each is trained and read with by its own commands. Ours and PyLaia end
by themselves; kraken, which knows no limit, is stopped after as many seconds as ours took, from start to end, and what
it has learnt until then is read with. What is trained in OUT is not trained again: a run that was cut off goes on.
OUT holds lines, weights and readings, and is not for publication; the result has neither text nor image.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from PIL import Image

from ...runtime.errors import HtrjandError
from ...runtime.files import atomic_path
from ...runtime.text import json_text, normalize
from ...train.data.error_rates import compare, summary
from ...train.data.row import LineRow
from ..machine import describe, git_revision, versions
from ..process import THREAD_SETTINGS, import_path
from ..watch import Watch

RECIPE = Path("train/recipes/speedrun.yaml")
# PyLaia's network as its documentation of version 1.1 has it (docs/usage/initialization); the rest are defaults.
DOCUMENTED = {
    "cnn_num_features": "[12,24,48,48]", "cnn_poolsize": "[2,2,0,2]", "cnn_batchnorm": "[true,true,true,true]",
}  # fmt: skip
THREADS = 2  # of each training: the cores of the machine
PYLAIA_HEIGHT = 128  # of the lines that it is given: its documentation asks for it; ours are 64 high
# The steps that a checkpoint of Lightning was made after.
STEPS = "import sys, torch; print(torch.load(sys.argv[1], map_location='cpu', weights_only=False)['global_step'])"
PATH = click.Path(path_type=Path)
Words = list[str | Path]  # of a command


@dataclass(frozen=True)
class Done:
    """A command that has ended: its wall-clock seconds, its peak of memory in bytes, and what it wrote on stdout."""

    seconds: float
    peak: int
    output: str


def run(command: Sequence[str | Path], threads: int, log: Path, limit: float | None = None) -> Done:
    """Runs a command, with stderr in a file; after `limit` seconds it is interrupted as by Ctrl-C, and may then fail.

    Raises:
        HtrjandError: it failed by itself.
    """
    environment = environment_of(command[0]) | dict.fromkeys(THREAD_SETTINGS, str(threads))
    out, start, stopped = log.with_suffix(".out"), time.perf_counter(), False
    with log.open("wb") as errors, out.open("wb") as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=errors, env=environment)
        while True:  # not `wait`, which does not tell the memory
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if limit and not stopped and time.perf_counter() - start >= limit:
                stopped = True
                process.send_signal(signal.SIGINT)
            time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not stopped:
        raise HtrjandError(f"{shlex.join(map(str, command[:4]))} … failed ({process.returncode}); see {log}")
    seconds = time.perf_counter() - start
    return Done(seconds, 1024 * usage.ru_maxrss, out.read_text(encoding="utf-8", errors="replace"))


def environment_of(program: str | Path) -> dict[str, str]:
    """The environment variables of a program; our modules are found by this Python alone."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | ({"PYTHONPATH": import_path()} if program == sys.executable else {})


def name_of(split: str, number: int) -> str:
    """A line's name, which is another in each split: PyLaia looks for it in the folders of all."""
    return f"{split}-{number:05}"


def write_set(folder: Path, rows: Iterable[LineRow]) -> None:
    """Writes lines as PNG files with their text beside them (`.gt.txt`), as kraken wants them.

    `folder/128` has them scaled for PyLaia, `folder.txt` is its table of tokens; `folder_paths.txt` is kraken's list.
    """
    tall = folder / str(PYLAIA_HEIGHT)
    tall.mkdir(parents=True, exist_ok=True)
    names, tables = [], []
    for number, row in enumerate(rows):
        name = name_of(folder.name, number)
        image = Image.fromarray(row.pixels())
        image.save(folder / f"{name}.png", compress_level=1)
        size = max(1, round(image.width * PYLAIA_HEIGHT / image.height)), PYLAIA_HEIGHT
        image.resize(size, Image.Resampling.BICUBIC).save(tall / f"{name}.png", compress_level=1)
        (folder / f"{name}.gt.txt").write_text(normalize(row.text), encoding="utf-8")
        names.append(name)
        tables.append(f"{name} {tokens(normalize(row.text))}\n")
    folder.with_suffix(".txt").write_text("".join(tables), encoding="utf-8")
    folder.with_name(f"{folder.name}_paths.txt").write_text(
        "".join(f"{folder.resolve() / name}.png\n" for name in names), encoding="utf-8"
    )


def tokens(text: str) -> str:
    """A text as PyLaia's tables have it: a token a character."""
    return " ".join("<space>" if char == " " else char for char in text)


def write_symbols(path: Path, charset: Sequence[str]) -> None:
    """PyLaia's table of symbols, out of a charset that begins with the blank."""
    names = ["<ctc>", *("<space>" if char == " " else char for char in charset[1:])]
    path.write_text("".join(f"{name} {number}\n" for number, name in enumerate(names)), encoding="utf-8")


class Ours:
    """Our speedrun: trained by its recipe, exported to ONNX in float, read with onnxruntime, greedily."""

    name, network = "htrjand", "the student's network of train/recipes/speedrun.yaml; 64 rows"

    def __init__(self, out: Path, minutes: float) -> None:
        self.out, self.model, self.lines_seen = out / "ours", out / "ours.onnx", 0
        self.command: Words = [sys.executable, "-P", "-m", "htrjand"]
        self.training: Words = [*self.command, "train", RECIPE, "-o", self.out, "--max-time", f"{60 * minutes:.0f}s"]
        self.training += ["--device", "cpu"]
        self.version = versions()["htrjand"]

    def finish(self) -> None:
        weights = self.out / "weights.safetensors"
        self.lines_seen = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))["lines_seen"]
        run([*self.command, "export", weights, "-o", self.model], THREADS, self.out / "export.log")

    def reading(self, folder: Path, names: Sequence[str]) -> Words:
        options: Words = ["read", "--line", "--no-lm", "--threads", "1", "-m", self.model, "-f", "json"]
        return [*self.command, *options, *(folder / f"{name}.png" for name in names)]

    def texts(self, folder: Path, output: str) -> dict[str, str]:
        return {Path(line["path"]).stem: line["text"] for line in map(json.loads, output.splitlines())}


class Kraken:
    """kraken with its defaults: its VGSL network, one line a step, `ketos train` and `kraken ocr`."""

    name, network = "kraken", "default VGSL network (four convolutions, three LSTMs of 200); 120 rows"

    def __init__(self, out: Path, environment: Path) -> None:
        self.out, self.bin = out / "kraken", environment / "bin"
        self.model, self.lines_seen = out / "kraken.safetensors", 0
        self.version = version_of(self.bin, "kraken")
        lists: Words = ["-f", "path", "-t", out / "train_paths.txt", "-e", out / "val_paths.txt"]
        self.training: Words = [
            self.bin / "ketos",
            "-d",
            "cpu",
            "--threads",
            str(THREADS),
            "train",
            "-o",
            self.out,
            *lists,
        ]

    def finish(self) -> None:
        """The checkpoint that it writes when it is interrupted becomes a file of weights."""
        checkpoint = self.out / "checkpoint_abort.ckpt"
        self.lines_seen = steps(self.bin, checkpoint)
        command: Words = [self.bin / "ketos", "convert", "-o", self.model, checkpoint]
        run(command, THREADS, self.out / "convert.log")

    def reading(self, folder: Path, names: Sequence[str]) -> Words:
        pairs: Words = []
        for name in names:
            pairs += ["-i", folder / f"{name}.png", folder / f"{name}.kraken"]
        options: Words = ["ocr", "-m", self.model, "-B", "1", "--num-line-workers", "0", "--no-segmentation"]
        return [self.bin / "kraken", "-d", "cpu", "--threads", "1", *pairs, *options]

    def texts(self, folder: Path, output: str) -> dict[str, str]:
        return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.kraken")}


class PyLaia:
    """PyLaia with the network and the height of its documentation, else its defaults; `train-ctc`, `decode-ctc`."""

    name, network = "PyLaia", "LaiaCRNN of its documentation (four convolutions, three LSTMs of 256); 128 rows"
    BATCH = 8  # its default

    def __init__(self, out: Path, environment: Path, minutes: float) -> None:
        self.out, self.bin = out / "pylaia", environment / "bin"
        self.model, self.lines_seen = self.out / "model", 0
        self.version = version_of(self.bin, "pylaia")
        self.symbols = out / "syms.txt"
        self.place: Words = ["--common.train_path", self.out]
        create: Words = [self.symbols, "--fixed_input_height", str(PYLAIA_HEIGHT)]
        create += [part for name, value in DOCUMENTED.items() for part in (f"--crnn.{name}", value)]
        self.out.mkdir(parents=True, exist_ok=True)
        run([self.bin / "pylaia-htr-create-model", *create, *self.place], THREADS, self.out / "create.log")
        images = [f"[{out / 'train' / str(PYLAIA_HEIGHT)},{out / 'val' / str(PYLAIA_HEIGHT)}]"]
        tables = [out / "train.txt", out / "val.txt"]
        limit = ["--trainer.max_time", f"00:00:{int(minutes):02}:{round(60 * minutes) % 60:02}"]
        self.training: Words = [self.bin / "pylaia-htr-train-ctc", self.symbols, *images, *tables, *self.place, *limit]

    def finish(self) -> None:
        self.checkpoint = max(self.out.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime)
        self.lines_seen = self.BATCH * steps(self.bin, self.checkpoint)
        self.model = self.checkpoint

    def reading(self, folder: Path, names: Sequence[str]) -> Words:
        chosen = self.out / "read_ids.txt"
        chosen.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        images = ["--img_dirs", f"[{folder / str(PYLAIA_HEIGHT)}]"]
        options: Words = ["--common.checkpoint", self.checkpoint, "--data.batch_size", "1"]
        plain = ["--decode.join_string", "", "--decode.convert_spaces", "true"]
        return [self.bin / "pylaia-htr-decode-ctc", self.symbols, chosen, *images, *self.place, *options, *plain]

    def texts(self, folder: Path, output: str) -> dict[str, str]:
        return {name: text for name, _, text in (line.partition(" ") for line in output.splitlines())}


Tool = Ours | Kraken | PyLaia


def version_of(folder: Path, package: str) -> str:
    """The versions of a package and of torch in an environment, whose commands lie in a folder."""
    code = f"from importlib.metadata import version as v; print(v({package!r}) + ', torch ' + v('torch'))"
    return in_environment(folder, code)


def steps(folder: Path, checkpoint: Path) -> int:
    """The steps of training behind a checkpoint."""
    return int(in_environment(folder, STEPS, str(checkpoint)))


def in_environment(folder: Path, code: str, *arguments: str) -> str:
    """What a line of Python prints in an environment; an HtrjandError where there is none."""
    command = [str(folder / "python"), "-c", code, *arguments]
    try:
        environment = environment_of(command[0])
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise HtrjandError(f"{folder}: no environment with what is to be measured ({error})") from error


def train(tool: Tool, limit: float | None) -> Done:
    """Trains, unless a run before has; what it took is kept beside the weights."""
    kept = tool.out / "trained.json"
    if kept.is_file():
        return Done(**json.loads(kept.read_text(encoding="utf-8")))
    done = run(tool.training, THREADS, tool.out / "train.log", limit)
    with atomic_path(kept) as part:
        part.write_text(json_text(asdict(done)), encoding="utf-8")
    return done


def measure(tool: Tool, trained: Done, folder: Path, names: Sequence[str], rows: Sequence[LineRow]) -> dict[str, Any]:
    """A row of the result: reads the lines, on one thread.

    Milliseconds a line are what all lines take beyond the first alone, so that no start of a program is in them.
    """
    log = tool.out / "read.log"
    first = run(tool.reading(folder, names[:1]), 1, log)
    whole = run(tool.reading(folder, names), 1, log)
    texts = tool.texts(folder, whole.output)
    return {
        "name": tool.name, "version": tool.version, "network": tool.network, "lines_seen": tool.lines_seen,
        "training_seconds": round(trained.seconds, 1),
        "ms_a_line": round(1000 * (whole.seconds - first.seconds) / (len(names) - 1), 2),
        "peak_bytes": whole.peak, "bytes": tool.model.stat().st_size, "not_read": len(set(names) - set(texts)),
        "errors": errors_of(rows, [texts.get(name, "") for name in names]),
    }  # fmt: skip


def errors_of(rows: Sequence[LineRow], texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """`error_rates.summary` of each dataset, and of `all`."""
    lines = [(row.dataset, compare(row.text, text)) for row, text in zip(rows, texts, strict=True)]
    sets = {
        name: [error for dataset, error in lines if dataset == name] for name in sorted({row.dataset for row in rows})
    }
    return {name: summary(errors) for name, errors in (sets | {"all": [error for _, error in lines]}).items()}


def table(result: Mapping[str, Any]) -> str:
    """The tools as a Markdown table; without errors is one that kept no weights."""
    rows = result["tools"]
    sets = [name for name in rows[0]["errors"] if name != "all"]
    header = ["", "lines seen", "CER, %", *sets, "WER, %", "ms a line", "model, MB", "memory, MB"]
    lines = [f"| {' | '.join(header)} |", "|---|" + "---:|" * (len(header) - 1)]
    for row in rows:
        cells, errors = [f"{row['name']} {row['version'].split(',')[0]}", f"{row['lines_seen']:,}"], row["errors"]
        if errors:
            whole = errors["all"]
            cells += [f"{whole['cer']:.1f} ({whole['cer_low']:.1f}–{whole['cer_high']:.1f})"]
            cells += [f"{errors[name]['cer']:.1f}" for name in sets] + [f"{whole['wer']:.1f}"]
        else:
            cells += ["–"] * (len(sets) + 2)
        cells += [f"{row['ms_a_line']:.1f}", f"{row['bytes'] / 1e6:.1f}", f"{row['peak_bytes'] / 1e6:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command()
@click.option("-o", "--output", "out", type=PATH, required=True, help="A folder, new or empty.")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), default=10, show_default=True, help="Of each training."
)
@click.option("--kraken", type=PATH, help="A virtual environment with kraken. Without: it is left out.")
@click.option("--pylaia", type=PATH, help="A virtual environment with PyLaia. Without: it is left out.")
def main(out: Path, minutes: float, kraken: Path | None, pylaia: Path | None) -> None:
    """Train and read with each tool, write OUTPUT/trained-peers.json, and print its table."""
    from ...train.dataset import load_data
    from ...train.recipe import TrainRecipe
    from ...train.recipe_loader import load_recipe

    data = load_data(load_recipe(TrainRecipe, RECIPE).data, RECIPE)
    click.echo(data.notes, err=True)
    rows = [line.row for line in data.val]
    names = [name_of("val", number) for number in range(len(rows))]
    written = out / "lines.sha256"
    if not written.is_file() or written.read_text() != data.digest:
        write_set(out / "train", (line.row for line in data.train))
        write_set(out / "val", rows)
        write_symbols(out / "syms.txt", data.charset)
        written.write_text(data.digest)
    tools: list[Tool] = [Ours(out, minutes)]
    tools += [Kraken(out, kraken)] if kraken else []
    tools += [PyLaia(out, pylaia, minutes)] if pylaia else []
    watch = Watch()
    trained: list[Done] = []
    for tool in tools:
        tool.out.mkdir(parents=True, exist_ok=True)
        watch.probe()
        limit = trained[0].seconds if isinstance(tool, Kraken) else None
        trained.append(train(tool, limit))
        tool.finish()
    watch.probe()
    measured = [measure(*pair, out / "val", names, rows) for pair in zip(tools, trained, strict=True)]
    watch.probe()
    conditions, disturbances = watch.finish()
    result = {
        "minutes": minutes, "threads": THREADS, "training_lines": len(data.train), "lines_sha256": data.digest,
        "machine": describe(), "versions": versions(), "revision": git_revision(),
        "conditions": conditions, "disturbances": disturbances, "tools": measured,
    }  # fmt: skip
    with atomic_path(out / "trained-peers.json") as part:
        part.write_text(json_text(result, indent=1) + "\n", encoding="utf-8")
    click.echo(table(result))


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"trained_peers: {problem}") from problem

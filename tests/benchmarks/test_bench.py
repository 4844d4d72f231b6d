from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from results_made import VALID

from htrjand.benchmarks.cli import bench
from htrjand.benchmarks.document import load_result
from htrjand.benchmarks.energy import Rapl
from htrjand.benchmarks.engines import UNITS, row_names
from htrjand.benchmarks.inputs import choose_lines, digest
from htrjand.benchmarks.report.figures import Named
from htrjand.benchmarks.report.html import page
from htrjand.benchmarks.report.tables import markdown
from htrjand.benchmarks.run import Settings, run
from htrjand.runtime.bundled import MODELS
from htrjand.runtime.decode import kernel
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.runtime.recognizer import bundled_ngram
from htrjand.train.checkpoint import Card, save_network
from htrjand.train.lm.build import LmRecipe, build
from htrjand.train.network import Network, NetworkRecipe

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "benchmarks" / "sample" / "sample.parquet"
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
RESULTS = [path for path in RESULTS if '"schema": "htrjand-bench' in path.read_text(encoding="utf-8")]  # not of studies

SHORT = Settings(threads=(1,), queries=12, page_queries=1, seconds=0.01, warm_up=1, cold_starts=1, batch_rounds=1)
FAST = ["--queries", "4", "--seconds", "0", "--threads", "1"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(bench, [str(argument) for argument in arguments])


def test_two_models_measured_in_one_run(make_model: Callable[..., Path], line_folder: Path, tmp_path: Path) -> None:
    fp32, int8, output = make_model("fp32.onnx"), make_model("int8.onnx", precision="int8"), tmp_path / "result.json"
    done = invoke("-i", line_folder, "-m", fp32, "-m", int8, "--quick", "-o", output, "-f", "md")
    assert done.exit_code == 0, done.output
    result = load_result(output)
    assert [row["precision"] for row in result["engines"]] == ["fp32", "int8"]
    for row in result["engines"]:
        accuracy = row["accuracy"]
        assert accuracy["datasets"]["plain"]["cer"] == 0 and accuracy["datasets"]["wrong"]["cer"] == 25.0
        assert accuracy["all"]["cer"] == pytest.approx(100 * 5 / (30 + 20))
        (latency,) = row["latency"]
        assert latency["queries"] >= 20 and 0 < latency["p50_ms"] <= latency["p90_ms"] <= latency["p99_ms"]
        assert len(row["cold_starts_ms"]) == 3 and row["bytes"] > 0 and row["peak_rss_bytes"] > 0
        assert len(latency["ms"]) == len(latency["items"]) == latency["queries"]
        assert set(latency["items"]) == set(range(17))
        assert [entry["size"] for entry in row["batches"]] == [1, 8, 32]
        assert all(entry["lines_per_second"] > 0 and len(entry["ms"]) == 2 for entry in row["batches"])
        assert accuracy["datasets"]["wrong"]["edits"] == [1] * 5 and row["install_bytes"] > 10_000_000
    short = result["invalid"][0]
    assert (short["what"], short["allowed"]) == ("short", 1) and short["measured"] < 1
    assert re.search(r"^short: \d+ lines in ", short["text"])
    assert result["ratios"] == "usable"
    assert result["data"][0]["items"] == 12 and len(result["data"][0]["sha256"]) == 64
    assert result["data"][1] | {"sha256": ""} == {
        "dataset": "wrong", "unit": "line", "split": "test", "items": 5, "sha256": "", "widths": [112] * 5,
        "characters": [4] * 5, "words": [1] * 5,
    }  # fmt: skip
    assert result["machine"]["usable_cores"] >= 1 and result["versions"]["onnxruntime"]
    assert str(line_folder) not in output.read_text() and str(fp32.parent) not in output.read_text()
    table = [line for line in done.output.splitlines() if line.startswith("|")]
    assert len(table) == 4 and "CER wrong, % (95 %)" in table[0] and "| 25.00 (25.0–25.0) |" in table[2]
    assert "Not a valid latency run" in done.output and "ratios between them stay" in done.output
    again = invoke("report", output, "-f", "md")
    assert again.exit_code == 0 and again.output == done.stdout


def test_json_on_standard_output_and_one_run_alone(make_model: Callable[..., Path], line_folder: Path) -> None:
    model = make_model()
    done = invoke("-i", line_folder, "-m", model, "--dataset", "wrong", "--only", "accuracy", "-f", "json")
    result = json.loads(done.stdout)
    assert "latency" not in result["engines"][0] and result["invalid"] == []
    done = invoke("-i", line_folder, "-m", model, "--only", "latency", *FAST)
    assert done.exit_code == 0 and "CER" not in done.stdout


def test_a_model_with_a_language_is_measured_greedy_and_with_it(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    """The bundled model on real lines, with both language models; the tiny one names no language, so none is taken."""
    output = tmp_path / "result.json"
    done = invoke(
        "-i", SAMPLE, "-m", make_model(), "--engine", "bundled", "--limit", 12, "--quick", *FAST, "-o", output,
        "-f", "md", "--neural-lm", "bundled",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = load_result(output)
    assert [(row["name"], row["decoder"]) for row in result["engines"]] == [
        ("tiny.onnx", "greedy"), ("bundled", "greedy"), ("bundled", "beam"), ("bundled", "rescored"),
    ]  # fmt: skip
    VALID(result)
    tiny, greedy, beam, rescored = result["engines"]
    assert "lm" not in tiny and "lm" not in greedy and greedy["sha256"] == beam["sha256"]
    assert 0 < beam["accuracy"]["all"]["cer"] < greedy["accuracy"]["all"]["cer"]
    file = bundled_ngram().path
    assert beam["bytes"] - greedy["bytes"] == beam["lm"]["bytes"] == file.stat().st_size
    assert beam["lm"].items() >= {"name": file.stem, "beam": 64, "compiled": kernel.library() is not None}.items()
    assert beam["lm"]["weight"] > 0 and len(beam["lm"]["sha256"]) == 64
    assert str(file.parent) not in output.read_text()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.output.splitlines() if line[0:1] == "|"]
    rows = [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    assert [row["decoder"] for row in rows] == ["greedy", "greedy", f"beam, {file.stem}", f"rescored, {file.stem}"]
    p50 = [row["latency"][0]["p50_ms"] for row in (greedy, beam, rescored)]
    assert [row["p50 ÷ greedy's"] for row in rows[2:]] == [f"{p50[1] / p50[0]:.2f}", f"{p50[2] / p50[0]:.2f}"]
    assert rows[0]["p50 ÷ greedy's"] == rows[1]["p50 ÷ greedy's"] == ""
    neural = MODELS / "htrjand-fr-en-de.nlm"
    assert rescored["neural_lm"] == {
        "name": neural.stem, "bytes": neural.stat().st_size, "sha256": hashlib.sha256(neural.read_bytes()).hexdigest()
    }  # fmt: skip
    assert "neural_lm" not in beam and rescored["lm"] == beam["lm"]
    assert rescored["bytes"] - beam["bytes"] == neural.stat().st_size
    sizes = " + ".join(f"{size / 1e6:.2f}" for size in (greedy["bytes"], beam["lm"]["bytes"], neural.stat().st_size))
    told = [row["size, MB (model + n-gram + neural)"] for row in rows[1:]]
    assert told == [sizes.split(" + ")[0], sizes.rpartition(" + ")[0], sizes]
    assert f">rescored, {file.stem}<" in page([Named("it", result)])


def test_another_language_model_and_none(make_model: Callable[..., Path], line_folder: Path, tmp_path: Path) -> None:
    """A file that is named is taken for every model; one that cannot be is the row's error, beside the greedy row."""
    french, model = make_model(languages=("fr",)), make_model("unnamed.onnx")

    def rows(*options: object) -> tuple[Result, list[tuple[str, str]]]:
        done = invoke("-i", line_folder, "-m", french, "-m", model, "--only", "accuracy", *options, "-f", "json")
        found = json.loads(done.stdout)["engines"]
        decoders = ["failed" if "error" in row else row.get("lm", {}).get("name", row["decoder"]) for row in found]
        return done, [(row["name"], decoder) for row, decoder in zip(found, decoders, strict=True)]

    assert rows("--no-lm")[1] == [("tiny.onnx", "greedy"), ("unnamed.onnx", "greedy")]
    done, found = rows("--lm", bundled_ngram().path)
    name = bundled_ngram().path.stem
    assert done.exit_code == 0 and found == [
        ("tiny.onnx", "greedy"), ("tiny.onnx", name), ("unnamed.onnx", "greedy"), ("unnamed.onnx", name),
    ]  # fmt: skip
    italian = make_model("italian.onnx", languages=("it",))
    named = ["--lm", bundled_ngram().path, "--neural-lm", "bundled", "--only", "accuracy", "-f", "json"]
    found = json.loads(invoke("-i", line_folder, "-m", french, "-m", italian, *named).stdout)["engines"]
    assert [(row["name"], row["decoder"]) for row in found] == [
        *(("tiny.onnx", decoder) for decoder in ("greedy", "beam", "rescored")),
        *(("italian.onnx", decoder) for decoder in ("greedy", "beam")),
    ], "the bundled neural model knows no Italian"
    text = "что написано пером\n"
    (tmp_path / "ru.txt").write_text(text, encoding="utf-8")
    recipe = LmRecipe(order=3, size=None, characters=("", *sorted(set(text.strip()))), name="ru")
    build([tmp_path / "ru.txt"], tmp_path / "ru.lm", recipe)
    done, found = rows("--lm", tmp_path / "ru.lm")
    assert [decoder for _, decoder in found] == ["greedy", "failed"] * 2
    assert str(done.exception) == "tiny.onnx, unnamed.onnx: could not be measured; the result says why"
    assert "ru.lm: shares no letter" in json.loads(done.stdout)["engines"][1]["error"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_of_earlier_editions_are_still_read(path: Path) -> None:
    result = load_result(path)
    tables = [part.splitlines() for part in markdown([result]).split("\n\n") if part.startswith("|")]
    units = [[row for row in result["engines"] if row["unit"] == unit] for unit in UNITS]
    for table, rows in zip(tables, filter(None, units), strict=True):
        assert len(table) == 2 + len(rows)
        assert ("| decoder |" in table[0]) == any("lm" in row for row in rows) == ("n-gram" in table[0])


def test_an_engine_that_fails_leaves_the_others(make_model: Callable[..., Path], line_folder: Path) -> None:
    cut = make_model("cut.onnx")
    cut.write_bytes(cut.read_bytes()[:99])
    done = invoke("-i", line_folder, "-m", cut, "-m", make_model(precision="int8"), *FAST, "-f", "md")
    assert isinstance(done.exception, HtrjandError) and "cut.onnx: could not be measured" in str(done.exception)
    assert "**cut.onnx** failed" in done.output and "| tiny.onnx | int8 |" in done.output


def test_a_missing_peer_names_the_remedy(line_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = invoke("-i", line_folder, "--engine", "tesseract", "--only", "accuracy")
    assert isinstance(done.exception, HtrjandError) and done.exception.exit_status == 1
    assert "apt-get install tesseract-ocr tesseract-ocr-fra" in " ".join(done.output.split())  # it is wrapped


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--width", "64", "--only", "accuracy"], UsageError, "--width"),
        (["-i", "{lines}", "-m", "model.xyz"], UsageError, "model.xyz: no such engine"),
        (["-i", "{lines}", "-m", "model.onnx@gpu"], UsageError, "model.onnx@gpu: on a GPU torch alone is measured"),
        (["-i", "{lines}", "-m", "model.safetensors@gpu"], HtrjandError, "model.safetensors: no such file"),
        (["-i", "{lines}", "-m", "model.onnx"], HtrjandError, "model.onnx: no such file"),
        (["-i", "{lines}", "--engine", "bundled", "--lm", "{lines}/fr.lm"], HtrjandError, "fr.lm: no such language"),
        (["-i", "{lines}", "--engine", "bundled", "--lm", "{lines}/plain.parquet"], HtrjandError, "plain.parquet"),
        (["-i", "{lines}", "--engine", "bundled", "--lm", "fr.lm", "--no-lm"], UsageError, "opposite"),
        (["-i", "{lines}", "--engine", "tesseract", "--lm", "fr.lm"], UsageError, "--lm is for model files"),
        (["-i", "{lines}", "--dataset", "nowhere", "--engine", "tesseract"], HtrjandError, "nowhere"),
        (["-i", "{lines}/none.parquet", "--engine", "tesseract"], HtrjandError, "none.parquet"),
        (["report", "{lines}/none.json", "-o", "{lines}"], HtrjandError, "is a folder; name a file in it"),
        (["-i", "{lines}", "--engine", "tesseract", "-o", "{lines}/plain.parquet/r.json"], HtrjandError, "r.json"),
        (["report", "{lines}/plain.parquet"], HtrjandError, "plain.parquet"),
        (["report", "{lines}/none.json"], HtrjandError, "none.json: no result of `htrjand bench`"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(
    line_folder: Path, arguments: list[str], kind: type[HtrjandError], message: str
) -> None:
    done = invoke(*[argument.format(lines=line_folder) for argument in arguments])
    assert type(done.exception) is kind and message in str(done.exception)


def test_lines_are_chosen_by_split_dataset_and_seed(line_folder: Path) -> None:
    assert len(choose_lines([line_folder], "test")) == 17
    assert [row.id for row in choose_lines([line_folder], "val", ["wrong"])] == ["wrong-9"]
    some = choose_lines([line_folder], "test", limit=3)
    assert len(some) == 6 and some == choose_lines([line_folder], "test", limit=3)
    assert digest(some) != digest(choose_lines([line_folder], "test", limit=4))


def test_every_engine_reads_the_whole_sample(make_model: Callable[..., Path], line_folder: Path) -> None:
    rows = choose_lines([line_folder], "test")
    result = run([str(make_model())], rows, SHORT)
    assert result["engines"][0]["latency"][0]["queries"] >= 12
    assert json.loads(json.dumps(result)) == result


def test_a_sensor_that_fails_in_the_middle_costs_the_energy_alone(
    make_model: Callable[..., Path], line_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "energy_uj"
    counter.write_text("1\n")
    meter = Rapl([tmp_path])
    counter.unlink()
    monkeypatch.setattr("htrjand.benchmarks.run.find_meter", lambda: (meter, ""))
    result = run([str(make_model())], choose_lines([line_folder], "test"), SHORT)
    assert result["conditions"]["energy"]["source"] is None
    assert "RAPL, the whole processor: failed during the run" in result["conditions"]["energy"]["reason"]
    (row,) = result["engines"]
    assert "error" not in row and row["latency"][0]["joules"] is None and row["latency"][0]["queries"] >= 12


def test_torch_weights_are_a_row_like_any_other(line_folder: Path, tmp_path: Path) -> None:
    weights = tmp_path / "untrained.safetensors"
    network = Network(NetworkRecipe(channels=(4, 4, 4, 4), dim=16, heads=2, feed=16, blocks=1), classes=3)
    save_network(weights, network.state_dict(), Card(network=network.recipe, charset=("", "a", "b")))
    done = invoke("-i", line_folder, "-m", weights, "--limit", 2, "--only", "accuracy", "-f", "json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["engines"]
    assert row["engine"] == "torch" and row["accuracy"]["all"]["lines"] == 4


def test_row_names_tell_files_of_one_name_apart() -> None:
    assert row_names(["a/m.onnx", "b/m.onnx", "c/n.onnx"]) == {
        "a/m.onnx": "a/m.onnx",
        "b/m.onnx": "b/m.onnx",
        "c/n.onnx": "n.onnx",
    }

"""What language brings, what its size costs, where it harms: with the bundled model and n-gram, and small n-grams."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from generated import printed_row

from htrjand.benchmarks.inputs import choose_lines
from htrjand.benchmarks.studies.changes import aligned, changes, harmed_lines
from htrjand.benchmarks.studies.language import gain, main
from htrjand.runtime import Recognizer, UsageError
from htrjand.train.data.error_rates import cer, compare
from htrjand.train.data.lines import read_lines
from htrjand.train.lm.build import LmRecipe, build

SAMPLE = Path(__file__).resolve().parents[3] / "benchmarks" / "sample" / "sample.parquet"
LINES = ["-i", str(SAMPLE), "--split", "test"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def ngrams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A large and a small n-gram of the same text, and one of nonsense that says it is another language."""
    folder = tmp_path_factory.mktemp("ngrams")
    text, nonsense = folder / "text.txt", folder / "nonsense.txt"
    text.write_text("".join(row.text + "\n" for row in read_lines(SAMPLE, "train")), encoding="utf-8")
    nonsense.write_text("kwk wkkw kkw\n" * 40, encoding="utf-8")
    files = {}
    for name, source, size, language in (
        ("large", text, None, "fr"), ("small", text, 400, "fr"), ("wk", nonsense, None, "de")
    ):  # fmt: skip
        files[name] = folder / f"{name}.lm"
        build([source], files[name], LmRecipe(order=4, size=size, languages=(language,)))
    return files


def test_a_gain_is_paired() -> None:
    assert gain([1] * 30, [10] * 30) == {"points": 10, "low": 10, "high": 10}, "it does not vary with the lines drawn"
    found = gain([2] * 15 + [0] * 15, [10] * 30)
    assert found["points"] == 10 and 2 < found["low"] < 9 and 11 < found["high"] < 18
    assert gain([-1, -1], [4, 4])["high"] == -25, "more errors are a loss"


def test_figures_are_those_of_reading(tmp_path: Path) -> None:
    done = run("figures", *LINES, "--limit", 12, "-o", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    found = result["datasets"]["sample"]
    rows = choose_lines([SAMPLE], "test", limit=12)
    for key, lm in (("greedy", None), ("language", "bundled")):
        read = Recognizer(threads=1, lm=lm).read_lines([row.pixels() for row in rows])
        errors = [compare(row.text, line.text) for row, line in zip(rows, read, strict=True)]
        assert found[key]["cer"] == round(cer(errors), 3) and found[key]["lines"] == 12
    assert found["greedy"]["cer"] > found["language"]["cer"]
    fall = found["cer_gain"]
    assert fall["points"] == pytest.approx(found["greedy"]["cer"] - found["language"]["cer"], abs=0.002)
    assert fall["low"] < fall["points"] < fall["high"]
    assert result["split"] == "test" and result["lm"] == "htrjand-fr-en-de.lm"
    assert f"| sample | 12 | {found['greedy']['cer']:.2f} (" in done.output


def test_sizes_have_a_row_each_and_a_curve_a_language(ngrams: dict[str, Path], tmp_path: Path) -> None:
    files = [ngrams[name] for name in ("large", "wk", "small")]
    plot, output = tmp_path / "docs" / "plot.svg", tmp_path / "out.json"
    plot.parent.mkdir()
    done = run("sizes", *files, *LINES, "--plot", plot, "-o", output)
    assert done.exit_code == 0, done.output
    result = json.loads(output.read_text(encoding="utf-8"))
    assert [one["name"] for one in result["sizes"]] == ["wk.lm", "small.lm", "large.lm"], "by language and size"
    for one in result["sizes"]:
        assert one["bytes"] == ngrams[one["name"][:-3]].stat().st_size and set(one["cer"]) == {"sample", "mean"}
    nonsense, small, large = (one["cer"]["mean"] for one in result["sizes"])
    assert small < nonsense and large < nonsense, "each row is read with its own n-gram"
    assert small != large
    assert len(done.output.splitlines()) == 2 + 1 + 3
    svg = ElementTree.parse(plot).getroot()
    curves = [line.get("points", "").split() for line in svg.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(curve) for curve in curves] == [1, 2], "the higher curve first"
    across = [float(point.split(",")[0]) for point in curves[1]]
    assert across[0] < across[1], "the larger one stands at the right"


def test_examples_are_the_lines_that_a_foreign_language_harms(ngrams: dict[str, Path], tmp_path: Path) -> None:
    done = run("examples", *LINES, "--lm", ngrams["wk"], "--show", 3, "-o", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    harmed = result["harmed"]
    assert len(harmed) > 3 and result["lines"] == 32
    for line in harmed:
        before, after = (compare(line["reference"], line[key]).character_edits for key in ("first", "second"))
        assert line["more"] == after - before > 0
    assert [line["more"] for line in harmed] == sorted((line["more"] for line in harmed), reverse=True)
    letters = result["kinds"]["small letters"]
    assert letters["harmed"] > letters["mended"]
    assert len(done.output.splitlines()) == (2 + 5 + 1) + (1 + 1) + (2 + 3)


def test_what_became_of_each_kind_of_character() -> None:
    row = printed_row("Le 12 mai", "one")
    counts = changes([row], ["le 12 nai."], ["Le I2 mai"])
    assert dict(counts["digits"]) == {"characters": 2, "wrong": 0, "mended": 0, "harmed": 1}
    assert dict(counts["capitals"]) == {"characters": 1, "wrong": 1, "mended": 1, "harmed": 0}
    assert counts["small letters"]["wrong"] == counts["small letters"]["mended"] == 1
    assert counts["spaces"]["characters"] == 2 and counts["spaces"]["wrong"] == 0
    assert counts["others"]["added"] == 1 and counts["others"]["added later"] == 0
    assert aligned("abc", "xabd") == ([True, True, False], ["x"])


def test_only_lines_with_more_errors_are_harmed_the_worst_first() -> None:
    rows = [replace(printed_row(text, text), dataset="d") for text in ("abc", "l'été", "cab", "bac")]
    found = harmed_lines(rows, ["abc", "l’été", "xxx", "bac"], ["abx", "l'ete", "cab", "bac"])
    assert [(line.id, line.more) for line in found] == [("l'été", 2), ("abc", 1)], "a folded quote is no error"
    assert (found[0].reference, found[0].first, found[0].second) == ("l'été", "l'été", "l'ete")


def test_a_model_of_other_languages_needs_a_language_model(
    make_model: Callable[..., Any], ngrams: dict[str, Path]
) -> None:
    model = make_model(languages=("it",))
    refused = run("figures", *LINES, "--limit", 1, "-m", model)
    assert isinstance(refused.exception, UsageError) and "--lm" in str(refused.exception)
    assert run("figures", *LINES, "--limit", 1, "-m", model, "--lm", ngrams["large"]).exit_code == 0

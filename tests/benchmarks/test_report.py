"""Reports of any number of results, good and bad, and the comparison of two."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from results_made import result, row

from htrjand.benchmarks.cli import bench
from htrjand.benchmarks.document import as_json
from htrjand.benchmarks.report.compare import compare
from htrjand.benchmarks.report.figures import Named, load_all, records, speedups
from htrjand.benchmarks.report.html import page
from htrjand.benchmarks.report.layout import Table, terminal_rows
from htrjand.benchmarks.report.pairs import cer_change, relative_ratios, time_ratios
from htrjand.benchmarks.report.tables import markdown
from htrjand.runtime.errors import HtrjandError, UsageError

ROOT = Path(__file__).resolve().parents[2]
FIRST = ROOT / "benchmarks" / "results" / "formats.json"  # of the first schema
RANDOM = np.random.default_rng(0)
EDITS = [int(edits) for edits in RANDOM.integers(0, 4, 60)]
TIMES = [float(time) for time in RANDOM.uniform(10, 30, 60)]
INT8, FP32 = row("m-int8.onnx", EDITS, TIMES), row("m-fp32.onnx", EDITS, [2 * ms for ms in TIMES], precision="fp32")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(bench, [str(argument) for argument in arguments])


def write(path: Path, document: dict[str, Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(as_json(document), encoding="utf-8")
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of two results: of two engines on a quiet board, and of another, disturbed, where an engine failed."""
    failed = {"name": "<script>", "unit": "line", "decoder": "greedy", "error": "m.xml: </script> is not installed"}
    write(tmp_path / "results" / "quiet.json", result(INT8, FP32))
    busy = result(row("m-int8.onnx", EDITS, [3 * ms for ms in TIMES]), failed, disturbed="busy", device="Board B")
    write(tmp_path / "results" / "busy.json", busy)
    (tmp_path / "results" / "other.json").write_text('{"schema": "htrjand-pages-1"}')  # of a study: not meant
    return tmp_path / "results"


def test_a_folder_of_results_in_every_form(results: Path, tmp_path: Path) -> None:
    for form in ("txt", "md", "csv", "html"):
        done = invoke("report", results, FIRST, "-o", tmp_path / f"all.{form}")
        assert done.exit_code == 0 and done.output == "", done.output
    text, markdown = (tmp_path / "all.txt").read_text(), (tmp_path / "all.md").read_text()
    for written in (text, markdown):
        assert "Board A, 4 cores (asimd), governor performance" in " ".join(written.split())
        assert "</script> is not installed" in written and "Not a valid latency run" in written
    assert text.count("m-int8.onnx") > 2 and "| m-int8.onnx | int8 |" in markdown
    with (tmp_path / "all.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [one["result"] for one in rows[:4]] == ["busy", "busy", "quiet", "quiet"]
    assert float(rows[2]["p50_ms"]) == INT8["latency"][0]["p50_ms"] and rows[2]["valid"] == "True"
    assert rows[1]["error"] and rows[0]["device"] == "Board B" and rows[2]["data"] == "hand (60)"
    assert len({one["result"] for one in rows}) == 3


def test_a_name_that_says_no_form_is_refused(results: Path, tmp_path: Path) -> None:
    done = invoke("report", results, "-o", tmp_path / "all.pdf")
    assert isinstance(done.exception, UsageError) and ".pdf names no format (.txt, .md" in str(done.exception)
    assert not (tmp_path / "all.pdf").exists()
    done = invoke("report", results, "-o", tmp_path / "all.pdf", "-f", "csv")
    assert done.exit_code == 0 and (tmp_path / "all.pdf").read_text().startswith("result,")
    assert invoke("report", results, "-o", tmp_path / "all").exit_code == 0
    assert (tmp_path / "all").read_text().startswith("busy:\n\nBoard B")


class Page(HTMLParser):
    """Collects what a page would load from elsewhere, its scripts, and the rows of its table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.rows = 0
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "action")]
        self.rows += tag == "tr"
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] += data


def test_the_page_holds_everything_itself(results: Path) -> None:
    found, problems, notes = load_all([results])
    text = page(found, ["x.json: <b>no</b> result"])
    parsed = Page(text)
    assert problems == notes == [] and parsed.links == [] and len(parsed.scripts) == 2
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/2000/svg)", text)
    data = json.loads(parsed.scripts[0])
    assert data == json.loads(json.dumps({"records": records(found), "speedups": speedups(found)}))
    assert parsed.rows == 1 + len(data["records"]) == 5
    assert html.escape("x.json: <b>no</b> result") in text and html.escape("<script>") in text
    assert 'badge bad">disturbed' in text and 'badge good">quiet' in text


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")
def test_a_browser_draws_the_charts(results: Path, tmp_path: Path) -> None:
    text = page(load_all([results])[0]).replace("</body>", "<script>document.title = 'to the end'</script></body>")
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
               "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}/user",
               "--enable-logging=stderr", "--dump-dom"]  # fmt: skip
    command = [str(CHROMIUM), *options, (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    assert "<title>to the end</title>" in done.stdout
    for chart in ("size", "time", "width", "speedup", "memory"):
        drawn = done.stdout.split(f'<div id="{chart}">')[1].split("</div>")[0]
        assert drawn.startswith("<svg") and ("NaN" not in drawn) and drawn.count("tabindex") >= 1, chart
        fronts = {"size": 1, "time": 2}  # two boards, each with a front of its own
        assert drawn.count('class="front"') == fronts.get(chart, 0)


def test_what_is_no_result_is_told_and_the_rest_stands(results: Path, tmp_path: Path) -> None:
    good = (results / "quiet.json").read_text()
    bad = {
        "truncated.json": (good[: len(good) // 2], "not a readable JSON file"),
        "later.json": (good.replace("htrjand-bench-2", "htrjand-bench-3"), "schema 'htrjand-bench-3'"),
        "list.json": ("[1]", "no result of `htrjand bench`"),
        "half.json": (
            '{"schema": "htrjand-bench-2", "engines": []}',
            "lacks measured_at, git_revision, ratios",
        ),
        "row.json": (good.replace('"unit": "line",', "", 2), "lacks data.unit, engines.unit"),
        "first.json": ('{"schema": "htrjand-bench-1"}', "lacks measured_at"),
        "again.json": (good, "is the same run as"),
    }
    for name, (text, _) in bad.items():
        (tmp_path / name).write_text(text)
    done = invoke("report", results / "quiet.json", *(tmp_path / name for name in bad), "none.json")
    assert isinstance(done.exception, HtrjandError) and done.exception.exit_status == 1
    assert "m-int8.onnx" in done.stdout and done.stdout.count("Board A") == 1
    for name, (_, problem) in bad.items():
        assert re.search(f"{re.escape(name)}: .*{re.escape(problem)}", done.stderr), done.stderr
    assert "none.json: no such file" in done.stderr
    (results / "nothing.json").write_text("")
    done = invoke("report", results)
    assert "nothing.json: not a readable JSON file" in done.stderr and "other.json" not in done.output
    done = invoke("report", tmp_path / "list.json")
    assert isinstance(done.exception, HtrjandError) and "no result of `htrjand bench` among these" in str(
        done.exception
    )


def test_two_results_of_one_name_are_told_apart(results: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "pi5" / "quiet.json", result(INT8, FP32, device="Board C"))
    found, problems, notes = load_all([results / "quiet.json", other])
    assert [named.name for named in found] == [str(results / "quiet"), str(tmp_path / "pi5" / "quiet")]
    assert notes == ["quiet: 2 results have this name; their folders are added to it"] and problems == []
    done = invoke("report", results / "quiet.json", other, results / "quiet.json")
    assert done.exit_code == 0 and f"htrjand: {notes[0]}" in done.stderr and "is the same run as" in done.stderr
    assert done.stdout.count("Board A") == done.stdout.count("Board C") == 1


def test_a_single_item_has_no_interval() -> None:
    one, two = (row("m", edits, [5.0] * len(edits)) for edits in ([1], [1, 1]))
    assert "| 5.00 |" in markdown([result(one)]) and "| 5.00 (1.0–9.0) |" in markdown([result(two)])
    assert ">5.00</td>" in page([Named("x", result(one))]) and ">5.00 (1.0–9.0)</td>" in page([Named("x", result(two))])


def test_figures_of_readings(results: Path) -> None:
    found, *_ = load_all([results / "quiet.json"])
    int8 = records(found)[0]
    assert len(int8["widths"]) == 8 and int8["widths"][0][0] < int8["widths"][-1][0] == 660
    assert int8["widths"][0][1] == pytest.approx(float(np.median(TIMES[:8])), rel=0.01)
    assert int8["joules"] == 0.25 and int8["lines_per_second_8"] == 99.5 and int8["lines_per_second_1"] is None
    (faster,) = speedups(found)
    assert faster["name"] == "m-int8.onnx" and faster["times"] == pytest.approx(2, rel=1e-3)
    assert faster["low"] <= faster["times"] <= faster["high"]


def test_intervals_hold_what_they_are_of() -> None:
    none = cer_change({"edits": EDITS}, {"edits": EDITS}, [20] * 60)
    assert none == (0, 0, 0)
    more = cer_change({"edits": EDITS}, {"edits": [edits + (i % 2) for i, edits in enumerate(EDITS)]}, [20] * 60)
    assert more.value == pytest.approx(2.5) and 1 < more.low < 2.5 < more.high < 4
    before, after = {"items": [0, 1, 1, 2], "ms": [1, 2, 4, 9]}, {"items": [1, 0, 3], "ms": [6, 2, 1]}
    (ratio,) = time_ratios([(before, after)])  # of items 0 and 1, the times of which are 1 and 3, 2 and 6
    assert ratio == pytest.approx((2, 2, 2))
    assert time_ratios([({"p50_ms": 1}, {"p50_ms": 1})]) == [] == relative_ratios([(before, after)])
    thrice = {"items": [0, 1], "ms": [3, 9]}
    one, other = relative_ratios([(before, after), (before, thrice)])
    assert (one.value, other.value) == (pytest.approx(2 / 3), pytest.approx(1.5))


@pytest.mark.parametrize(
    ("second", "worse"),
    [
        (result(INT8, FP32), []),
        (result(row("m-int8.onnx", EDITS[1:] + EDITS[:1], TIMES), FP32), []),  # other lines wrong: noise
        (result(row("m-int8.onnx", [edits + 1 for edits in EDITS], TIMES), FP32), ["CER hand, %"]),
        (result(row("m-int8.onnx", [0] * 60, [ms / 2 for ms in TIMES]), FP32), []),  # better, and faster
        (result(row("m-int8.onnx", EDITS, [1.03 * ms for ms in TIMES]), FP32), []),  # as two quiet runs may differ
        (result(row("m-int8.onnx", EDITS, [1.2 * ms for ms in TIMES]), FP32), ["p50, ms a line, 1 thread"]),
        (result(INT8 | {"error": "cannot be read"}, FP32), ["measured"]),
    ],
)  # fmt: skip
def test_worse_beyond_the_noise(second: dict[str, Any], worse: list[str], tmp_path: Path) -> None:
    first = result(INT8, FP32)
    findings, _ = compare(first, second)
    assert [one.figure for one in findings if one.worse] == worse
    assert all(one.row == "m-int8.onnx, greedy, line" for one in findings if one.worse)
    done = invoke("compare", write(tmp_path / "a.json", first), write(tmp_path / "b.json", second))
    assert (done.exception is not None) == bool(worse) and "m-fp32.onnx, greedy, line" in done.stdout
    if worse:
        assert isinstance(done.exception, HtrjandError)
        assert f"m-int8.onnx, greedy, line: {worse[0]}" in str(done.exception)


def test_of_disturbed_runs_only_ratios_are_compared() -> None:
    """All of it took twice as long: nothing is worse. One row took longer than the other beside it: that is."""
    twice = [row(one["name"], EDITS, [2 * ms for ms in times]) for one, times in ((INT8, TIMES), (FP32, TIMES))]
    first = result(INT8, row("m-fp32.onnx", EDITS, TIMES))
    findings, notes = compare(first, result(*twice, disturbed="busy machine"))
    assert len(findings) == 4 and not [one for one in findings if one.worse]
    (note,) = notes
    assert note == "lines, 1 thread: rows are held against each other, for the second run was disturbed (busy machine)"
    findings, _ = compare(first, result(twice[0], first["engines"][1], disturbed="busy machine"))
    ((row_, times),) = [(one.row, one.change.value) for one in findings if one.worse]
    assert row_ == "m-int8.onnx, greedy, line" and times == pytest.approx(2, abs=0.01)
    findings, notes = compare(result(INT8), result(twice[0], device="Board B"))
    assert not [one for one in findings if one.figure.startswith("p50")]
    assert notes == ["lines, 1 thread: speed is not compared, for they are of two machines"]


def test_two_rows_of_one_disturbed_run_are_compared_by_name(tmp_path: Path) -> None:
    slow = row("m-fp32.onnx", [edits + 1 for edits in EDITS], [2 * ms for ms in TIMES])
    both = write(tmp_path / "a.json", result(INT8, slow, disturbed="busy machine"))
    done = invoke("compare", both, both, "--rows", "m-int8.onnx", "m-fp32.onnx")
    told = "m-int8.onnx → m-fp32.onnx, greedy, line"
    assert f"{told}: CER hand, %; {told}: p50, ms a line, 1 thread" in str(done.exception)
    done = invoke("compare", both, both, "--rows", "m-fp32.onnx", "m-int8.onnx")
    assert done.exception is None and "nothing is worse beyond the noise" in done.stderr
    done = invoke("compare", both, both, "--rows", "m-int8.onnx", "mine.onnx")
    assert "no row in common: m-int8.onnx, m-fp32.onnx in the first" in str(done.exception)


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    first = result(INT8)
    with pytest.raises(HtrjandError, match="measured on other lines"):
        compare(first, result(INT8, sha256="f" * 64))
    untimed = result({key: value for key, value in INT8.items() if key not in ("latency", "accuracy")})
    with pytest.raises(HtrjandError, match="no figure stands in both for the same number of threads"):
        raise invoke("compare", write(tmp_path / "t.json", first), write(tmp_path / "u.json", untimed)).exception
    with pytest.raises(HtrjandError, match=r"no row in common: \S+int8\S* in the first, \S+fp32\S* in the second"):
        compare(first, result(FP32))
    a = write(tmp_path / "a.json", first)
    done = invoke("compare", a, FIRST)
    assert isinstance(done.exception, HtrjandError) and "no row in common" in str(done.exception)
    assert "only in the second result" in compare(first, result(INT8, FP32))[1][0]
    absent = result(INT8, {"name": "peer", "unit": "line", "decoder": "greedy", "error": "not installed"})
    assert compare(absent, absent)[1] == ["peer, greedy, line: failed: not installed"]
    few = result(row("m", [0] * 9, TIMES[:9])), result(row("m", [5] * 9, TIMES[:9]))
    assert not [one for one in compare(*few)[0] if one.worse]


def test_a_wide_table_goes_on_below_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(["engine", "a", "b", "a long heading"], [["m\x1b.onnx", "1", "22", "333"]], 1)
    monkeypatch.setenv("COLUMNS", "30")
    assert terminal_rows(table) == [
        r"                    a long",
        r"engine      a   b  heading",
        r"----------  -  --  -------",
        r"m\x1b.onnx  1  22      333",
    ]
    monkeypatch.setenv("COLUMNS", "20")
    rows = [line for line in terminal_rows(table) if line.startswith("m")]
    assert rows == [r"m\x1b.onnx  1  22", r"m\x1b.onnx      333"]

"""The page of docs/examples/web: its steps keep the contracts, and in a headless browser it reads as the package does.

The steps need node alone; the browser needs what `make examples` fetches, and a Chromium.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from htrjand.benchmarks.studies.page_figures import StudyPage
from htrjand.benchmarks.studies.page_vectors import PAGE
from htrjand.benchmarks.studies.vectors import from_text
from htrjand.benchmarks.studies.web import EXAMPLE, browse, browser, cer_of, exact_reader, read_here
from htrjand.benchmarks.studies.web_layers import operators, optimised
from htrjand.benchmarks.studies.web_pages import compared, reader_of_pages, row
from htrjand.runtime.bundled import bundled_in
from htrjand.runtime.image import load_line
from htrjand.runtime.page.inputs import load_page
from htrjand.runtime.recognizer import BUNDLED, bundled_ngram

ROOT = Path(__file__).resolve().parents[1]
VECTORS = ROOT / "tests" / "vectors"
TOLD = json.loads((VECTORS / "vectors.json").read_text(encoding="utf-8"))
PAGE_TOLD = json.loads((VECTORS / "page" / "page.json").read_text(encoding="utf-8"))
LINES = sorted((ROOT / "benchmarks" / "sample" / "lines").glob("*.png"))
MODEL = bundled_in(BUNDLED, ".onnx")
APART = 2.0  # percent of characters: an int8 file differs by less between any two processors
CONTRAST = 4.5  # of text and what is behind it: WCAG 2.2, level AA

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="no node")
MODULES = EXAMPLE / "node_modules"
needs_browser = pytest.mark.skipif(
    not (MODULES / "onnxruntime-web").is_dir() or not (MODULES / "playwright-core").is_dir() or browser() is None,
    reason="no Chromium, or no onnxruntime-web and playwright-core: make examples",
)

# Gives each step what `given.json` names, and writes what comes out of it.
STEPS = """
import { readFileSync, writeFileSync } from 'node:fs';
const [code, folder] = process.argv.slice(1);
const { grey, greedy, metadata, prepared } = await import(`${code}/line.mjs`);
const { beam, fitted, openNgram } = await import(`${code}/language.mjs`);
const { findLines, preparedPage } = await import(`${code}/page.mjs`);
const { readingOrder } = await import(`${code}/order.mjs`);
const { cutLine } = await import(`${code}/cut.mjs`);
const { clockwise, withUpright } = await import(`${code}/upright.mjs`);
const bytes = (name) => Uint8Array.from(readFileSync(`${folder}/${name}`));
const given = JSON.parse(readFileSync(`${folder}/given.json`));
const about = metadata(bytes('model.onnx')), charset = JSON.parse(about.charset);
const language = fitted(openNgram(bytes('ngram.lm')), about);
const write = (name, { pixels, width, height }) => {
  writeFileSync(`${folder}/${name}.out`, pixels);
  return [height, width];
};
const text = (found) => ({
  text: found.map(({ char }) => char).join(''), confidences: found.map(({ confidence }) => confidence),
});
const lines = given.lines.map(({ name, width, height }) => {
  const logits = new Float32Array(bytes(`${name}.logits`).buffer);
  const shape = write(name, prepared(grey({ data: bytes(`${name}.rgba`), width, height }), 64, 16));
  const best = greedy(logits, charset, Number(about.temperature));
  return { shape, greedy: text(best), beam: text(beam(logits, language)) };
});
const page = { pixels: bytes('page'), width: given.page[1], height: given.page[0] };
const image = preparedPage(page, 1280);
const cuts = Object.entries(given.cuts).map(([name, line]) => [name, write(name, cutLine(page, line, 64))]);
const maps = findLines(new Float32Array(bytes('maps').buffer), given.maps[2], given.maps[1], 1);
const ordered = given.order.baselines.map((baseline, k) => ({ baseline, height: given.order.heights[k], number: k }));
const regions = readingOrder(ordered).map((region) => region.map(({ number }) => number));
const { found, turned, size } = given.upright, upright = await withUpright(found, size[1], () => turned);
const small = clockwise({ pixels: Uint8Array.from([1, 2, 3, 4, 5, 6]), width: 3, height: 2 });
const shape = write('prepared', image);
const told = { about, lines, page: shape, scale: image.scale, maps, regions, upright, small: [...small.pixels] };
writeFileSync(`${folder}/told.json`, JSON.stringify({ ...told, cuts: Object.fromEntries(cuts) }));
"""


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What the JavaScript makes of the test vectors: a folder with arrays, and the rest."""
    folder, lines = tmp_path_factory.mktemp("steps"), []
    assert MODEL is not None
    shutil.copy(MODEL, folder / "model.onnx")
    shutil.copy(bundled_ngram().path, folder / "ngram.lm")
    for line in TOLD["lines"]:
        with Image.open(VECTORS / f"{line['name']}.source.png") as opened:
            image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        canvas = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        np.asarray(canvas).tofile(folder / f"{line['name']}.rgba")
        logits = (VECTORS / f"{line['name']}.logits.txt").read_text(encoding="ascii")
        from_text(logits, TOLD["classes"]).tofile(folder / f"{line['name']}.logits")
        lines.append({"name": line["name"], "width": image.width, "height": image.height})
    page = load_page(PAGE).grey
    page.tofile(folder / "page")
    with Image.open(VECTORS / "page" / "maps.png") as image:
        levels = np.asarray(image, np.float32).reshape(4, -1, image.width)
    (levels / np.array([255, 255, 32, 32], np.float32)[:, None, None]).tofile(folder / "maps")
    told = {key: PAGE_TOLD[key] for key in ("cuts", "order", "upright")}
    given = told | {"lines": lines, "page": page.shape, "maps": levels.shape}
    (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
    command = ["node", "--input-type=module", "-e", STEPS, EXAMPLE.as_uri(), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads((folder / "told.json").read_text(encoding="utf-8"))


def array(folder: Path, name: str, shape: list[int]) -> np.ndarray:
    return np.fromfile(folder / f"{name}.out", np.uint8).reshape(shape)


def stored(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@needs_node
def test_lines_are_prepared_and_decoded_as_the_contract_says(steps: tuple[Path, dict[str, Any]]) -> None:
    folder, found = steps
    assert found["about"]["seal"] == TOLD["seal"]
    for line, told in zip(found["lines"], TOLD["lines"], strict=True):
        prepared = stored(VECTORS / f"{told['name']}.prepared.png")
        assert np.array_equal(array(folder, told["name"], line["shape"]), prepared), told["name"]
        for kind in ("greedy", "beam"):
            assert line[kind]["text"] == told[kind]["text"]
            assert line[kind]["confidences"] == pytest.approx(told[kind]["confidences"], abs=0.002)


@needs_node
def test_pages_are_prepared_found_cut_and_ordered_as_the_contract_says(steps: tuple[Path, dict[str, Any]]) -> None:
    folder, found = steps
    left, top, width, height = PAGE_TOLD["page"]["part"]
    assert found["page"] == [PAGE_TOLD["page"]["height"], PAGE_TOLD["page"]["width"]]
    assert found["scale"] == PAGE_TOLD["page"]["scale"]
    part = array(folder, "prepared", found["page"])[top : top + height, left : left + width].astype(int)
    assert np.abs(part - stored(VECTORS / "page" / "prepared.png")).max() <= 1
    lines = sorted(found["maps"], key=lambda line: np.mean(line["baseline"], axis=0)[1])
    assert len(lines) == len(PAGE_TOLD["maps"]) == 9
    for line, told in zip(lines, PAGE_TOLD["maps"], strict=True):
        assert line["score"] == pytest.approx(told["score"], abs=1e-4)
        assert np.array(line["baseline"]) == pytest.approx(np.array(told["baseline"]), abs=0.2)
        assert np.array(line["polygon"]) == pytest.approx(np.array(told["polygon"]), abs=0.2)
    for name, shape in found["cuts"].items():
        cut, told = array(folder, name, shape).astype(int), stored(VECTORS / "page" / f"{name}.png")
        assert cut.shape == told.shape, name
        assert np.abs(cut - told).mean() < 0.3, name
    assert found["regions"] == PAGE_TOLD["order"]["regions"]
    upright = sorted(found["upright"], key=lambda line: np.mean(line["baseline"], axis=0)[1])
    assert upright == PAGE_TOLD["upright"]["lines"]
    assert found["small"] == np.rot90(np.arange(1, 7).reshape(2, 3), -1).ravel().tolist()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "site"
    subprocess.run(["node", EXAMPLE / "build.mjs", folder], check=True, capture_output=True)
    return folder


@pytest.mark.slow
@needs_browser
def test_the_page_reads_lines_as_the_package_does(site: Path) -> None:
    assert MODEL is not None
    told, here = browse(site, "read", *LINES), read_here(exact_reader(MODEL), LINES)
    check_requests(told)
    for kind, texts in here.items():
        cards = told[kind]
        assert [card["name"] for card in cards] == [path.name for path in LINES]
        assert all(card["ms"] > 0 for card in cards)
        assert cer_of(texts, ["\n".join(card["lines"]) for card in cards]) <= APART


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("angle", [90, -90])
def test_a_line_on_the_margin_is_found_whole_and_read_whichever_way_it_runs(
    site: Path, tmp_path: Path, angle: int
) -> None:
    assert MODEL is not None
    page, line = (ImageOps.grayscale(Image.open(path)) for path in (PAGE, LINES[0]))
    line = line.resize((820, 44)).rotate(angle, expand=True)
    wide = Image.new("L", (page.width + 120, page.height), int(np.percentile(np.asarray(page), 80)))
    wide.paste(page, (0, 0))
    wide.paste(line, (page.width + 30, 60))
    wide.save(tmp_path / "margin.png")
    [card] = browse(site, "read", tmp_path / "margin.png")["language"]
    assert len(card["lines"]) == 13
    boxes = [np.array([point.split(",") for point in polygon.split()], float) for polygon in card["polygons"]]
    [text] = [text for text, box in zip(card["lines"], boxes, strict=True) if box[:, 0].min() > page.width]
    told = LINES[0].with_suffix(".gt.txt").read_text(encoding="utf-8").strip()
    assert cer_of([told], [text]) < 25


@pytest.mark.slow
@needs_browser
def test_pages_are_compared_with_what_the_package_reads(site: Path) -> None:
    """Here with itself as the truth: what benchmarks/studies/web_pages.py counts."""
    grey = load_page(PAGE).grey
    lines = reader_of_pages().read_page(grey).lines
    polygons = tuple(np.asarray(line.polygon, float) for line in lines)
    baselines = tuple(np.asarray(line.baseline, float) for line in lines)
    page = StudyPage("page", "sample", grey, polygons, baselines, tuple(line.text for line in lines), ())
    [both] = compared(site, [page])
    assert len(both.here) == len(both.there) == 12
    assert both.errors[0].cer == 0 and both.errors[1].cer <= APART
    assert row("sample", [both]).startswith("| sample | 1 | 12 | 12 | ")


@pytest.mark.slow
@needs_browser
def test_the_page_is_used_by_keyboard_in_light_and_dark_and_on_a_phone(site: Path) -> None:
    assert MODEL is not None
    told, reader = browse(site, "use"), exact_reader(MODEL)
    check_requests(told)
    assert told["stops"] == ["files", "sample/line.png"]
    [card] = told["keyboard"]
    assert len(card["lines"]) == 1
    assert card["lines"][0]
    page = reader.read_page(PAGE)
    [card] = told["phone"]
    assert len(card["lines"]) == len(card["polygons"]) == len(page.lines) == 12
    assert card["marks"] > 0
    assert cer_of([page.text], ["\n".join(card["lines"])]) <= APART
    assert told["wide"] <= 0, "wider than the window"
    assert told["light"]["background"] != told["dark"]["background"]
    for scheme in ("light", "dark"):
        assert told[scheme]["contrast"] >= CONTRAST, scheme


def check_requests(told: dict[str, Any]) -> None:
    """Nothing was asked of another server than the page's, nor can be; and nothing went wrong."""
    assert told["errors"] == []
    assert told["stopped"] == "connect-src"
    origin = told["requests"][0].rpartition("/")[0]
    assert origin.startswith("http://127.0.0.1:")
    assert any(url.endswith(".wasm") for url in told["requests"]), "requests are not seen"
    assert [url for url in told["requests"] if not url.removeprefix("blob:").startswith(origin)] == []


@pytest.mark.slow
@needs_browser
def test_int8_operators_give_the_same_in_both(site: Path) -> None:
    """What docs/compress.md says of onnxruntime-web: where it differs, it does so in float."""
    assert MODEL is not None
    told = operators(optimised(MODEL), load_line(LINES[0])[:, :64])
    assert "QGemm, QLinearAdd, QLinearConv" in told
    assert "22 in int8" in told
    assert "| FusedGemm | 6 |" in told

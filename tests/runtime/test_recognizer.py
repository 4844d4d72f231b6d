from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import htrjand.runtime.recognizer as recognizer_module
from htrjand.runtime import HtrjandError, Recognizer, UsageError, bundled_models, formats
from htrjand.runtime.image import load_line, pad_line


@pytest.fixture
def reader(tiny_model):
    return Recognizer(tiny_model, threads=1)


def noisy_lines(draw, count: int = 40) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    lines = []
    for _ in range(count):
        text = "".join(random.choice(list(" abcé"), int(random.integers(1, 20))))
        noise = random.normal(0, 25, draw(text).shape)
        lines.append(np.clip(draw(text) + noise, 0, 255).astype(np.uint8)[:, : -int(random.integers(1, 30))])
    return lines


def test_reads_what_was_drawn(reader, draw, tmp_path):
    path = tmp_path / "line.png"
    Image.fromarray(draw("abé cab")).save(path)
    for source in (path, str(path), path.read_bytes(), draw("abé cab"), Image.open(path)):
        line = reader.read_line(source)
        assert line.text == "abé cab" and line.confidence > 0.9
    assert reader.info.name == "tiny"


def test_places_are_where_the_bars_are_in_the_image_given(reader, draw):
    large = draw("abc", height=192, scale=3)
    for place, item in enumerate(reader.read_line(large).characters):
        left = (32 + 16 * place) * 3
        assert item.x0 <= left and item.x1 >= left + 24 and item.x1 - item.x0 < 100


def test_a_batch_and_one_alone_give_the_same(reader, draw):
    lines = noisy_lines(draw)
    assert len({pad_line(load_line(line)).shape[1] for line in lines}) > 5
    alone = [reader.read_line(line) for line in lines]
    assert sum(len(line.text) for line in alone) > 100
    for batch_size in (1, 3, 8, 100):
        assert reader.read_lines(lines, batch_size) == alone


def test_order_is_kept_over_windows(reader, draw, monkeypatch):
    monkeypatch.setattr(recognizer_module, "WINDOW", 2)
    texts = ["a", "bb", "ccc", "a b", "é", "ab", "b", "c", "abc", "aéa"]
    assert [line.text for line in reader.read_lines([draw(text) for text in texts], 2)] == texts


def test_logits_of_lines(reader, draw):
    lines = [draw("a"), draw("abc"), draw("b")]
    logits = reader.logits(lines)
    assert [item.shape for item in logits] == [(20, 6), (28, 6), (20, 6)]


def test_no_lines_give_none(reader):
    assert reader.read_lines([]) == [] and reader.logits([]) == []


def test_blank_and_smallest_images(reader):
    assert reader.read_line(np.full((64, 200), 255, np.uint8)).text == ""
    for shape in ((1, 1), (5000, 1), (1, 60), (7, 3)):
        line = reader.read_line(np.zeros(shape, np.uint8))
        assert all(0 <= item.x0 < item.x1 <= shape[1] for item in line.characters)


def test_bad_lines_and_options(reader, tmp_path, draw):
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(HtrjandError, match=r"bad\.png: not an image"):
        reader.read_lines([draw("a"), tmp_path / "bad.png"])
    with pytest.raises(UsageError):
        reader.read_lines([draw("a")], batch_size=0)


def test_a_line_wider_than_the_model_takes(make_model, draw):
    with pytest.raises(HtrjandError, match="too wide for this model"):
        Recognizer(make_model(max_width=64)).read_line(draw("abc"))


def test_a_bundled_model_that_is_missing(monkeypatch):
    monkeypatch.setattr(recognizer_module, "BUNDLED", "no-such-model.onnx")
    with pytest.raises(HtrjandError, match="bundled model no-such-model.onnx is missing"):
        Recognizer()


def test_no_library_that_reads_the_bundled_model(monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)  # as on a system without any
    with pytest.raises(HtrjandError, match=r"htrjand-student-int8: no library .* pip install onnxruntime"):
        Recognizer()


@pytest.mark.parametrize(
    ("engine", "suffix", "library"),
    [
        ("onnx", ".onnx", "onnxruntime"),
        ("onnxruntime", ".onnx", "onnxruntime"),
        ("tflite", ".tflite", "ai_edge_litert"),
        ("litert", ".tflite", "ai_edge_litert"),
        ("openvino", ".xml", "openvino"),
    ],
)
def test_the_bundled_models_of_an_engine(engine, suffix, library):
    reader = Recognizer(threads=1, engine=engine)
    assert reader.path.suffix == suffix == reader.detector.path.suffix
    name, version = reader.engine.split()
    assert name == library and version[0].isdigit()


def test_an_engine_that_is_none_or_does_not_fit(tiny_model):
    with pytest.raises(UsageError, match="'caffe': no such engine; give one of onnx, onnxruntime, ort, tflite, litert"):
        Recognizer(engine="caffe")
    with pytest.raises(UsageError, match="tiny.onnx: is no model for the engine tflite"):
        Recognizer(tiny_model, engine="tflite")
    with pytest.raises(HtrjandError, match="htrjand-student-int8: does not come in a format of ort"):
        Recognizer(engine="ort")
    assert Recognizer(tiny_model, engine="onnxruntime").path == tiny_model


def test_the_bundled_model_reads_a_batch_as_alone():
    assert bundled_models()
    reader = Recognizer(threads=1)
    random = np.random.default_rng(0)
    lines = [random.integers(0, 256, (64, int(width)), np.uint8) for width in random.integers(200, 260, 12)]
    together = reader.read_lines(lines)
    for one, line in zip(together, lines, strict=True):
        alone = reader.read_line(line)
        assert alone.text == one.text and alone.confidence == pytest.approx(one.confidence, abs=1e-5)


@pytest.mark.parametrize(
    ("languages", "reads_with_it"), [(("fr",), True), (("en", "de", "fr"), True), (("fr", "pl"), False), ((), False)]
)
def test_the_bundled_language_is_for_models_that_read_its_languages_and_no_others(
    make_model, draw, languages, reads_with_it
):
    model = make_model(languages=languages, sharpness=0.0001)
    reader, plain = Recognizer(model, 1), Recognizer(model, 1, None)
    assert (reader.language is not None) == reads_with_it and plain.language is None
    line = draw("bac")
    assert (reader.read_line(line).text != plain.read_line(line).text) == reads_with_it


def test_a_beam_of_nothing(tiny_model):
    with pytest.raises(UsageError, match="a beam of 0 texts reads nothing; give 1 or more"):
        Recognizer(tiny_model, 1, beam=0)


def test_the_beam_is_as_wide_as_was_asked(draw, make_model):
    """Of a doubtful line a beam of one keeps what looks best at each frame, a wider one what is best in the end."""
    model = make_model(languages=("fr",), sharpness=0.0001)
    random = np.random.default_rng(3)
    lines = [draw("".join(random.choice(list("abcé "), 12))) for _ in range(8)]
    texts = {beam: [line.text for line in Recognizer(model, 1, beam=beam).read_lines(lines)] for beam in (1, 12, 60)}
    assert texts[1] != texts[12]


def test_readers_share_the_bundled_language(make_model):
    model = make_model(languages=("fr",))
    one, other = Recognizer(model, 1), Recognizer(model, 1)
    assert one.language.ngram is other.language.ngram
    assert set(one.language.ngram.about["languages"]) == {"fr", "en", "de"}
    assert one.language.ngram.path.stat().st_size <= 4_100_000


def test_the_bundled_language_that_is_missing(make_model, monkeypatch):
    monkeypatch.setattr(recognizer_module, "LANGUAGE", "none.lm")
    recognizer_module.bundled_ngram.cache_clear()
    with pytest.raises(HtrjandError, match="bundled language model is missing"):
        Recognizer(make_model(languages=("fr",)), 1)
    assert Recognizer(make_model(languages=("fr",)), 1, None).language is None


@pytest.mark.parametrize("sharpness", [1e-30, 1e20, 1e33])
def test_confidences_are_finite_or_the_file_is_refused(make_model, draw, sharpness):
    reader = Recognizer(make_model(sharpness=sharpness, temperature=0.01), 1, lm=None)
    if sharpness > 1e30:
        with pytest.raises(HtrjandError, match="not finite"):
            reader.read_line(draw("abc"))
    else:
        assert all(0 <= item.confidence <= 1 for item in reader.read_line(draw("abc")).characters)

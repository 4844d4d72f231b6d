from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from htrjand.runtime import HtrjandError, ModelInfo
from htrjand.runtime.info import LanguageFit, sha256
from htrjand.runtime.page.detector_info import DetectorInfo

INFO = ModelInfo(
    name="student",
    version="0.1.0",
    charset=("", " ", "a", "é", '"', "\\", "œ"),
    languages=("fr", "en"),
    licence="Apache-2.0",
    training_data=("copiste", "poilus"),
    cer={"copiste": 13.9, "poilus": 18.5},
    weights_sha256="ab" * 32,
    precision="int8",
    temperature=1.25,
    language_model=LanguageFit("cd" * 32, 0.7, 1.5, 2),
)


def fitted(**changes: object) -> str:
    return json.dumps(asdict(INFO.language_model) | changes)


def test_a_file_of_before_language_models_has_none():
    metadata = INFO.to_metadata()
    del metadata["language_model"]
    assert ModelInfo.from_metadata(metadata, "m.onnx").language_model is None


def test_metadata_come_back_as_they_went():
    metadata = INFO.to_metadata()
    assert all(isinstance(value, str) for value in metadata.values())
    assert ModelInfo.from_metadata(metadata, "m.onnx") == INFO
    assert ModelInfo.from_metadata(metadata | {"author": "somebody"}, "m.onnx") == INFO


def test_an_integrator_can_read_the_texts():
    metadata = INFO.to_metadata()
    assert metadata["format"] == "htrjand/1"
    assert json.loads(metadata["charset"]) == list(INFO.charset) and "œ" in metadata["charset"]
    assert (metadata["height"], metadata["width_multiple"], metadata["blank"]) == ("64", "16", "0")
    assert "64 rows" in metadata["preprocessing"] and float(metadata["temperature"]) == 1.25


@pytest.mark.parametrize("key", sorted(INFO.to_metadata().keys() - {"preprocessing", "seal", "language_model"}))
def test_a_missing_key_is_named(key):
    metadata = INFO.to_metadata()
    del metadata[key]
    with pytest.raises(HtrjandError, match=rf"^m\.onnx: .*{key}.*; take a model file"):
        ModelInfo.from_metadata(metadata, "m.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "htrjand/2"),
        ("charset", "abc"),
        ("charset", '"abc"'),
        ("charset", "[1, 2]"),
        ("charset", '["a", "b"]'),
        ("charset", '["", "a", "a"]'),
        ("charset", '[""]'),
        ("languages", "fr"),
        ("cer", "[]"),
        ("cer", '{"a": "b"}'),
        ("height", "sixty-four"),
        ("width_multiple", "6"),
        ("frame_stride", "0"),
        ("blank", "1"),
        ("precision", "int4"),
        ("temperature", "0"),
        ("temperature", "nan"),
        ("temperature", "1e-300"),
        ("temperature", "1e300"),
        ("width_multiple", str(10**9)),
        ("max_width", str(10**9)),
        ("height", "-64"),
        ("frame_stride", "9" * 5000),
        ("charset", "[" * 100_000),
        ("charset", "[" * 900 + "]" * 900),
        ("charset", '["", "\\ud800"]'),
        ("charset", '["", "\\u001b"]'),
        ("charset", '["", "\\u009b"]'),
        ("name", "half \ud800"),
        ("languages", '["\\ud800"]'),
        ("cer", '{"a": NaN}'),
        ("cer", '{"a": Infinity}'),
        ("cer", '{"\\ud800": 1}'),
        ("language_model", "{" * 100_000),
        ("language_model", fitted(weight=1e300)),
        ("language_model", fitted(temperature=1e-300)),
        ("language_model", "[]"),
        ("language_model", '{"seal": "cd"}'),
        ("language_model", fitted(seal="CD" * 32)),
        ("language_model", fitted(weight=-0.1)),
        ("language_model", fitted(weight=True)),
        ("language_model", fitted(seal=7)),
        ("language_model", fitted(temperature=float("inf"))),
        ("language_model", fitted(bonus="1")),
        ("language_model", fitted(bonus=float("nan"))),
        ("language_model", fitted(temperature=0)),
        ("language_model", fitted(more=1)),
    ],
)
def test_metadata_that_cannot_be_used_are_refused(key, value):
    with pytest.raises(HtrjandError, match=r"^m\.onnx: .*; take a model file"):
        ModelInfo.from_metadata(INFO.to_metadata() | {key: value}, "m.onnx")


def test_a_description_made_wrong_is_refused():
    with pytest.raises(HtrjandError, match="charset must begin"):
        ModelInfo(name="x", version="1", charset=("a", "b"))
    with pytest.raises(HtrjandError, match="charset is no tuple"):
        ModelInfo(name="x", version="1", charset="abc")


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("longer_side", str(10**9)),
        ("multiple", "0"),
        ("stride", "-4"),
        ("name", "half \ud800"),
        ("found", "[" * 100_000),
        ("found", '{"a": [NaN, 1]}'),
        ("found", '{"a": [1e999, 1]}'),
        ("training_data", '["\\udfff"]'),
    ],
)
def test_metadata_of_a_detector_that_cannot_be_used_are_refused(key, value):
    metadata = DetectorInfo(name="detector", version="1").to_metadata()
    assert DetectorInfo.from_metadata(metadata, "m.onnx").name == "detector"
    with pytest.raises(HtrjandError, match=r"^m\.onnx: .*; take a model file"):
        DetectorInfo.from_metadata(metadata | {key: value}, "m.onnx")

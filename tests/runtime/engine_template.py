"""What every engine has to pass. A test file a format makes a subclass that writes the tiny known model in it.

The model takes a frame of 4 columns for the class of `CHARSET` whose grey is nearest to the frame's mean (conftest).
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_model import CHARSET, GREYS

from htrjand.runtime import HtrjandError, ModelInfo, Recognizer, UsageError
from htrjand.runtime.info import sha256
from htrjand.runtime.seal import OPEN, PATTERN, seal


def forged(path: Path, old: bytes, new: bytes) -> Path:
    """A sealed file with some bytes changed, under a seal that is right again."""
    content = PATTERN.sub(OPEN.encode(), path.read_bytes())
    assert old in content
    path.write_bytes(content.replace(old, new))
    seal(path)
    return path


class EngineTests:
    """The template. `write` and the three names are the format's own."""

    suffix: str
    library: str  # the module that an engine imports
    extra: str  # what to install for it, as the message says
    batches = True  # whether the file takes a batch of lines at once

    def write(
        self, path: Path, metadata: dict[str, str], input_name: str = "image", output_name: str = "logits",
        sharpness: float = 0.01,
    ) -> None:  # fmt: skip
        """Writes the tiny model with these metadata (not sealed)."""
        raise NotImplementedError

    @pytest.fixture
    def make(self, tmp_path: Path) -> Any:
        def make(name: str = "tiny", metadata: dict[str, str] | None = None, **changes: Any) -> Path:
            path = tmp_path / f"{name}{self.suffix}"
            graph = {key: changes.pop(key) for key in ("input_name", "output_name", "sharpness") if key in changes}
            info = ModelInfo(name="tiny", version="1", **{"charset": CHARSET} | changes)
            self.write(path, info.to_metadata() if metadata is None else metadata, **graph)
            if metadata is None or "seal" in metadata:
                seal(path)
            return path

        return make

    def test_it_runs_and_tells_of_itself(self, make):
        reader = Recognizer(make(precision="int8", languages=("fr",), licence='"é" <œ>\n&'), threads=1)
        assert (reader.info.name, reader.info.precision, reader.info.languages) == ("tiny", "int8", ("fr",))
        assert (reader.info.charset, reader.info.licence) == (CHARSET, '"é" <œ>\n&')
        logits = reader.run(np.full((3, 1, 64, 48), 255, np.uint8))
        assert logits.shape == (3, 12, 6) and logits.dtype == np.float32 and (logits.argmax(-1) == 0).all()

    def test_it_computes_what_it_should(self, make):
        path = make(sharpness=1e-3)
        image = np.random.default_rng(0).integers(0, 256, (1, 1, 64, 32), dtype=np.uint8)
        mean = image.reshape(64, 8, 4).mean((0, 2))[:, None]  # T, 1
        greys = np.array(GREYS, np.float64)
        expected = 1e-3 * (2 * greys * mean - greys**2)  # T, V
        np.testing.assert_allclose(Recognizer(path, 1).run(image)[0], expected, atol=1e-3)

    def test_lines_of_many_widths_alone_and_in_batches(self, make, draw):
        reader = Recognizer(make(), threads=1)
        texts = ["abc", "é", "b a", "cab é cab", "a", "abc", "bbb"]
        texts = [text.replace("bb", "b") for text in texts]
        lines = [draw(text) for text in texts]
        assert [line.text for line in reader.read_lines(lines, batch_size=4)] == texts
        assert [reader.read_line(line).text for line in reversed(lines)] == texts[::-1]
        alone = [reader.read_line(line).confidence for line in lines]
        assert [line.confidence for line in reader.read_lines(lines)] == pytest.approx(alone, abs=1e-6)

    @pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    def test_a_file_cut_short(self, make, share, capfd):
        path = make()
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(HtrjandError) as caught:
            Recognizer(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ") and "\n" not in message and "again" in message
        assert capfd.readouterr() == ("", "")

    def test_a_byte_changed_anywhere(self, make):
        path = make()
        whole = path.read_bytes()
        for place in np.linspace(0, len(whole) - 1, 40).astype(int):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(HtrjandError, match="again"):
                Recognizer(path)
        path.write_bytes(whole)
        Recognizer(path)

    @pytest.mark.parametrize(
        ("metadata", "says"),
        [
            ({}, "does not describe itself"),
            ({"format": "htrjand/9"}, "htrjand/9"),
            ({"format": "htrjand/1"}, "metadata lack 'name'"),
        ],
    )
    def test_metadata_taken_out_or_of_another_edition(self, make, metadata, says):
        seal_of_it = {"seal": ModelInfo("", "", ("", "a")).to_metadata()["seal"]} if metadata else {}
        path = make(metadata=metadata | seal_of_it)
        with pytest.raises(HtrjandError, match=says) as caught:
            Recognizer(path)
        assert str(caught.value).startswith(f"{path}: ")

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"input_name": "pixels"}, "its input is .*pixels"),
            ({"output_name": "answer"}, "its output is .*answer"),
            ({"height": 48}, "48 pixels high"),
            ({"frame_stride": 8}, "frame stride do not match"),
            ({"charset": ("", "a", "b")}, "charset of 3 .* does not match the weights, which tell 6"),
        ],
        ids=lambda value: None if isinstance(value, str) else "-".join(value),
    )
    def test_a_file_that_is_not_what_it_should_be(self, make, changes, says):
        path = make(**changes)
        with pytest.raises(HtrjandError, match=says) as caught:
            Recognizer(path).run(np.zeros((1, 1, 64, 16), np.uint8))
        assert str(caught.value).startswith(f"{path}: ")

    def test_an_answer_that_is_not_finite(self, make):
        with pytest.raises(HtrjandError, match="not finite"):
            Recognizer(make(sharpness=float("nan"))).run(np.zeros((1, 1, 64, 16), np.uint8))

    def test_a_line_beyond_the_limit(self, make):
        path = make(max_width=64)
        with pytest.raises(HtrjandError, match=rf"^{re.escape(str(path))}: a line 80 columns wide .*at most 64"):
            Recognizer(path, 1).read_line(np.full((64, 70), 255, np.uint8))

    def test_a_file_that_is_no_model(self, tmp_path):
        path = tmp_path / f"letter{self.suffix}"
        path.write_text("Dear Sir, " * 100)
        with pytest.raises(HtrjandError, match=r"does not describe itself.*take a model file that htrjand exported"):
            Recognizer(path)

    def test_a_sealed_file_that_is_no_model(self, make, capfd):
        """Nobody's mistake, but it may not end the process either."""
        path = make("letter")
        path.write_text("Dear Sir, " * 10 + ModelInfo("", "", ("", "a")).to_metadata()["seal"])
        seal(path)
        with pytest.raises(HtrjandError, match="again"):
            Recognizer(path)
        assert capfd.readouterr() == ("", "")

    def test_a_description_that_is_no_text_under_a_right_seal(self, make):
        path = forged(make(), b"bilinear", b"biline\xff\xfe")
        with pytest.raises(HtrjandError, match=f"^{path}: .*again"):
            Recognizer(path)

    def test_names_that_are_no_text_under_a_right_seal(self, make, capfd):
        path = forged(make(), b"logits", b"logit\xff")
        with pytest.raises(HtrjandError, match=f"^{path}: .*again"):
            Recognizer(path)
        assert capfd.readouterr() == ("", "")

    def test_only_the_file_of_a_sha256(self, make):
        path = make()
        assert Recognizer(path, 1, sha256=sha256(path).upper()).path == path
        for other in (sha256(path)[:-1], "0" * 64, ""):
            with pytest.raises(HtrjandError, match=f"^{path}: is not the file of this SHA-256"):
                Recognizer(path, 1, sha256=other)

    def test_threads_must_be_one_or_more(self, make):
        with pytest.raises(UsageError, match="0 threads"):
            Recognizer(make(), threads=0)

    def test_threads_do_not_change_the_answer(self, make, draw):
        path = make()
        for threads in (None, 1, 2):
            assert Recognizer(path, threads).read_line(draw("ab é")).text == "ab é"

    def test_threads_that_share_a_reader_get_their_own_lines(self, make, draw):
        reader = Recognizer(make(), 1)
        texts = ["ab", "ba", "cé", "éc", "a b", "b a"] * 40  # one width: nothing but the pixels differs

        def read(texts: list[str]) -> list[str]:
            return [reader.read_line(draw(text)).text for text in texts]

        with ThreadPoolExecutor(4) as pool:
            orders = [texts[place:] + texts[:place] for place in range(4)]
            assert list(pool.map(read, orders)) == orders

    def test_nothing_is_said_while_it_reads(self, make):
        code = (
            "import sys, numpy; from htrjand.runtime import Recognizer\n"
            "Recognizer(sys.argv[1], 1).read_line(numpy.full((64, 100), 255, numpy.uint8))"
        )
        done = subprocess.run([sys.executable, "-c", code, make()], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_without_its_library_the_error_says_how_to_get_it(self, make, tmp_path):
        folder = tmp_path / "absent"
        for name in self.library.split():
            place = folder.joinpath(*name.split(".")[:-1], name.split(".")[-1] + ".py")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("raise ImportError('not here')")
        Image.new("L", (800, 64), 255).save(tmp_path / "x.png")
        code = (
            f"import sys; sys.path.insert(0, {str(folder)!r})\nfrom htrjand.cli import main\n"
            f"main(['read', '-m', {str(make())!r}, {str(tmp_path / 'x.png')!r}])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and f"pip install {self.extra}" in done.stderr
        assert len(done.stderr.splitlines()) == 1

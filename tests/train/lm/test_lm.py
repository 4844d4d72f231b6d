"""Character n-grams: counted, smoothed, pruned, written and looked up."""

from __future__ import annotations

import gzip
import json
import lzma
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from generated import printed_row

from htrjand.cli import main
from htrjand.runtime.decode.ngram import UNKNOWN_LOG, Ngram
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.runtime.seal import MARK, OPEN, seal
from htrjand.train.data.lines import write_lines
from htrjand.train.lm import counts as counting
from htrjand.train.lm.build import LmRecipe, build
from htrjand.train.lm.counts import Counts, encoded
from htrjand.train.lm.smooth import DISCOUNT, kneser_ney, pruned

CHARACTERS = ("", " ", "a", "b", "c", "é")
CODES = {char: code for code, char in enumerate(CHARACTERS)}
TEXT = "abc abc\nab cab\n\nécab abc ab\ncab cab a\n" * 3 + "bé ca\n"
RECIPE = LmRecipe(order=4, size=None, piece=0, characters=CHARACTERS, name="tiny", licence="CC0")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def file(text: Path, tmp_path: Path) -> Path:
    build([text], tmp_path / "tiny.lm", RECIPE)
    return tmp_path / "tiny.lm"


def grams(length: int) -> Counter[str]:
    """N-grams of the text, the beginning of a line as ^."""
    lines = ["^" + line for line in TEXT.splitlines() if line]
    return Counter(line[i : i + length] for line in lines for i in range(len(line) - length + 1))


def spelt(key: int, length: int) -> str:
    codes = [(key >> (8 * (length - 1 - i))) & 255 for i in range(length)]
    return "".join("^" if code == 0 else CHARACTERS[code] for code in codes)


def counted(order: int = 4) -> Counts:
    counts = Counts(order)
    for part in encoded([line for line in TEXT.splitlines() if line], CODES):
        counts.add(part)
    return counts


def test_counts_are_those_of_the_text_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for chunk in (counting.CHUNK, 10):
        monkeypatch.setattr(counting, "CHUNK", chunk)
        counts = counted()
        for length in range(1, 5):
            pairs = zip(counts.keys[length].tolist(), counts.values[length].tolist(), strict=True)
            assert {spelt(key, length): count for key, count in pairs} == grams(length)


def test_kneser_ney_is_what_the_formula_says() -> None:
    model = kneser_ney(counted(), len(CHARACTERS) - 1)

    def value(gram: str) -> float:
        """How often the longest n-grams occur, and behind how many characters the others."""
        if len(gram) == 4 or gram[0] == "^":
            return grams(len(gram))[gram]
        return sum(other[1:] == gram for other in grams(len(gram) + 1))

    def p(gram: str) -> float:
        if len(gram) == 1:
            single = {char: value(char) for char in grams(1) if char != "^"}
            return (single[gram] - DISCOUNT + DISCOUNT * len(single) / 5) / sum(single.values())
        children = [other for other in grams(len(gram)) if other[:-1] == gram[:-1]]
        whole = sum(map(value, children))
        return (value(gram) - DISCOUNT + DISCOUNT * len(children) * p(gram[1:])) / whole

    for length in range(1, 5):
        for key, found in zip(model.keys[length].tolist(), model.p[length].tolist(), strict=True):
            if (gram := spelt(key, length)) != "^":
                assert found == pytest.approx(p(gram)), gram


@pytest.mark.parametrize("size", [None, 60, 25])
def test_after_any_context_chances_sum_to_one(text: Path, tmp_path: Path, size: int | None) -> None:
    build([text], tmp_path / "x.lm", LmRecipe(**(vars(RECIPE) | {"size": size})))
    ngram = Ngram(tmp_path / "x.lm")
    every = np.arange(1, len(CHARACTERS), dtype=np.uint8)
    for context in ("", "a", "ab", "abc", "bé c", "ééé", "cab cab"):
        state = np.array([ngram.start()], np.uint32)
        for code in ngram.encode(context):
            _, state = ngram.advance(state, np.array([code], np.uint8))
        logs, _ = ngram.advance(np.repeat(state, len(every)), every)
        assert np.exp(logs).sum() == pytest.approx(1, abs=0.03), "but for what tables of 256 values round"


def test_the_file_says_what_the_model_says(file: Path) -> None:
    """Node by node, and with backoffs where an n-gram does not occur."""
    model, ngram = kneser_ney(counted(), len(CHARACTERS) - 1), Ngram(file)
    known = {
        spelt(key, length): p
        for length in range(1, 5)
        for key, p in zip(model.keys[length].tolist(), model.p[length].tolist(), strict=True)
    }
    backoffs = {
        spelt(key, length): backoff
        for length in range(1, 4)
        for key, backoff in zip(model.keys[length].tolist(), model.backoffs(length).tolist(), strict=True)
    }

    def expected(context: str, char: str) -> float:
        context = context[-3:]
        if context + char in known:
            return float(np.log(known[context + char]))
        return float(np.log(backoffs.get(context, 1.0))) + expected(context[1:], char)

    for line in ("abc ab", "éab c", "bbb", "c"):
        state, before = np.array([ngram.start()], np.uint32), "^"
        for char in line:
            logs, state = ngram.advance(state, ngram.encode(char))
            assert logs[0] == pytest.approx(expected(before, char), abs=0.02)
            before += char


def test_what_is_pruned_says_nearly_the_same(text: Path, file: Path, tmp_path: Path) -> None:
    model = kneser_ney(counted(), len(CHARACTERS) - 1)
    sizes = [pruned(model, threshold).size() for threshold in (0.0, 1e-3, 1e-2, 1.0)]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] == len(grams(1)) < sizes[0] <= model.size()
    about = build([text], tmp_path / "small.lm", LmRecipe(**(vars(RECIPE) | {"size": 40})))
    assert sum(about["ngrams"]) <= 40
    lines = TEXT.splitlines()
    whole, small = (Ngram(path).bits(lines)[0] for path in (file, tmp_path / "small.lm"))
    assert whole < small < 1.5 * whole


def test_bits_of_text_and_of_characters_it_has_not(file: Path) -> None:
    ngram = Ngram(file)
    bits, characters = ngram.bits(["abc abc", "", "cab"])
    assert characters == 10 and 0 < bits / characters < 2
    unknown, one = ngram.bits(["Ω"])
    assert (unknown, one) == (pytest.approx(-UNKNOWN_LOG / np.log(2)), 1)


def test_packed_and_plain_texts_and_lines_of_the_train_split(text: Path, file: Path, tmp_path: Path) -> None:
    for name, packed in (("t.gz", gzip.compress(TEXT.encode())), ("t.xz", lzma.compress(TEXT.encode()))):
        (tmp_path / name).write_bytes(packed)
        build([tmp_path / name], tmp_path / "packed.lm", RECIPE)
        assert Ngram(tmp_path / "packed.lm").bits(["abc cab"]) == Ngram(file).bits(["abc cab"])
    rows = [printed_row("abc", "1"), printed_row("ccc", "2", "test"), printed_row("a >b< c", "3")]
    write_lines(tmp_path / "lines.parquet", rows)
    about = build([tmp_path / "lines.parquet"], tmp_path / "lines.lm", RECIPE)
    assert about["splits"] == ["train"] and about["ngrams"] == [4, 3, 2, 1], "of abc alone"


def test_the_verbs(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "fr.lm"
    done = CliRunner().invoke(main, ["lm", "build", str(text), "-o", str(out), "--licence", "CC0"])
    assert done.exit_code == 0 and f"{out.stat().st_size:,} bytes" in done.stdout
    shown = json.loads(CliRunner().invoke(main, ["lm", "show", str(out), "-f", "json"]).stdout)
    assert (shown["name"], shown["licence"], shown["sources"], shown["order"]) == ("fr", "CC0", ["text.txt"], 7)
    scored = CliRunner().invoke(main, ["lm", "score", str(out), str(text)])
    assert scored.exit_code == 0 and "bits a character" in scored.stdout
    refused = CliRunner().invoke(main, ["lm", "build", str(text), "-o", str(out), "--split", "val"])
    assert refused.exit_code == 2 and "worthless" in refused.stderr
    write_lines(tmp_path / "lines.parquet", [printed_row("abc", "1", "val")])
    allowed = ["lm", "build", str(tmp_path / "lines.parquet"), "-o", str(out), "--split", "val", "--evaluated-texts"]
    assert CliRunner().invoke(main, allowed).exit_code == 0 and Ngram(out).about["splits"] == ["val"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.txt", None, "none.txt: no such file"),
        ("latin.txt", "é".encode("latin-1"), "latin.txt: not UTF-8"),
        ("empty.txt", b"", "no text with a character of the charset"),
        ("greek.txt", "Ωμέγα".replace("έ", "ε").encode(), "no text with a character of the charset"),
        ("cut.xz", lzma.compress(TEXT.encode())[:40], "cut.xz: cannot be unpacked"),
        ("no.gz", b"plain", "no.gz: cannot be unpacked"),
    ],
)
def test_texts_that_cannot_be_counted(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(HtrjandError, match=says):
        build([tmp_path / name], tmp_path / "x.lm", RECIPE)
    assert not list(tmp_path.glob("*.lm"))


def test_recipes_that_cannot_be() -> None:
    for changes, says in (({"order": 9}, "order of 9: 2 to 8"), ({"order": 1}, "2 to 8"), ({"size": 3}, "size of 3")):
        with pytest.raises(UsageError, match=says):
            LmRecipe(**(vars(RECIPE) | changes))


def test_files_that_are_damaged_or_no_language_model(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 60).astype(int).tolist():
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(HtrjandError, match=r"tiny\.lm: .*again"):
            Ngram(file)
        file.write_bytes(whole[:place])
        with pytest.raises(HtrjandError, match=r"tiny\.lm: .*again"):
            Ngram(file)
    with pytest.raises(HtrjandError, match=r"none\.lm: no such language model"):
        Ngram(tmp_path / "none.lm")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "htrjand-lm/9"}, "htrjand-lm/9"),
        ({"arrays": {}}, "can be used"),
        ({"characters": []}, "can be used"),
        ({"format": None}, "can be used|of format None"),
    ],
)
def test_files_that_were_sealed_again_with_other_words(file: Path, changes: dict[str, object], says: str) -> None:
    head, _, body = file.read_bytes().partition(b"\n")
    about = json.loads(head) | {"seal": OPEN} | changes
    file.write_bytes(json.dumps(about, ensure_ascii=False).encode() + b"\n" + body)
    seal(file)
    with pytest.raises(HtrjandError, match=says):
        Ngram(file)


def changed(file: Path, change: Callable[[dict[str, np.ndarray]], None]) -> Path:
    """The file with other arrays, sealed anew, as somebody would who means harm."""
    content = file.read_bytes()
    end = content.index(b"\n") + 1
    about = json.loads(content[:end])
    arrays = {
        name: np.frombuffer(content, dtype, count, end + offset).copy()
        for name, (dtype, offset, count) in about["arrays"].items()
    }
    change(arrays)
    body = bytearray(content)
    for name, (_, offset, count) in about["arrays"].items():
        assert len(arrays[name]) == count
        body[end + offset : end + offset + arrays[name].nbytes] = arrays[name].tobytes()
    place = body.index(MARK) + len(MARK)
    body[place : place + 64] = b"0" * 64
    file.write_bytes(body)
    seal(file)
    return file


def moved(source: int, target: int) -> Callable[[dict[str, np.ndarray]], None]:
    def change(arrays: dict[str, np.ndarray]) -> None:
        children = arrays["children"].astype(int)
        children[target] += children[source]
        children[source] = 0
        arrays["children"][:] = children

    return change


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("source", "target"), [(0, 1), (0, -1), (1, 0), (2, 3), (3, -1)])
def test_a_trie_that_is_none_is_refused_and_not_walked(file: Path, source: int, target: int) -> None:
    """Sums of children fit: the first of these has a root without any, and once went round for ever."""
    with pytest.raises(HtrjandError, match=r"tiny\.lm: no language model that can be used"):
        Ngram(changed(file, moved(source, target)))


def test_characters_out_of_order_are_refused(file: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["characters"][:2] = arrays["characters"][1::-1]

    with pytest.raises(HtrjandError, match="not in order"):
        Ngram(changed(file, change))


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about | {"seal": None, "other": OPEN},  # found by `make fuzz`: sealed, under another key
        lambda about: {key: value for key, value in about.items() if key != "seal"} | {"other": OPEN},
        lambda about: about | {"name": 1},
        lambda about: about | {"characters": ["", 1]},
    ],
)
def test_a_description_that_lacks_what_is_asked_of_it_is_refused(file: Path, change: Callable[[dict], dict]) -> None:
    head, _, arrays = file.read_bytes().partition(b"\n")
    about = json.loads(head)
    file.write_bytes(json.dumps(change(about | {"seal": OPEN})).encode() + b"\n" + arrays)
    seal(file)
    with pytest.raises(HtrjandError, match=r"tiny\.lm: no language model that can be used"):
        Ngram(file)


@pytest.mark.parametrize("name", ["probability_table", "backoff_table"])
def test_tables_that_are_not_finite_are_refused(file: Path, name: str) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name][0] = np.nan

    with pytest.raises(HtrjandError, match="not finite"):
        Ngram(changed(file, change))

"""Text files for synthetic lines: lists of words, and prose from which random passages are taken."""

from __future__ import annotations

import gzip
import lzma
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....runtime.errors import HtrjandError

UNPACK: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.decompress, ".gz": gzip.decompress}
PLAIN = re.compile(r"(?:[^\W_]|[\s.,;:!?'’‘()\[\]«»‹›„“”\"%&–—…°£€§*+=/-])+")  # other characters mean code or a table
ENDS = re.compile(r"(?:[ ,.;:!?)\]]|»(?= ))+")  # closing punctuation, after a space in French: no line begins with it
PASSAGE = 400  # bytes: enough for the longest line
OPENING = 0.25  # share of passages that begin a paragraph, as a quarter of the lines of letters do
TRIES = 20  # passages tried before the file is rejected
BROKEN = 0.06  # share of lines that end with the first part of a word and a hyphen


@dataclass(frozen=True)
class Prose:
    """The UTF-8 text of a file, one paragraph between line breaks, kept as bytes and decoded passage by passage."""

    path: Path
    data: bytes

    def passage(self, rng: np.random.Generator) -> list[str]:
        """The words from a random place to the end of its paragraph, at most a few dozen.

        Raises:
            HtrjandError: no prose was found in 20 tries.
        """
        for _ in range(TRIES):
            place = int(rng.integers(len(self.data)))
            opening = rng.uniform() < OPENING
            start = (self.data.rfind(b"\n", 0, place) if opening else self.data.find(b" ", place)) + 1
            end = self.data.find(b"\n", start)
            piece = self.data[start : min(end if end >= 0 else len(self.data), start + PASSAGE)]
            text = unicodedata.normalize("NFC", piece.decode("utf-8", "ignore"))  # its last character may be incomplete
            text = text[lead.end() :] if (lead := ENDS.match(text)) else text
            if len(text) >= 8 and PLAIN.fullmatch(text):
                return text.split()
        raise HtrjandError(f"{self.path}: holds no sentences; give prose, or one word a line")

    def line(self, length: float, rng: np.random.Generator) -> str:
        """At most `length` characters of a passage; in some lines the last word is hyphenated."""
        words = self.passage(rng)
        text, count = words[0], 1
        while count < len(words) and len(text) + 1 + len(words[count]) <= length:
            text, count = f"{text} {words[count]}", count + 1
        if count < len(words) and words[count].isalpha() and len(words[count]) > 6 and rng.uniform() < BROKEN:
            text = f"{text} {words[count][: int(rng.integers(3, len(words[count]) - 2))]}-"
        return text.removesuffix(" «")

    def words(self) -> list[str]:
        """Words of four letters and more from all over the text, in place of a list of words."""
        rng = np.random.default_rng(0)
        found = {word for _ in range(2000) for word in re.findall(r"[^\W\d_]{4,}", " ".join(self.passage(rng)))}
        return sorted(found)


def read_text(path: Path) -> list[str] | Prose:
    """Reads a list of words, or prose; a file may be compressed (.xz, .gz).

    Raises:
        HtrjandError: the file cannot be read, is not UTF-8, or holds neither words nor sentences.
    """
    try:
        data = UNPACK.get(path.suffix.lower(), bytes)(path.read_bytes())
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HtrjandError(f"{path}: is not UTF-8 text; convert it first") from error
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise HtrjandError(f"{path}: cannot be read ({reason}); check the path") from error
    lines = [line.strip() for line in data[:200_000].splitlines() if line.strip()]
    if sum(b" " not in line for line in lines) > 0.9 * len(lines):
        words = unicodedata.normalize("NFC", data.decode("utf-8")).split()
        return [word for word in words if word.replace("'", "").replace("-", "").isalpha() and len(word) < 24]
    data = data.replace(b"\r\n", b"\n")
    if b"\n\n" in data[:200_000]:  # paragraphs are separated by empty lines and wrapped
        data = re.sub(rb"(?<!\n)\n(?!\n)", b" ", data)
    for odd, plain in (("\u2010", "-"), ("\u2011", "-"), ("\u00ad", "")):  # hyphens that many fonts lack
        data = data.replace(odd.encode(), plain.encode())
    prose = Prose(path, data)
    prose.passage(np.random.default_rng(0))
    return prose

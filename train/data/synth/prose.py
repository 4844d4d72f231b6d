"""Text files that lines are drawn from: lists of words, and prose of which any passage can be had at once."""

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
PLAIN = re.compile(r"(?:[^\W_]|[\s.,;:!?'’‘()\[\]«»‹›„“”\"%&–—…°£€§*+=/-])+")  # anything else is code or a table
ENDS = re.compile(r"(?:[ ,.;:!?)\]]|»(?= ))+")  # set apart in French: no line begins with them
PASSAGE = 400  # bytes: enough for the longest line after a skipped word
OPENING = 0.25  # of the passages begin with their paragraph, as every fourth line of a page of letters does
TRIES = 20  # passages looked at before the file is given up
BROKEN = 0.06  # of the lines end in the first half of a word and a hyphen


@dataclass(frozen=True)
class Prose:
    """The UTF-8 text of a file, a paragraph a line, kept as bytes: nothing of it is split before it is asked for."""

    path: Path
    data: bytes

    def passage(self, rng: np.random.Generator) -> list[str]:
        """The words from some place of the text to the end of the paragraph, or a few dozen of them.

        Raises:
            HtrjandError: the text is code or a table nearly everywhere.
        """
        for _ in range(TRIES):
            place = int(rng.integers(len(self.data)))
            opening = rng.uniform() < OPENING
            start = (self.data.rfind(b"\n", 0, place) if opening else self.data.find(b" ", place)) + 1
            end = self.data.find(b"\n", start)
            piece = self.data[start : min(end if end >= 0 else len(self.data), start + PASSAGE)]
            text = unicodedata.normalize("NFC", piece.decode("utf-8", "ignore"))  # its last letter may be cut in two
            text = text[lead.end() :] if (lead := ENDS.match(text)) else text
            if len(text) >= 8 and PLAIN.fullmatch(text):
                return text.split()
        raise HtrjandError(f"{self.path}: holds no sentences; give prose, or one word a line")

    def line(self, length: float, rng: np.random.Generator) -> str:
        """So many characters of a passage, at most; now and then the last word is broken by a hyphen."""
        words = self.passage(rng)
        text, count = words[0], 1
        while count < len(words) and len(text) + 1 + len(words[count]) <= length:
            text, count = f"{text} {words[count]}", count + 1
        if count < len(words) and words[count].isalpha() and len(words[count]) > 6 and rng.uniform() < BROKEN:
            text = f"{text} {words[count][: int(rng.integers(3, len(words[count]) - 2))]}-"
        return text.removesuffix(" «")

    def words(self) -> list[str]:
        """Longer words from all over the text, for where there is no list of words."""
        rng = np.random.default_rng(0)
        found = {word for _ in range(2000) for word in re.findall(r"[^\W\d_]{4,}", " ".join(self.passage(rng)))}
        return sorted(found)


def read_text(path: Path) -> list[str] | Prose:
    """The words of a list of words, or prose; a file may be compressed (.xz, .gz).

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
    if b"\n\n" in data[:200_000]:  # paragraphs are set apart by empty lines, and broken into lines of one width
        data = re.sub(rb"(?<!\n)\n(?!\n)", b" ", data)
    for odd, plain in (("\u2010", "-"), ("\u2011", "-"), ("\u00ad", "")):  # hyphens that fonts lack
        data = data.replace(odd.encode(), plain.encode())
    prose = Prose(path, data)
    prose.passage(np.random.default_rng(0))
    return prose

"""From texts to an n-gram file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import __version__
from ...runtime.decode.ngram import Ngram
from ...runtime.errors import HtrjandError, UsageError
from ...runtime.files import atomic_path
from ..data.charset import WESTERN
from .counts import Counts, encoded
from .smooth import kneser_ney, pruned_to
from .texts import PIECE, is_lines, prose, transcriptions
from .write import write

LONGEST = 8  # characters of an n-gram: as many as 64 bits hold


@dataclass(frozen=True)
class LmRecipe:
    """How an n-gram is built."""

    order: int = 7  # characters of the longest n-grams
    size: int | None = 1_300_000  # n-grams to keep at most; none: all
    piece: int = PIECE  # characters of prose that count as a line; 0: its lines as they are
    lines_weight: float = 10.0  # how often the text of a line file counts, against once for prose
    splits: tuple[str, ...] = ("train",)  # of line files
    languages: tuple[str, ...] = ()  # of lines; none: all
    exclude: tuple[str, ...] = ()  # datasets of lines to leave out
    characters: tuple[str, ...] = WESTERN  # the first is ""
    name: str = "htrjand-lm"
    licence: str = ""

    def __post_init__(self) -> None:
        if not 2 <= self.order <= LONGEST:
            raise UsageError(f"an order of {self.order}: 2 to {LONGEST} characters")
        if self.size is not None and self.size < len(self.characters):
            raise UsageError(f"a size of {self.size}: at least one n-gram a character, {len(self.characters)}")


def build(
    paths: Sequence[Path], out: Path, recipe: LmRecipe, log: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Counts texts, smooths, prunes, and writes `out`; returns what the file says of itself.

    Raises:
        HtrjandError: a text cannot be read, or there is none.
    """
    codes = {char: code for code, char in enumerate(recipe.characters)}
    counts = Counts(recipe.order)
    sources: list[str] = []
    for path in paths:
        datasets: Counter[str] = Counter()
        lines, weight = texts_of(path, recipe, datasets)
        characters = 0
        for part in encoded(lines, codes):
            counts.add(part, weight)
            characters += len(part)
        log(f"{path}: {characters:,} characters")
        sources += [f"{name}: {count} lines" for name, count in sorted(datasets.items())] or [path.name]
    seen = int((counts.keys[1] != 0).sum())
    if not seen:
        raise HtrjandError(f"{', '.join(map(str, paths))}: no text with a character of the charset; name other files")
    model = kneser_ney(counts, len(recipe.characters) - 1)
    log(f"{model.size():,} n-grams of up to {recipe.order} characters")
    model, threshold = pruned_to(model, recipe.size or model.size())
    log(f"{model.size():,} n-grams kept")
    about = {
        "name": recipe.name, "version": __version__, "licence": recipe.licence, "languages": list(recipe.languages),
        "sources": sources, "splits": list(recipe.splits) if any(map(is_lines, paths)) else [],
        "smoothing": "interpolated Kneser-Ney", "pruned below": threshold, "folding": "htrjand.runtime.text.normalize",
    }  # fmt: skip
    with atomic_path(out) as part_path:
        write(model, list(recipe.characters), about, part_path)
        return Ngram(part_path).about


def texts_of(path: Path, recipe: LmRecipe, datasets: Counter[str]) -> tuple[Iterable[str], float]:
    """The lines of a path, and how often each counts; `datasets` gets the number of lines of each, as they are read."""
    if is_lines(path):
        return transcriptions(path, recipe.splits, recipe.languages, recipe.exclude, datasets), recipe.lines_weight
    return prose(path, recipe.piece), 1.0

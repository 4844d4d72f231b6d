"""What a drawn line's look is taken from: every range at difficulty 0 and at 1, and whatever lies between."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from ....runtime.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
Range = tuple[float, float]
LEVELS = {"easy": 0.1, "medium": 0.5, "hard": 0.9}


@dataclass(frozen=True)
class Look:
    """Ranges are (least, most), drawn evenly; single numbers are chances or deviations. The defaults are difficulty 0.

    Lengths of the hand are shares of the height from ascender to descender; grey levels are of 255.
    """

    # the hand
    slant: Range = (-0.05, 0.15)  # columns to the right for a row upward
    width: Range = (0.95, 1.2)  # of the letters, as a factor: narrow letters touch
    word_space: Range = (0.9, 1.4)  # of the space between words, as a factor
    word_size: float = 0.02  # deviation of a word's size
    word_shift: float = 0.01  # of a word's height above the baseline
    climb: Range = (-0.003, 0.003)  # rows that the line rises for a column
    drift: Range = (0.0, 0.02)  # of the baseline, up and down over some words
    uneven: Range = (0.0, 0.02)  # of the letters' size and place
    tremor: Range = (0.0, 0.008)  # of the strokes, over some letters
    # the pen
    pen: Range = (0.035, 0.06)  # width of a stroke
    pressure: Range = (0.0, 0.05)  # how far that wanders along the line, as a share
    nib: Range = (0.0, 0.2)  # how much thicker downstrokes are, in strokes
    contrast: Range = (150, 235)  # grey levels between a full stroke and the paper
    flow: Range = (0.0, 0.15)  # share of the ink that may be missing along a stroke
    pencil: float = 0.0  # chance of a pencil's grain
    # the paper
    paper: Range = (225, 255)  # grey
    light: Range = (0.0, 3.0)  # grey levels from one end of the line to the other
    stain: Range = (0.0, 1.5)  # deviation of the paper's grey over centimetres
    grain: Range = (0.0, 1.5)  # from pixel to pixel, in clumps
    ruled: float = 0.1  # chance of a ruled line under the text, or of squares
    margin: float = 0.0  # chance of a vertical line at an end
    blots: float = 0.0  # chance of spots
    bleed: float = 0.0  # chance that the other side shows through
    # the crop
    above: Range = (0.0, 0.12)  # room over the ink, of its height; less than nothing cuts it
    below: Range = (0.0, 0.12)
    neighbours: float = 0.0  # chance of strokes from the lines above and below
    polygon: float = 0.0  # chance that what lies outside a polygon is painted over
    # the scanner
    cleaned: float = 0.5  # chance of paper made white by the scanner's levels
    blur: Range = (0.3, 0.6)  # pixels
    coarse: Range = (1.0, 1.0)  # pixels of the line for one of the scanner
    noise: Range = (0.0, 1.5)  # grey levels
    jpeg: float = 0.1  # chance of strong JPEG compression before all else


HARD = Look(
    slant=(-0.3, 0.6),
    width=(0.72, 1.4),
    word_space=(0.45, 1.7),
    word_size=0.08,
    word_shift=0.04,
    climb=(-0.008, 0.008),
    drift=(0.0, 0.09),
    uneven=(0.02, 0.07),
    tremor=(0.006, 0.022),
    pen=(0.025, 0.085),
    pressure=(0.05, 0.25),
    nib=(0.0, 0.7),
    contrast=(45, 175),
    flow=(0.05, 0.5),
    pencil=0.35,
    paper=(120, 250),
    light=(0.0, 40.0),
    stain=(1.0, 9.0),
    grain=(0.5, 5.5),
    ruled=0.55,
    margin=0.2,
    blots=0.2,
    bleed=0.4,
    above=(-0.06, 0.55),
    below=(-0.06, 0.45),
    neighbours=0.6,
    polygon=0.55,
    cleaned=0.2,
    blur=(0.3, 1.1),
    coarse=(1.0, 1.7),
    noise=(0.5, 5.0),
    jpeg=0.5,
)


def look_at(difficulty: float) -> Look:
    """The look at a difficulty of 0 (clean) to 1: every number lies between that of `Look()` and that of `HARD`."""
    return between(Look(), HARD, difficulty)


def between(clean: T, hard: T, difficulty: float) -> T:
    """What lies so far from one dataclass of ranges and numbers to another of the same kind."""
    if not 0 <= difficulty <= 1:
        raise UsageError(f"difficulty {difficulty}: it is 0 to 1")
    mixed: dict[str, Any] = {}
    for field in fields(clean):
        easy, worst = getattr(clean, field.name), getattr(hard, field.name)
        if isinstance(easy, tuple):
            mixed[field.name] = tuple(a + difficulty * (b - a) for a, b in zip(easy, worst, strict=True))
        else:
            mixed[field.name] = easy + difficulty * (worst - easy)
    return type(clean)(**mixed)

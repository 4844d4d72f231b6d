"""The ranges that a drawn line's appearance is drawn from, at difficulty 0, at 1 and in between."""

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
    """How a line of handwriting may look; the defaults are difficulty 0.

    Ranges are (least, most), drawn uniformly; single numbers are probabilities or standard deviations. Lengths are
    shares of the height from ascender to descender; grey levels are 0 to 255.
    """

    # the hand
    slant: Range = (-0.05, 0.15)  # columns to the right for each row upwards
    width: Range = (0.95, 1.2)  # factor of the letters' width; narrow letters touch
    word_space: Range = (0.9, 1.4)  # factor of the space between words
    word_size: float = 0.02  # deviation of a word's relative size
    word_shift: float = 0.01  # deviation of a word's distance from the baseline
    climb: Range = (-0.003, 0.003)  # rows that the line rises for each column
    drift: Range = (0.0, 0.02)  # of the baseline, up and down over a few words
    uneven: Range = (0.0, 0.02)  # displacement of whole letters
    tremor: Range = (0.0, 0.008)  # displacement within letters
    # the pen
    pen: Range = (0.035, 0.06)  # width of a stroke
    pressure: Range = (0.0, 0.05)  # relative change of the stroke width along the line
    nib: Range = (0.0, 0.2)  # extra width of downstrokes, in stroke widths
    contrast: Range = (150, 235)  # grey levels between a full stroke and the paper
    flow: Range = (0.0, 0.15)  # share of the ink that may be missing along a stroke
    pencil: float = 0.0  # chance of a pencil's grain
    # the paper
    paper: Range = (225, 255)  # grey level
    light: Range = (0.0, 3.0)  # grey levels from one end of the line to the other
    stain: Range = (0.0, 1.5)  # deviation of the paper's grey in large patches
    grain: Range = (0.0, 1.5)  # deviation of the paper's grey in patches of a few pixels
    ruled: float = 0.1  # chance of a ruled line under the text, or of squares
    margin: float = 0.0  # chance of a vertical rule at one end
    blots: float = 0.0  # chance of spots
    bleed: float = 0.0  # chance that the writing on the back shows through
    # the crop
    above: Range = (0.0, 0.12)  # space above the ink, as a share of its height; a negative one cuts the ink
    below: Range = (0.0, 0.12)  # the same below
    neighbours: float = 0.0  # chance of strokes of the lines above and below
    polygon: float = 0.0  # chance that pixels outside a polygon are painted over
    # the scanner
    cleaned: float = 0.5  # chance that the scanner's levels make the paper white
    blur: Range = (0.3, 0.6)  # standard deviation in pixels
    coarse: Range = (1.0, 1.0)  # factor by which the scanner's pixels are larger
    noise: Range = (0.0, 1.5)  # grey levels
    jpeg: float = 0.1  # chance of strong JPEG compression at the end


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
    """The look at a difficulty of 0 (clean) to 1: each number is interpolated between `Look()` and `HARD`."""
    return between(Look(), HARD, difficulty)


def between(clean: T, hard: T, difficulty: float) -> T:
    """Interpolates the ranges and numbers of two dataclasses of one class linearly."""
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

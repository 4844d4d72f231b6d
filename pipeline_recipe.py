"""The recipe of `htrjand run`: a part a stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from .compress.distill import DistillRecipe
from .compress.qat import QatRecipe
from .compress.quantize.recipe import QuantizeRecipe
from .export.proof import BUDGET
from .runtime.formats import FORMATS, PRECISIONS
from .train.recipe import DataRecipe, TrainRecipe
from .train.recipe_loader import at_least_one


@dataclass(frozen=True)
class TeacherStage:
    """A teacher: trained here, or weights that exist."""

    weights: str | None = None  # relative to the recipe; then nothing is trained
    train: TrainRecipe = field(default_factory=TrainRecipe)
    max_cer: float = 100.0  # percent; a worse teacher stops the run


@dataclass(frozen=True)
class StudentStage:
    """A student: distilled here, or weights that exist."""

    weights: str | None = None  # relative to the recipe; then nothing is trained
    distill: DistillRecipe = field(default_factory=DistillRecipe)
    max_cer_increase: float = 2.0  # points over the teacher


@dataclass(frozen=True)
class PruneStage:
    """How much of the student is pruned, and how the rest learns again; nothing is pruned at a ratio of 0."""

    ratio: float = 0.0  # share of the channels and hidden units that goes
    steps: int = 1  # in how many parts, each followed by its share of the lines
    distill: DistillRecipe = field(default_factory=lambda: DistillRecipe(inherit=False, control=False))
    max_cer_increase: float = 1.0  # points over the student


@dataclass(frozen=True)
class QuantizeStage:
    """How int8 files are made, and what is tried where they break their budget."""

    calibrate: int = QuantizeRecipe.calibrate  # training lines that the ranges of activations are seen on
    draws: int = 1  # other calibration lines are drawn, up to so many times, where a file breaks its budget
    keep: tuple[str, ...] = QuantizeRecipe.keep  # modules that stay in float
    search: bool = False  # let a search choose `keep`, or find that fine-tuning is needed
    qat: QatRecipe | None = None  # fine-tuning where int8 files break their budget; None: the run stops there
    max_cer_increase: float = BUDGET  # points over the float weights, on each data set, of every file

    def __post_init__(self) -> None:
        at_least_one(self, "calibrate", "draws")


@dataclass(frozen=True)
class ExportStage:
    """Which files."""

    formats: tuple[str, ...] = tuple(form.name for form in FORMATS.values())  # by their suffixes, without the dot
    precisions: tuple[str, ...] = PRECISIONS  # fp32, fp16 (where the format has it) and int8
    widths: tuple[int, ...] = ()  # of .tflite files that take lines of one width, beside the one that takes any
    max_bytes: int = 1_000_000  # of an int8 file; an .ort, a tenth larger than its .onnx, is not held to it

    def __post_init__(self) -> None:
        for name, chosen, known in (
            ("formats", self.formats, [form.name for form in FORMATS.values()]),
            ("precisions", self.precisions, PRECISIONS),
        ):
            if not chosen or set(chosen) - set(known):
                raise ValueError(f"{name}: some of {', '.join(known)}; got {', '.join(chosen) or 'none'}")


@dataclass(frozen=True)
class ProveStage:
    """The lines that weights and files are held to their budgets on."""

    split: str = "val"  # train, val or test
    datasets: tuple[str, ...] = ()  # none: all
    core: bool = False  # only the lines that their files mark as core


@dataclass(frozen=True)
class BenchStage:
    """What is measured at the end; none of it decides anything."""

    split: str = "test"  # train, val or test
    datasets: tuple[str, ...] = ()  # none: all
    limit: int | None = None  # lines a data set
    queries: int = 100  # readings, at least, of each file
    seconds: float = 10.0  # of reading, at least, of each file
    cold_starts: int = 5  # processes that open each file and read one line
    threads: tuple[int, ...] = (1,)  # none: one, and all cores


@dataclass(frozen=True)
class PipelineRecipe:
    """All of a run. `data` holds for every stage that trains."""

    name: str = "student"  # begins the names of the files
    data: DataRecipe = field(default_factory=DataRecipe)
    teacher: TeacherStage = field(default_factory=TeacherStage)
    student: StudentStage = field(default_factory=StudentStage)
    prune: PruneStage = field(default_factory=PruneStage)
    quantize: QuantizeStage = field(default_factory=QuantizeStage)
    export: ExportStage = field(default_factory=ExportStage)
    prove: ProveStage = field(default_factory=ProveStage)
    bench: BenchStage | None = field(default_factory=BenchStage)

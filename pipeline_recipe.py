"""The recipe of `htrjand run`: a part a stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from .compress.distill import DistillRecipe
from .compress.qat import QatRecipe
from .compress.quantize.recipe import QuantizeRecipe
from .export.proof import BUDGET
from .runtime.formats import FORMATS, PRECISIONS
from .runtime.image import MAX_WIDTH, WIDTH_MULTIPLE
from .train.data.lines import SPLITS
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
    draws: int = 1  # samples of calibration lines that are tried at most, until a file keeps its budget
    keep: tuple[str, ...] = QuantizeRecipe.keep  # modules that stay in float
    search: bool = False  # let a search choose `keep`, or find that fine-tuning is needed
    qat: QatRecipe | None = None  # fine-tuning where int8 files break their budget; None: the run stops there
    max_cer_increase: float = BUDGET  # points over the float weights, on each dataset, of every file

    def __post_init__(self) -> None:
        at_least_one(self, "calibrate", "draws")


@dataclass(frozen=True)
class ExportStage:
    """Which files."""

    formats: tuple[str, ...] = tuple(form.name for form in FORMATS.values())  # by their suffixes, without the dot
    precisions: tuple[str, ...] = PRECISIONS  # fp32, fp16 (where the format has it) and int8
    widths: tuple[int, ...] = ()  # of files that take lines of one width (tflite), beside the one that takes any
    max_bytes: int = 1_000_000  # of an int8 file; an .ort, a tenth larger than its .onnx, is not held to it

    def __post_init__(self) -> None:
        for width in self.widths:
            if width % WIDTH_MULTIPLE or not 0 < width <= MAX_WIDTH:
                raise ValueError(f"widths: multiples of {WIDTH_MULTIPLE}, at most {MAX_WIDTH}; got {width}")
        for name, chosen, known in (
            ("formats", self.formats, [form.name for form in FORMATS.values()]),
            ("precisions", self.precisions, PRECISIONS),
        ):
            if not chosen or set(chosen) - set(known):
                raise ValueError(f"{name}: some of {', '.join(known)}; got {', '.join(chosen) or 'none'}")
        forms = [form for form in FORMATS.values() if form.name in self.formats]
        if self.widths and not any(form.fixed_width for form in forms):
            raise ValueError(
                f"widths: no file of {', '.join(self.formats)} is made for one width; name tflite, or none"
            )
        if not any(precision in form.precisions for form in forms for precision in self.precisions):
            raise ValueError(f"precisions: {', '.join(self.formats)} files have no {', '.join(self.precisions)}")


@dataclass(frozen=True)
class ProveStage:
    """The lines on which the budgets of CER are checked."""

    split: str = "val"  # train, val or test
    datasets: tuple[str, ...] = ()  # none: all
    core: bool = False  # only the lines that their files mark as core

    def __post_init__(self) -> None:
        check_split(self.split)


@dataclass(frozen=True)
class BenchStage:
    """What is measured at the end; none of it decides anything."""

    split: str = "test"  # train, val or test
    datasets: tuple[str, ...] = ()  # none: all
    limit: int | None = None  # lines a dataset
    queries: int = 100  # readings, at least, of each file
    seconds: float = 10.0  # of reading, at least, of each file
    cold_starts: int = 5  # processes that open each file and read one line
    threads: tuple[int, ...] = (1,)  # none: one, and all cores

    def __post_init__(self) -> None:
        check_split(self.split)
        at_least_one(self, "queries", "cold_starts", *(["limit"] if self.limit is not None else []))


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

    def __post_init__(self) -> None:
        if not self.name or set(self.name) & set("/\\"):
            raise ValueError(f"name: the beginning of file names, without / and \\; got {self.name!r}")
        distills = (("student.distill", self.student.distill), ("prune.distill", self.prune.distill))
        trains = (("teacher.train", self.teacher.train), *((f"{name}.train", stage.train) for name, stage in distills))
        set_by_run = [(f"{name}.data", train.data == DataRecipe(), "data") for name, train in trains]
        set_by_run += [
            (f"{name}.teacher", stage.teacher == DistillRecipe.teacher, "teacher") for name, stage in distills
        ]
        set_by_run.append(("prune.distill.train.begin", self.prune.distill.train.begin is None, "student"))
        if tune := self.quantize.qat:
            set_by_run += [
                ("quantize.qat.data", tune.data == DataRecipe(), "data"),
                ("quantize.qat.begin", tune.begin == QatRecipe.begin, "student and prune"),
                ("quantize.qat.keep", tune.keep == QatRecipe.keep, "quantize.keep"),
            ]
        for key, untouched, source in set_by_run:
            if not untouched:
                raise ValueError(f"{key}: a run takes this from {source}; leave it out here")


def check_split(split: str) -> None:
    """Raises a ValueError for a split that there is not."""
    if split not in SPLITS:
        raise ValueError(f"split: one of {', '.join(SPLITS)}, not {split!r}")

"""Ablation: the whole of a recipe against the same without one of its parts, the same lines, budget and seeds."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from ...compress.distill import DistillRecipe, run
from ...runtime.errors import UsageError
from ...runtime.files import atomic_path
from ...runtime.text import json_text
from ...train.checkpoint import Card, load_network
from ...train.dataset import Data, load_data
from ...train.fit import Log, Machine
from ...train.network import Network
from ...train.recipe import TrainRecipe

NETWORK = ("gate", "squeeze_excite", "proxima", "self_attention")  # switches of the network's recipe
PARTS = (*NETWORK, "distillation", "curriculum", "synthetic")
WHOLE = "whole"


@dataclass(frozen=True)
class AblateRecipe:
    """A distillation with everything on, and which parts of it are to be taken out in turn."""

    distill: DistillRecipe = field(default_factory=DistillRecipe)
    without: tuple[str, ...] = PARTS  # parts to leave out, one at a time
    seeds: tuple[int, ...] = (1, 2)  # each variant is trained with each
    synthetic: str = "synthetic"  # the dataset that holds the synthetic lines

    def __post_init__(self) -> None:
        unknown = set(self.without) - set(PARTS)
        if unknown:
            raise ValueError(f"without: no part {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
        if not self.seeds:
            raise ValueError("seeds: at least one")
        if self.distill.inherit:
            raise ValueError("distill.inherit: false, since not every variant can take a teacher's weights")


@dataclass(frozen=True)
class Row:
    """A variant: parameters in millions, and CER on the validation lines in percent, one number a seed."""

    variant: str
    parameters: float
    cer: tuple[float, ...]
    lines_seen: tuple[int, ...]

    @property
    def mean(self) -> float:
        return statistics.mean(self.cer)


def ablate(
    recipe: AblateRecipe, recipe_path: Path, out: Path, *, max_time: float | None = None,
    machine: Machine | None = None, log: Log = print,
) -> list[Row]:  # fmt: skip
    """Trains each variant with each seed, a folder each; writes `ablation.json` and `ablation.md` when all are done.

    Finished runs are not repeated. Parts that the recipe does not use are refused, since nothing would change.

    Args:
        max_time: seconds for each run.
    """
    machine, log = machine or Machine(), rank_zero_only(log)
    check_parts(recipe, recipe_path)
    path = recipe_path.resolve().parent / recipe.distill.teacher
    teacher, card = load_network(path)
    loaded: dict[bool, Data] = {}
    rows: list[Row] = []
    for variant in (WHOLE, *recipe.without):
        with_synthetic = variant != "synthetic"
        changed = replace(recipe.distill, train=without(recipe.distill.train, variant, recipe.synthetic))
        if with_synthetic not in loaded:
            loaded[with_synthetic] = load_data(changed.train.data, recipe_path, card.charset)
            log(loaded[with_synthetic].notes)
            check_synthetic(loaded[True], recipe, recipe_path)
        outcomes = []
        for seed in recipe.seeds:
            seeded = replace(changed, train=replace(changed.train, seed=seed))
            kind = "control" if variant == "distillation" else "student"
            folder = out / f"{variant}-{seed}"
            outcomes.append(
                run(
                    kind,
                    seeded,
                    recipe_path,
                    path,
                    teacher,
                    card,
                    loaded[with_synthetic],
                    folder,
                    max_time,
                    machine,
                    log,
                )
            )
            log(f"{variant}, seed {seed}: {outcomes[-1].val_cer:.2f} % CER on the validation lines")
        cer, seen = tuple(o.val_cer for o in outcomes), tuple(o.lines_seen for o in outcomes)
        rows.append(Row(variant, parameters(changed.train, card), cer, seen))
    write(rows, out)
    return rows


@rank_zero_only
def write(rows: list[Row], out: Path) -> None:
    """Both files of the result."""
    with atomic_path(out / "ablation.json") as part:
        part.write_text(json_text([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    with atomic_path(out / "ablation.md") as part:
        part.write_text(table(rows) + "\n", encoding="utf-8")


def without(recipe: TrainRecipe, variant: str, synthetic: str) -> TrainRecipe:
    """The recipe with one part taken out; unchanged for the whole, and for distillation, whose run is a control.

    Without a curriculum the whole run is as its last stage, with that one's mix of datasets and its distortions.
    """
    if variant in NETWORK:
        return replace(recipe, network=replace(recipe.network, **{variant: False}))  # type: ignore[arg-type]
    if variant == "curriculum":
        return replace(recipe, stages=recipe.stages[-1:])
    if variant == "synthetic":
        kept = (replace(s, mix={name: n for name, n in s.mix.items() if name != synthetic}) for s in recipe.stages)
        data = replace(recipe.data, exclude=(*recipe.data.exclude, synthetic))
        return replace(
            recipe, data=data, stages=tuple(stage for stage in kept if any(stage.mix.values()) or not stage.mix)
        )
    return recipe


def check_parts(recipe: AblateRecipe, recipe_path: Path) -> None:
    """Refuses to take out what is not in."""
    if "curriculum" in recipe.without and len(recipe.distill.train.stages) < 2:
        raise UsageError(
            f"{recipe_path}: has no two stages, so nothing would change without curriculum; give it more, or name the "
            "other parts in `without`"
        )
    absent = [part for part in NETWORK if part in recipe.without and not getattr(recipe.distill.train.network, part)]
    if absent:
        raise UsageError(f"{recipe_path}: the network has no {', '.join(absent)} as it is; leave them out of `without`")


def check_synthetic(data: Data, recipe: AblateRecipe, recipe_path: Path) -> None:
    """Refuses to take out synthetic lines where there are none."""
    if "synthetic" in recipe.without and recipe.synthetic not in data.origins:
        raise UsageError(
            f"{recipe_path}: no training line of the dataset {recipe.synthetic!r}; draw some with `htrjand data synth` "
            "and name their dataset in `synthetic`, or leave that part out of `without`"
        )


def parameters(recipe: TrainRecipe, card: Card) -> float:
    """Millions, without the heads that only training has."""
    network = Network(recipe.network, len(card.charset))
    return sum(p.numel() for name, p in network.named_parameters() if not name.startswith("shortcut.")) / 1e6


def table(rows: list[Row]) -> str:
    """Markdown: a line a variant, with the spread over the seeds and the distance to the whole."""
    whole = rows[0].mean
    lines = [
        "| without | parameters, M | lines seen | CER, % (mean of the seeds) | least – most | against the whole |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        name = "nothing: the whole" if row.variant == WHOLE else row.variant
        away = "" if row.variant == WHOLE else f"{row.mean - whole:+.2f}"
        spread = f"{min(row.cer):.2f} – {max(row.cer):.2f}"
        seen = statistics.mean(row.lines_seen)
        lines.append(f"| {name} | {row.parameters:.3f} | {seen:,.0f} | {row.mean:.2f} | {spread} | {away} |")
    return "\n".join(lines)

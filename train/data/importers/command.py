"""`htrjand data import`, behind its options: a format guessed, a bar, and what was written and left out on stderr."""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from ....runtime.errors import UsageError
from ....runtime.files import atomic_path
from ..lines import SPLITS
from . import FORMATS, Source, import_lines
from .guess import guess_format
from .run import Outcome, import_file

LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")  # the form of BCP 47


def run(form: str | None, output: Path, report: Path | None, **options: Any) -> Outcome:
    """Imports as the options of the command say."""
    val_share, test_share = options.pop("val_share"), options.pop("test_share")
    if val_share + test_share >= 1:
        raise UsageError("--val-share and --test-share leave nothing to train on; give smaller ones")
    source, form = source_of(form, **options)
    if output.suffix.lower() != ".parquet":
        raise UsageError(f"{output}: give a name that ends in .parquet")
    if output.exists() and source.path.exists() and output.samefile(source.path):
        raise UsageError(f"{output}: is the source too; write to another file")
    warnings.filterwarnings("ignore", module="PIL")  # of a file that is half broken: it is read, or its line left out
    with click.progressbar(
        import_lines(source, form), label="importing", show_pos=True, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as found:
        outcome = import_file(found, output, val_share, test_share)
    tell(outcome, output)
    if report:
        with atomic_path(report) as part:
            content = outcome.as_dict(source=str(source.path), format=form, output=str(output))
            part.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return outcome


def source_of(
    form: str | None, source: Path, dataset: str | None, lang: str | None, **others: Any
) -> tuple[Source, str]:
    """What to import, and its format."""
    if form is None:
        form = guess_format(source)
        say(f"{source}: taken as {form} ({FORMATS[form].help})")
    if form not in FORMATS:
        raise UsageError(f"format {form!r}: it is one of {', '.join(FORMATS)}")
    if lang and not LANGUAGE.fullmatch(lang):
        raise UsageError(f"--lang {lang!r}: write it as fr, en or de-CH")
    if others["images"] and not others["images"].is_dir():
        raise UsageError(f"--images {others['images']}: no such folder")
    layout = FORMATS[form]
    name = dataset or (form if layout.named else (source.stem if source.is_file() else source.resolve().name))
    return Source(path=source, dataset=name, lang=lang or layout.lang, **others), form


def tell(outcome: Outcome, output: Path) -> None:
    """What was written, and what was left out for which reason."""
    counts = ", ".join(f"{split} {outcome.splits[split]:,}" for split in SPLITS if outcome.splits[split])
    say(
        f"{output}: {outcome.line_count:,} lines ({counts})" + (f", dealt out {outcome.dealt}" if outcome.dealt else "")
    )
    for reason, count in outcome.skipped.most_common():
        say(f"left out {count:,}: {reason} (first: {outcome.examples[reason]})")


def say(text: str) -> None:
    """One line on stderr."""
    click.echo(f"htrjand: {' '.join(text.split())}", err=True)

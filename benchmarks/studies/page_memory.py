"""How much memory `htrjand read` takes as it goes through many pages: it may not grow with them.

    python -m htrjand.benchmarks.studies.page_memory 1000 -f pdf

Draws ten small pages of the bundled sample's lines, links to them by as many names as pages are asked for, reads them
all into one file, and prints the memory in use (resident set) after 100 pages, after all, and at most while the file
is written.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from PIL import Image

LINES = sorted((Path(__file__).resolve().parents[1] / "sample" / "lines").glob("*.png"))
FIRST = 100  # pages after which all that a run needs is there


@click.command()
@click.argument("pages", type=click.IntRange(2 * FIRST))
@click.option("-f", "--format", "form", default="pdf", show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
def main(pages: int, form: str, workers: int) -> None:
    """Measure the memory of reading PAGES pages."""
    with tempfile.TemporaryDirectory() as folder:
        box, out = Path(folder) / "box", Path(folder) / "out"
        draw(box, pages)
        words = ["-o", out, "-f", form, "--no-lm", "--threads", "1", "--workers", workers]
        command = [sys.executable, "-m", "htrjand", "read", box, *words]
        with subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, text=True) as process:
            memory = watched(process, Path(f"{out}.part"), pages)
            assert process.stderr is not None
            summary = process.stderr.read().strip()
    growth = 100 * (memory[pages] / memory[FIRST] - 1)
    first, last, writing = (memory[key] / 1024 for key in (FIRST, pages, -1))
    click.echo(f"after {FIRST} pages {first:.1f} MB, after {pages} {last:.1f} MB ({growth:+.1f} %)")
    click.echo(f"while the file is written {writing:.1f} MB at most\n{summary}")


def draw(box: Path, pages: int) -> None:
    """Small pages of two lines each: ten, under many names."""
    (box / "drawn").mkdir(parents=True)
    for number in range(10):
        page = Image.new("L", (1100, 400), 250)
        for place in range(2):
            page.paste(Image.open(LINES[(number + 5 * place) % len(LINES)]).convert("L"), (60, 80 + 120 * place))
        page.save(box / "drawn" / f"{number}.png")
    for number in range(pages):
        (box / f"{number:05}.png").symlink_to(box / "drawn" / f"{number % 10}.png")


def watched(process: subprocess.Popen[str], part: Path, pages: int) -> dict[int, int]:
    """Resident memory in kB after so many pages; under -1 the most since the last of them."""
    memory = {FIRST: 0, pages: 0, -1: 0}
    read = place = 0
    while process.poll() is None:
        now = resident(process.pid)
        if part.is_file():
            with part.open("rb") as stream:
                stream.seek(place)
                new = stream.read()
            read, place = read + new.count(b"\n"), place + len(new)
        for count in (FIRST, pages):
            if read >= count and not memory[count]:
                memory[count] = now
        if read >= pages:
            memory[-1] = max(memory[-1], now)
        time.sleep(0.01)
    return memory


def resident(process: int) -> int:
    """Resident memory of a process in kB, 0 where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


if __name__ == "__main__":
    main()

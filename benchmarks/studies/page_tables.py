"""The figures of pages as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HIGH = ("lectaurep-bronod", "lectaurep-mariages", "lectaurep-repertoires", "tables-decennales")  # all of them or some


def tables(document: dict[str, Any]) -> str:
    """Lines found, errors by dataset, where ours come from, and seconds and memory; of a document of `pages.py`."""
    engines = document["engines"]
    parts = [found_table(engines)]
    if any("cer" in engine["datasets"]["all"] for engine in engines):
        parts += [text_table(engines), *(lost_table(engine) for engine in engines if is_told(engine))]
    parts.append(cost_table(engines))
    if document["invalid"]:
        parts.append(f"Seconds by the clock are not valid: {'; '.join(document['invalid'])}.")
    return "\n\n".join(parts)


def found_table(engines: Sequence[dict[str, Any]]) -> str:
    """Recall, precision and baseline F1 of each detector: alone where it works alone."""
    rows = []
    heads, found = [], []
    for engine in engines:
        kind = "detected" if "detected" in engine["datasets"]["all"] else "found"
        if kind in engine["datasets"]["all"] and not engine["name"].endswith("with language"):
            heads.append(engine["name"])
            found.append({name: values[kind] for name, values in engine["datasets"].items()})
    for name, counts in engines[0]["datasets"].items():
        cells = [
            f"{each[name]['recall']:.1f} / {each[name]['precision']:.1f} / {each[name]['baseline_f1']:.1f}"
            for each in found
        ]
        rows.append([name + (" *" if name in HIGH else ""), str(counts["pages"]), str(counts["lines"]), *cells])
    note = (
        "Recall / precision at IoU 0.5 / baseline F1, in percent. *: some or all baselines of the ground truth are "
        "drawn too high."
    )
    return f"{markdown(['', 'pages', 'lines', *heads], rows)}\n\n{note}"


def text_table(engines: Sequence[dict[str, Any]]) -> str:
    """CER of whole pages, and with true lines where the engine can be given them."""
    rows = []
    for name in engines[0]["datasets"]:
        cells = []
        for engine in engines:
            values = engine["datasets"][name]
            given = f" ({values['cer_given']:.1f})" if "cer_given" in values else ""
            cells.append(f"{values['cer']:.1f}{given}")
        rows.append([name, *cells])
    heads = ["", *(engine["name"] for engine in engines)]
    return f"{markdown(heads, rows)}\n\nCER of the page (with true lines), in percent."


def whole_table(greedy: dict[str, Any], spoken: dict[str, Any]) -> str:
    """Lines found and CER of the page with each decoder of ours, by dataset."""
    rows = []
    for name, values in greedy["datasets"].items():
        found = [f"{values['detected'][key]:.1f}" for key in ("recall", "precision", "baseline_f1")]
        texts = [f"{one['datasets'][name][key]:.1f}" for one in (greedy, spoken) for key in ("cer", "cer_given")]
        rows.append([name + "\\*" * (name in HIGH), str(values["pages"]), str(values["lines"]), *found, *texts])
    heads = ["", "pages", "lines", "recall, %", "precision, %", "baseline F1, %"]
    for decoder in ("greedy", "with language"):
        heads += [f"CER of the page, {decoder}", "with true lines"]
    return markdown(heads, rows)


def is_told(engine: dict[str, Any]) -> bool:
    """Whether the true lines were read, too."""
    return "lost" in engine["datasets"]["all"]


def lost_table(engine: dict[str, Any]) -> str:
    """Where the difference to true lines comes from."""
    rows = [
        [
            name,
            f"{values['cer_given']:.1f}",
            *(f"{values['lost'][kind]:+.1f}" for kind in values["lost"]),
            f"{values['cer']:.1f}",
        ]
        for name, values in engine["datasets"].items()
    ]
    heads = [
        "",
        "with true lines",
        "missed lines",
        "lines in pieces or together",
        "false lines",
        "other outlines",
        "page",
    ]
    return f"{engine['name']}, CER in percent and what adds to it:\n\n{markdown(heads, rows)}"


def cost_table(engines: Sequence[dict[str, Any]]) -> str:
    """Seconds a page, peak memory, and the size of files."""
    rows = []
    for engine in engines:
        values = engine["datasets"]["all"]
        keys = ("detected_cpu_seconds", "detected_seconds", "found_cpu_seconds", "found_seconds")
        seconds = [f"{values[key]:.2f}" if key in values else "–" for key in keys]
        rows.append([engine["name"], *seconds, f"{engine['peak_rss'] / 2**20:.0f}", f"{engine['bytes'] / 1e6:.1f}"])
    heads = ["", "to detect, CPU s", "s", "to read, CPU s", "s", "peak MiB", "files, MB"]
    return f"{markdown(heads, rows)}\n\nSeconds of a page, means: of the processor, and by the clock."


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, numbers to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

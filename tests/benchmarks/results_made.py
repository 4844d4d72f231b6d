"""Results as `htrjand bench` writes them, with errors and times that a test chooses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "bench-schema.json"
VALID = fastjsonschema.compile(json.loads(SCHEMA.read_text(encoding="utf-8")))
SHA = "0123456789abcdef" * 4
CHARACTERS = 20  # of each item


def row(name: str, edits: Sequence[int], ms: Sequence[float], **more: Any) -> dict[str, Any]:
    """A row that read each item once with these edits, and three times with about these milliseconds."""
    readings = [round(time * share, 3) for share in (0.99, 1, 1.02) for time in ms]
    count = len(edits)
    errors = {
        "cer": 100 * sum(edits) / (CHARACTERS * count), "cer_low": 1.0, "cer_high": 9.0, "wer": 20.0, "lines": count,
        "characters": CHARACTERS * count, "words": 4 * count,
    }  # fmt: skip
    percentiles = {f"p{share}_ms": float(np.percentile(readings, share)) for share in (50, 90, 99)}
    latency = percentiles | {
        "threads": 1, "mean_ms": float(np.mean(readings)), "queries": len(readings), "seconds": sum(readings) / 1000,
        "joules": 0.25, "ms": readings, "items": [*range(count)] * 3,
    }  # fmt: skip
    return {
        "name": name, "unit": "line", "decoder": "greedy", "engine": "onnxruntime", "precision": "int8", "version": "1",
        "bytes": 900_000, "install_bytes": 100_000_000, "sha256": SHA, "weights_sha256": SHA,
        "cold_starts_ms": [200.0], "cold_start_ms": 200.0, "peak_rss_bytes": 90_000_000, "latency": [latency],
        "batches": [{"threads": 1, "size": 8, "lines_per_second": 99.5, "lines": 32, "ms": [321.6]}],
        "accuracy": {
            "all": errors,
            "datasets": {"hand": errors | {"edits": list(edits), "word_edits": [0] * count}},
            "failed": [],
        },
    } | more  # fmt: skip


def result(*rows: dict[str, Any], disturbed: str = "", device: str = "Board A", sha256: str = SHA) -> dict[str, Any]:
    """A valid result; `disturbed` says by what."""
    count = len(rows[0].get("accuracy", {"datasets": {"hand": {"edits": [0]}}})["datasets"]["hand"]["edits"])
    sensors = {"temperature_c": 50.5, "frequency_mhz": 1500, "limits": []}
    document = {
        "schema": "htrjand-bench-2",
        "measured_at": "2026-11-01T10:00:00+00:00",
        "ended_at": "2026-11-01T10:10:00+00:00",
        "git_revision": None,
        "machine": {
            "device": device, "cpu": "Cortex-A76", "architecture": "aarch64", "emulated": False, "cores": 4,
            "usable_cores": 4, "flags": ["asimd"], "governor": "performance", "memory_bytes": 4_000_000_000,
            "system": "Linux",
        },
        "versions": {"python": "3.11.7", "htrjand": "0.1.0"},
        "data": [
            {"dataset": "hand", "unit": "line", "split": "test", "items": count, "sha256": sha256,
             "widths": [100 + 10 * i for i in range(count)], "characters": [CHARACTERS] * count, "words": [4] * count}
        ],
        "settings": {
            "threads": [1], "queries": 100, "page_queries": 20, "seconds": 10.0, "warm_up": 10, "cold_starts": 5,
            "batch_rounds": 5, "latency": True, "accuracy": True, "width": None,
        },
        "conditions": {"seconds": 600.0, "before": sensors, "after": sensors, "clock_step_s": 0.0},
        "invalid": [{"what": "load", "measured": 1.5, "allowed": 0.2, "text": disturbed}] if disturbed else [],
        "ratios": "usable" if len(rows) > 1 else "none",
        "engines": list(rows),
    }  # fmt: skip
    VALID(document)
    return document

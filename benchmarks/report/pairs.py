"""What two rows tell that read the same items: differences of error and ratios of time, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

RESAMPLES = 2000  # of the items, with replacement


class Interval(NamedTuple):
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def cer_change(before: Mapping[str, Any], after: Mapping[str, Any], characters: Sequence[int]) -> Interval:
    """Points of CER that the second has more than the first: a bootstrap over items, the same ones for both.

    Args:
        before, after: errors of a data set as `accuracy` holds them, with the `edits` of each item.
        characters: of each item.
    """
    lengths = np.array(characters)
    more = np.array(after["edits"]) - np.array(before["edits"])
    drawn = draws(len(lengths))  # R, N
    changes = 100 * more[drawn].sum(1) / np.maximum(1, lengths[drawn].sum(1))
    return Interval(100 * float(more.sum() / lengths.sum()), *ends(changes))


def time_ratios(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Interval]:
    """How many times as long the second of each pair takes as the first: a bootstrap over the items that all read.

    Args:
        pairs: entries of `latency`; the time of an item is the median of its readings.

    Returns:
        One for each pair; none where no item was read by all, or single readings were not kept.
    """
    return [Interval(float(found[0]), *ends(found[1:])) for found in resampled_ratios(pairs)]


def relative_ratios(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Interval]:
    """As `time_ratios`, each divided by the geometric mean of the others: what slows all of them alike falls out."""
    logs = np.log(resampled_ratios(pairs))  # P, 1 + R
    if len(logs) < 2:
        return []
    found = np.exp(logs - (logs.sum(0) - logs) / (len(logs) - 1))
    return [Interval(float(one[0]), *ends(one[1:])) for one in found]


def resampled_ratios(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> np.ndarray:
    """Of each pair the ratio of its times over all items, then over each resample of them: [P, 1 + R]."""
    times = [item_times(entry) for pair in pairs for entry in pair]
    shared = sorted(set.intersection(*map(set, times))) if times else []
    if not shared:
        return np.ones((0, 1 + RESAMPLES))
    found = np.array([[one[item] for item in shared] for one in times])  # 2·P, N
    drawn = np.concatenate([np.arange(len(shared))[None], draws(len(shared))])  # 1 + R, N
    sums = found[:, drawn].sum(2)  # 2·P, 1 + R
    return np.asarray(sums[1::2] / sums[::2])


def item_times(entry: Mapping[str, Any]) -> dict[int, float]:
    """The median milliseconds of each item."""
    items, times = np.array(entry.get("items", []), int), np.array(entry.get("ms", []), float)
    return {int(item): float(np.median(times[items == item])) for item in np.unique(items)}


def draws(count: int) -> np.ndarray:
    """Which items each resample holds, int [R, N]; always the same."""
    return np.random.default_rng(0).integers(count, size=(RESAMPLES, count))


def ends(values: np.ndarray) -> tuple[float, float]:
    """The ends of a 95 % interval."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)

"""From counts to probabilities (interpolated Kneser-Ney), and fewer n-grams (entropy pruning)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .counts import LINE, Counts, Keys, Values

DISCOUNT = 0.8  # taken off each count, for what was not seen
LEAST = 1e-9  # of what is left for a backoff

Places = npt.NDArray[np.intp]


@dataclass
class Model:
    """N-grams of each length n, at place n: their keys, p of the last character after the others, raw counts, the place
    of each one's context (without the last character) and suffix (without the first) among those one shorter."""

    order: int
    keys: list[Keys]
    p: list[Values]
    counts: list[Values]
    context: list[Places]
    suffix: list[Places]

    def size(self) -> int:
        """How many n-grams there are."""
        return sum(map(len, self.keys))

    def lower(self, length: int) -> Values:
        """p of each n-gram's suffix."""
        return self.p[length - 1][self.suffix[length]]

    def backoffs(self, length: int) -> Values:
        """Of the n-grams of a length as contexts: what their children leave, over what they take from the suffix's."""
        more, contexts = length + 1, len(self.keys[length])
        left = 1 - np.bincount(self.context[more], self.p[more], contexts)
        lower = 1 - np.bincount(self.context[more], self.lower(more), contexts)
        backoffs: Values = np.maximum(left, LEAST) / np.maximum(lower, LEAST)
        return backoffs


def kneser_ney(counts: Counts, classes: int) -> Model:
    """Interpolated Kneser-Ney with one discount (Kneser 1995; Chen 1998).

    Of the longest n-grams counts are counts; of the others, how many characters each was seen behind, but where the
    n-gram begins a line, and nothing can stand before it.

    Args:
        counts: of texts.
        classes: characters that any p is shared out among.
    """
    order, keys = counts.order, list(counts.keys)
    context: list[Places] = [np.zeros(0, np.intp)] * 2
    suffix: list[Places] = [np.zeros(0, np.intp)] * 2
    for length in range(2, order + 1):
        context.append(np.searchsorted(keys[length - 1], keys[length] >> np.uint64(8)))
        mask = np.uint64((1 << (8 * (length - 1))) - 1)
        suffix.append(np.searchsorted(keys[length - 1], keys[length] & mask))
    values = list(counts.values)
    for length in range(1, order):
        behind = np.bincount(suffix[length + 1], minlength=len(keys[length])).astype(float)
        begins = keys[length] >> np.uint64(8 * (length - 1)) == LINE
        values[length] = np.where(begins | (behind == 0), values[length], behind)
    p: list[Values] = [np.zeros(0)]
    single = np.where(keys[1] == LINE, 0.0, values[1])
    seen = np.count_nonzero(single)
    taken = np.minimum(DISCOUNT, 0.9 * single)
    p.append((single - taken + taken.sum() / max(classes, seen)) / max(single.sum(), 1.0))
    p[1][keys[1] == LINE] = LEAST
    for length in range(2, order + 1):
        contexts = len(keys[length - 1])
        taken = np.minimum(DISCOUNT, 0.9 * values[length])
        whole = np.bincount(context[length], values[length], contexts)[context[length]]
        shared = np.bincount(context[length], taken, contexts)[context[length]]
        p.append((values[length] - taken + shared * p[length - 1][suffix[length]]) / whole)
    return Model(order, keys, p, list(counts.values), context, suffix)


def pruned(model: Model, threshold: float) -> Model:
    """Without the n-grams that change the model by less than `threshold` nats a character (Stolcke 1998).

    Those that others need, as context or as suffix, stay.
    """
    result = Model(
        model.order, list(model.keys), list(model.p), list(model.counts), list(model.context), list(model.suffix)
    )
    total = model.counts[1].sum()
    for length in range(model.order, 1, -1):
        context, p, lower = result.context[length], result.p[length], result.lower(length)
        contexts = len(result.keys[length - 1])
        left = np.maximum(1 - np.bincount(context, p, contexts), LEAST)[context]
        lower_left = np.maximum(1 - np.bincount(context, lower, contexts), LEAST)[context]
        before, after = np.log(left / lower_left), np.log((left + p) / (lower_left + lower))
        share = result.counts[length - 1][context] / total
        harm = -share * (p * (np.log(lower) + after - np.log(p)) + left * (after - before))
        keep = harm >= threshold
        if length < model.order:
            keep[result.context[length + 1]] = True
            keep[result.suffix[length + 1]] = True
        take(result, length, keep)
    return result


def take(model: Model, length: int, keep: npt.NDArray[np.bool_]) -> None:
    """Leaves these n-grams of a length, in place."""
    model.keys[length] = model.keys[length][keep]
    model.p[length] = model.p[length][keep]
    model.counts[length] = model.counts[length][keep]
    if length > 1:
        model.context[length] = model.context[length][keep]
        model.suffix[length] = model.suffix[length][keep]
    if length < model.order:
        places = np.cumsum(keep) - 1
        model.context[length + 1] = places[model.context[length + 1]]
        model.suffix[length + 1] = places[model.suffix[length + 1]]


def pruned_to(model: Model, size: int) -> tuple[Model, float]:
    """The model pruned until it has at most `size` n-grams, and the threshold that took: by halving intervals."""
    if model.size() <= size:
        return model, 0.0
    low, high = 1e-10, 10.0  # nats: at the latter nothing but single characters is left
    for _ in range(24):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if pruned(model, middle).size() > size else (low, middle)
    return pruned(model, high), high

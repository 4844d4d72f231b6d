"""Errors of pages, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from htrjand.benchmarks.studies.page_text import PageErrors, TextLine, group_lines, page_errors


def line(text: str, x0: float, y0: float, x1: float = 400, height: float = 20) -> TextLine:
    """A rectangle with a text."""
    corners = [(x0, y0), (x1, y0), (x1, y0 + height), (x0, y0 + height)]
    return TextLine(np.array(corners, dtype=float), text)


TRUE = [line("first line", 0, 0), line("second", 0, 40), line("third", 0, 80)]


def edits(predicted: list[TextLine], true: list[TextLine] = TRUE, **more: object) -> dict[str, int]:
    return {kind: count for kind, count in page_errors(true, predicted, **more).edits.items() if count}  # type: ignore[arg-type]


def test_the_order_of_lines_does_not_count() -> None:
    assert edits(TRUE[::-1]) == {}
    assert page_errors(TRUE, TRUE).characters == 21


def test_errors_are_counted_by_kind() -> None:
    assert edits([line("first lime", 0, 3), TRUE[1]]) == {"single": 1, "missed": 5}
    assert edits([*TRUE, line("noise", 0, 300)]) == {"false": 5}


def test_a_line_in_pieces_is_read_from_left_to_right() -> None:
    pieces = [line("line", 210, 1), line("first", 0, -1, 190)]
    assert edits([*pieces, *TRUE[1:]]) == {}
    assert edits([pieces[1], *TRUE[1:]]) == {"single": 5}  # half of it is there


def test_cells_found_as_one_line_are_compared_as_one() -> None:
    cells = [line("12 mai", 0, 0, 100), line("1903", 300, 0, 400)]
    assert edits([line("12 mai 1903", 0, 0)], cells) == {}
    assert edits([line("12 mai 1803", 0, 0)], cells) == {"divided": 1}


def test_two_rows_found_as_one_are_compared_from_top_to_bottom() -> None:
    assert edits([line("first line second", 0, 0, 400, 60), TRUE[2]]) == {}
    assert edits([line("first line", 0, 0, 400, 60), TRUE[2]]) == {"divided": 7}  # the space before it, too


def test_a_line_that_barely_touches_another_does_not_belong_to_it() -> None:
    assert edits([TRUE[0], TRUE[1], line("third", 0, 96)]) == {"missed": 5, "false": 5}  # 4 of 20 rows in common
    assert edits([TRUE[0], TRUE[1], line("third", 0, 94)]) == {}


def test_what_is_read_on_unlabelled_ink_costs_nothing() -> None:
    stamp = line("stamp", 300, 300)
    assert edits([*TRUE, stamp], ignore=[(290, 290, 410, 330)]) == {}
    assert edits([*TRUE, stamp], ignore=[(290, 290, 310, 330)]) == {"false": 5}


def test_a_line_without_a_transcription_costs_nothing() -> None:
    assert edits([*TRUE, line("what", 0, 120)], [*TRUE, line("", 0, 120)]) == {}


def test_both_sides_are_spelt_alike() -> None:
    assert edits([line("l'e\u0301te\u0301  -", 0, 0)], [line("l’été —", 0, 0)]) == {}


def test_the_difference_to_true_lines_falls_into_kinds() -> None:
    found = [line("first lin", 0, 0), line("noise", 0, 300), line("third", 0, 80)]
    errors = page_errors(TRUE, found, given=["first line", "secomd", "thirt"])
    assert errors.cer == pytest.approx(100 * (1 + 5 + 6) / 21) and errors.cer_given == pytest.approx(100 * 2 / 21)
    lost = {kind: errors.lost(kind) * 21 / 100 for kind in ("single", "missed", "false", "divided")}
    assert lost == pytest.approx({"single": 1 - 1, "missed": 6 - 1, "false": 5, "divided": 0})
    twice = errors + errors
    assert twice.characters == 42 and twice.cer == pytest.approx(errors.cer)
    assert (errors + PageErrors(10, errors.edits)).given is None


def test_every_line_is_in_one_group() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        true = [line("", *rng.uniform(0, 300, 2)).polygon for _ in range(12)]
        found = [line("", *rng.uniform(0, 300, 2)).polygon for _ in range(9)]
        groups = group_lines(true, found)
        assert sorted(i for group in groups for i in group.true) == list(range(12))
        assert sorted(j for group in groups for j in group.predicted) == list(range(9))


def test_nothing_read_or_nothing_there() -> None:
    assert edits([]) == {"missed": 21}
    assert edits([line("noise", 0, 0)], []) == {"false": 5}

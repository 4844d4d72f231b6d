"""Cores that hang together are parted into lines; words in a row stay one."""

from __future__ import annotations

import numpy as np

from htrjand.runtime.page.instances import components, groups, parted


def parts_of(mark: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    (whole,) = groups(mark > 0.1)
    return parted(mark, whole)


def test_two_lines_joined_by_a_word_between_them_are_parted():
    mark = np.zeros((40, 120), dtype=np.float32)
    mark[8:12, 5:110] = mark[24:28, 5:110] = 0.95
    mark[12:24, 40:60] = 0.3
    lines = parts_of(mark)
    assert len(lines) == 2
    assert sorted((int(rows.min()), int(rows.max())) for rows, _ in lines) == [(8, 11), (24, 27)]
    assert all(columns.min() == 5 and columns.max() == 109 for _, columns in lines)


def test_a_line_whose_core_is_weak_between_words_stays_one():
    mark = np.zeros((20, 120), dtype=np.float32)
    mark[8:12, 5:110] = 0.9
    mark[:, 30:34] *= 0.3
    mark[:, 70:72] *= 0.3
    (line,) = parts_of(mark)
    assert len(line[0]) == 4 * 105


def test_the_pieces_of_a_broken_line_stay_together_where_another_hangs_below_it():
    mark = np.zeros((40, 120), dtype=np.float32)
    mark[8:12, 5:110] = mark[24:28, 5:110] = 0.95
    mark[8:12, 50:54] = 0.3
    mark[12:24, 80:90] = 0.3
    assert len(parts_of(mark)) == 2


def test_lines_that_part_only_high_up_are_parted():
    mark = np.zeros((60, 80), dtype=np.float32)
    for number, bridge in enumerate((0.3, 0.7, 0.9)):
        mark[5 + 15 * number : 20 + 15 * number, 30:36] = bridge
    for number in range(4):
        mark[3 + 15 * number : 7 + 15 * number, 4:76] = 0.97
    assert len(parts_of(mark)) == 4


def test_a_blob_is_one():
    mark = np.random.default_rng(0).uniform(0.93, 1, (50, 60)).astype(np.float32)
    (line,) = parts_of(mark)
    assert len(line[0]) == mark.size


def test_groups_are_the_components():
    mask = np.random.default_rng(1).random((30, 40)) < 0.4
    labels, count = components(mask)
    found = groups(mask)
    assert len(found) == count
    for number, (rows, columns) in enumerate(found, 1):
        assert (labels[rows, columns] == number).all() and len(rows) == (labels == number).sum()

// Pieces of one line put together (docs/embedding.md, "From maps to lines"): where a core fades at a wide space.

import { greatest, least, range, round, sum } from './geometry.mjs';

const NEAREST = -0.2, FARTHEST = 2.5, RISE = 0.5; // in heights of the lines
const RATIO = 1.6, ENDED = 0.45, TIP = 3;

/** The pixels of each line, of those of pieces, as places in maps; `heights` are in pixels of the maps. */
export function joined(ends, width, pieces, heights) {
  const all = pieces.map((pixels, k) => piece(pixels, width, heights[k]));
  const near = [];
  all.forEach((one, from) => {
    all.forEach((other, to) => {
      const height = (one.height + other.height) / 2;
      const rise = Math.abs(other.begin.row - one.finish.row) / height, gap = (other.begin.column - one.finish.column) / height;
      const alike = Math.max(one.height, other.height) < RATIO * Math.min(one.height, other.height);
      const later = other.begin.column > one.begin.column; // so that no chain bites its tail
      if (one.level && other.level && later && alike && gap > NEAREST && gap < FARTHEST && rise < RISE)
        if (greatestBetween(ends, width, one.finish, other.begin) < ENDED) near.push({ apart: gap + 2 * rise, from, to });
    });
  });
  const after = new Map(), taken = new Set();
  for (const { from, to } of near.sort((a, b) => a.apart - b.apart || a.from - b.from || a.to - b.to))
    if (!after.has(from) && !taken.has(to)) {
      after.set(from, to);
      taken.add(to);
    }
  const line = (first) => [...pieces[first], ...(after.has(first) ? line(after.get(first)) : [])];
  return [...pieces.keys()].filter((first) => !taken.has(first)).map(line);
}

/** Where a piece begins and finishes, its height, and whether it is wider than high. */
function piece(pixels, width, height) {
  const points = pixels.map((i) => ({ column: i % width, row: Math.floor(i / width) }));
  const columns = points.map((point) => point.column), rows = points.map((point) => point.row);
  const tip = (column) => {
    const near = points.filter((point) => Math.abs(point.column - column) < TIP).map((point) => point.row);
    return { column, row: sum(near) / near.length };
  };
  return { height, level: range(columns) >= range(rows), begin: tip(least(columns)), finish: tip(greatest(columns)) };
}

/** The greatest value of a map on the way from one place to another, a pixel to each side included. */
function greatestBetween(map, width, one, other) {
  const steps = Math.trunc(Math.abs(other.column - one.column)) + 3;
  const left = one.column - 1, right = other.column + 1, last = map.length / width - 1;
  let most = 0;
  for (let k = 0; k < steps; k++) {
    const row = round(one.row + k * ((other.row - one.row) / (steps - 1)));
    const column = Math.min(width - 1, Math.max(0, round(left + k * ((right - left) / (steps - 1)))));
    for (const near of [row - 1, row, row + 1]) most = Math.max(most, map[Math.min(last, Math.max(0, near)) * width + column]);
  }
  return most;
}

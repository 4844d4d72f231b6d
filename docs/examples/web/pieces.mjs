// Pieces of one line put together (docs/embedding.md, "From maps to lines"): where a core fades at a wide space.

import { greatest, least, range, round, sum } from './geometry.mjs';

const NEAREST = -0.2, FARTHEST = 2.5, RISE = 0.5, LONG = 0.5; // in heights of the lines
const RATIO = 1.6, ENDED = 0.45, TIP = 3;

/** The pixels of each line, of those of pieces, as places in maps; `heights` are in pixels of the maps. */
export function joined(ends, width, pieces, heights) {
  const rows = ends.length / width;
  const all = pieces.map((pixels, k) => ({
    pixels, height: heights[k], columns: pixels.map((i) => i % width), rows: pixels.map((i) => Math.floor(i / width)),
  }));
  const upright = ({ rows, columns, height }) => range(rows) > range(columns) && range(rows) > LONG * height;
  const across = joinedAcross((row, column) => ends[row * width + column], rows, width, all.filter((piece) => !upright(piece)));
  const turned = all.filter(upright).map((piece) => ({ ...piece, columns: piece.rows, rows: piece.columns }));
  return [...across, ...joinedAcross((row, column) => ends[column * width + row], width, rows, turned)];
}

/** The same of pieces of lines that run across; `end` is the map, of so many rows and columns. */
function joinedAcross(end, rows, columns, pieces) {
  const all = pieces.map(located), near = [];
  all.forEach((one, from) => {
    all.forEach((other, to) => {
      const height = (one.height + other.height) / 2;
      const rise = Math.abs(other.begin.row - one.finish.row) / height, gap = (other.begin.column - one.finish.column) / height;
      const alike = Math.max(one.height, other.height) < RATIO * Math.min(one.height, other.height);
      const later = other.begin.column > one.begin.column; // so that no chain bites its tail
      if (one.level && other.level && later && alike && gap > NEAREST && gap < FARTHEST && rise < RISE)
        if (greatestBetween(end, rows, columns, one.finish, other.begin) < ENDED) near.push({ apart: gap + 2 * rise, from, to });
    });
  });
  const after = new Map(), taken = new Set();
  for (const { from, to } of near.sort((a, b) => a.apart - b.apart || a.from - b.from || a.to - b.to))
    if (!after.has(from) && !taken.has(to)) {
      after.set(from, to);
      taken.add(to);
    }
  const line = (first) => [...pieces[first].pixels, ...(after.has(first) ? line(after.get(first)) : [])];
  return [...pieces.keys()].filter((first) => !taken.has(first)).map(line);
}

/** Where a piece begins and finishes, and whether it is as wide as high. */
function located({ rows, columns, height }) {
  const tip = (column) => {
    const near = rows.filter((_, k) => Math.abs(columns[k] - column) < TIP);
    return { column, row: sum(near) / near.length };
  };
  return { height, level: range(columns) >= range(rows), begin: tip(least(columns)), finish: tip(greatest(columns)) };
}

/** The greatest value of a map on the way from one place to another, a pixel to each side included. */
function greatestBetween(map, rows, columns, one, other) {
  const steps = Math.trunc(Math.abs(other.column - one.column)) + 3, left = one.column - 1, right = other.column + 1;
  const held = (value, count) => Math.min(count - 1, Math.max(0, value));
  let most = 0;
  for (let k = 0; k < steps; k++) {
    const row = round(one.row + k * ((other.row - one.row) / (steps - 1)));
    const column = held(round(left + k * ((right - left) / (steps - 1))), columns);
    for (const near of [row - 1, row, row + 1]) most = Math.max(most, map(held(near, rows), column));
  }
  return most;
}

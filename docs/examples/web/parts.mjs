// Which pixels of the map of cores are one line's (docs/embedding.md, "From maps to lines").

import { least, greatest, sum } from './geometry.mjs';

const THRESHOLD = 0.3, LEVELS = [0.45, 0.6, 0.75, 0.85, 0.92]; // of a core's probability
const MIN_PIXELS = 3, MIN_PART = 8;

/** The parts of lines in a map: of each its pixels, as places in the map. */
export function partsIn(mark, width) {
  const all = [...mark.keys()].filter((i) => mark[i] > THRESHOLD);
  return components(all, width).filter((pixels) => pixels.length >= MIN_PIXELS).flatMap((pixels) => parted(mark, width, pixels, LEVELS));
}

/** The 8-connected components of pixels, which are in order. */
function components(pixels, width) {
  const waiting = new Set(pixels), found = [];
  for (const start of pixels) {
    if (!waiting.delete(start)) continue;
    const members = [start];
    for (const i of members) // grows while it is walked through
      for (const row of [-width, 0, width])
        for (const column of [-1, 0, 1])
          if (Math.abs((i % width) - ((i + column + width) % width)) <= 1 && waiting.delete(i + row + column)) members.push(i + row + column);
    found.push(members.sort((a, b) => a - b));
  }
  return found;
}

/** A component, parted at the first level at which it falls into lines that stand one above the other. */
function parted(mark, width, pixels, levels) {
  for (const [number, level] of levels.entries()) {
    const above = pixels.filter((i) => mark[i] > level);
    if (!isStacked(above, width)) continue;
    const parts = components(above, width).filter((part) => part.length >= MIN_PART).map((part) => new Part(part, width));
    const lines = [];
    for (const part of parts.sort((a, b) => b.pixels.length - a.pixels.length)) {
      const near = lines.map((line) => ({ line, gap: least(line.map((other) => gap(part, other))) })).sort((a, b) => a.gap - b.gap);
      const own = near.find(({ line }) => !line.some((other) => stacked(part, other)))?.line;
      if (own) own.push(part);
      else lines.push([part]);
    }
    if (lines.length > 1)
      return lines.flatMap((line) => parted(mark, width, line.flatMap((part) => part.pixels).sort((a, b) => a - b), levels.slice(number + 1)));
  }
  return [pixels];
}

/** Whether a column has one thing above another. */
function isStacked(pixels, width) {
  const all = new Set(pixels), begins = new Map();
  for (const i of pixels) if (!all.has(i - width)) begins.set(i % width, (begins.get(i % width) ?? 0) + 1);
  return [...begins.values()].some((count) => count > 1);
}

class Part {
  constructor(pixels, width) {
    this.pixels = pixels;
    this.points = pixels.map((i) => [i % width, Math.floor(i / width)]);
    this.columns = new Set(this.points.map((point) => point[0]));
    this.left = least([...this.columns]);
    this.right = greatest([...this.columns]);
    this.middle = mean(this.points, 0);
  }
}

const mean = (points, axis) => sum(points.map((point) => point[axis])) / points.length;

/** Whether two parts have half of the columns of the one with fewer in common. */
function stacked(one, other) {
  const shared = [...one.columns].filter((column) => other.columns.has(column)).length;
  return shared >= 0.5 * Math.min(one.columns.size, other.columns.size);
}

/** How far two parts are from continuing each other: columns between them, and thrice the rows at the joint. */
function gap(one, other) {
  const [a, b] = one.middle > other.middle ? [other, one] : [one, other];
  const end = a.points.filter((point) => point[0] >= a.right - 4), begin = b.points.filter((point) => point[0] <= b.left + 4);
  return Math.max(0, b.left - a.right) + 3 * Math.abs(mean(end, 1) - mean(begin, 1));
}

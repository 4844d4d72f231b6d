// The order in which lines are read (docs/embedding.md, "Reading order").

import { along, area, frame, greatest, least, quantile, range, sum } from './geometry.mjs';
import { runsUpwards } from './upright.mjs';

const GUTTER = 1, BESIDE = 3, CROSSED = 0.25, ENDING = 6, CROSSING = 20; // see the table there
const ROW = 0.5, OVERLAP = 0.3;

/** Regions in order, each a list of lines in order; lines are { baseline, polygon } on one page. */
export function readingOrder(found) {
  const upright = found.filter(runsUpwards), lines = found.filter((line) => !runsUpwards(line));
  const x = ({ baseline }) => sum(baseline.map((point) => point[0])) / baseline.length;
  return [...inRegions(lines), ...upright.sort((a, b) => x(a) - x(b)).map((line) => [line])];
}

/** The same for lines that run across the page. */
function inRegions(lines) {
  if (!lines.length) return [];
  const slopes = lines.map(({ baseline: [[x, y]], baseline }) => Math.atan2(baseline.at(-1)[1] - y, Math.max(1e-6, baseline.at(-1)[0] - x)));
  const angle = quantile(Float64Array.from(slopes), 0.5);
  const { turned } = frame([Math.cos(angle), Math.sin(angle)]);
  const all = lines.map((line) => {
    const points = line.baseline.map(turned), height = line.height ?? heightOf(line);
    const x = points.map((point) => point[0]);
    const middle = sum(points.map((point) => point[1])) / points.length - height / 2;
    return { line, left: least(x), right: greatest(x), middle, height };
  });
  const usual = quantile(Float64Array.from(all, (one) => one.height), 0.5);
  return regions(all, usual).map((region) => region.map((one) => one.line));
}

/** The height of a line: the area of its outline over the length of its baseline. */
function heightOf({ baseline, polygon }) {
  const { turned } = frame(along(baseline));
  return area(polygon) / Math.max(1, range(baseline.map((point) => turned(point)[0])));
}

function regions(lines, height) {
  const sides = parted(lines, height);
  if (!sides) return [rows(lines)];
  const crossing = lines.filter((line) => !sides.flat().includes(line)).sort((a, b) => a.middle - b.middle);
  const found = [];
  let begin = -Infinity;
  for (const line of [...crossing, undefined]) {
    const end = line?.middle ?? Infinity;
    for (const side of sides) {
      const inside = side.filter((one) => one.middle >= begin && one.middle < end);
      if (inside.length) found.push(...regions(inside, height));
    }
    if (line) found.push([line]);
    begin = end;
  }
  return found;
}

/** The lines to the left and to the right of the best gutter; undefined where there is none. */
function parted(lines, height) {
  const sorted = (values) => [...new Set(values)].sort((a, b) => a - b);
  const begins = sorted(lines.map((line) => line.left));
  let best = -Infinity, found;
  for (const end of sorted(lines.map((line) => line.right))) {
    const before = lines.filter((line) => line.right <= end);
    if (before.length < BESIDE) continue;
    for (const begin of begins.filter((left) => left > end + GUTTER * height)) {
      const behind = lines.filter((line) => line.left >= begin);
      const others = lines.filter((line) => line.right > end && line.left < begin);
      const ending = others.filter((line) => line.left >= end || line.right <= begin);
      const crossing = (others.length + (ENDING - 1) * ending.length) / lines.length;
      if (crossing > CROSSED || behind.length < BESIDE) break; // a wider gutter has more in it
      const worth = (begin - end) / height - CROSSING * crossing;
      const [left, right] = [before, behind].map((side) => side.map((line) => line.middle));
      const beside = Math.min(greatest(left), greatest(right)) - Math.max(least(left), least(right));
      if (worth > best && beside > height) [best, found] = [worth, [before, behind]];
    }
  }
  return found;
}

/** Lines from top to bottom, and those of a row from left to right. */
function rows(lines) {
  let waiting = [...lines].sort((a, b) => a.middle - b.middle);
  const found = [];
  while (waiting.length) {
    const row = [waiting[0]];
    for (const line of waiting.slice(1)) {
      const near = line.middle - row[0].middle < ROW * Math.min(line.height, row[0].height);
      if (near && row.every((other) => areBeside(line, other))) row.push(line);
    }
    waiting = waiting.filter((line) => !row.includes(line));
    found.push(...row.sort((a, b) => a.left - b.left));
  }
  return found;
}

const areBeside = (a, b) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) < OVERLAP * Math.min(a.right - a.left, b.right - b.left);

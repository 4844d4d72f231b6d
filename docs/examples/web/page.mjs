// The contract of line detectors (docs/embedding.md): the page as it is fed, and lines out of the maps.

import { frame, greatest, interpolated, least, principal, quantile, range, round, sum } from './geometry.mjs';
import { scaled, triangles } from './line.mjs';
import { partsIn } from './parts.mjs';
import { joined } from './pieces.mjs';

const BLOCK = 32; // pixels of the detector's image, along each axis
const STRIDE = 4; // of them in a pixel of the maps
const CORE = 0.36; // height of a core, as a share of its line's; its foot is the baseline

/** The image for the detector, and how many pixels of the page one of its pixels is. */
export function preparedPage(page, longerSide) {
  const scale = Math.max(page.width, page.height) / longerSide;
  const small = scaled(page, Math.max(1, round(page.width / scale)), Math.max(1, round(page.height / scale)));
  const width = Math.ceil(small.width / BLOCK) * BLOCK, height = Math.ceil(small.height / BLOCK) * BLOCK;
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      pixels[y * width + x] = small.pixels[Math.min(y, small.height - 1) * small.width + Math.min(x, small.width - 1)];
  return { ...evened({ pixels, width, height }), scale };
}

/** Ink bright on even, dark paper, and pencil as strong as ink. */
function evened({ pixels, width, height }) {
  const columns = width / BLOCK, rows = height / BLOCK;
  const ink = spread(blocks(pixels, width, (inside) => quantile(inside, 0.8)), columns, rows);
  for (let i = 0; i < ink.length; i++) ink[i] = Math.min(100, Math.max(-20, ink[i] - pixels[i]));
  const squares = blocks(ink, width, (inside) => inside.reduce((total, value) => total + value * value, 0) / inside.length);
  const near = squares.map((_, k) => {
    let total = 0;
    for (const dy of [-1, 0, 1])
      for (const dx of [-1, 0, 1]) {
        const y = Math.min(rows - 1, Math.max(0, Math.floor(k / columns) + dy));
        total += squares[y * columns + Math.min(columns - 1, Math.max(0, (k % columns) + dx))];
      }
    return Math.sqrt(total / 9);
  });
  const strength = spread(near, columns, rows);
  const even = pixels.map((_, i) => Math.min(255, Math.max(0, 40 + (50 * ink[i]) / (strength[i] + 8))));
  return { pixels: even, width, height };
}

/** A number for each block, of the values inside. */
function blocks(source, width, number) {
  const columns = width / BLOCK, inside = source.slice(0, BLOCK * BLOCK);
  return Float64Array.from({ length: source.length / inside.length }, (_, k) => {
    const corner = Math.floor(k / columns) * BLOCK * width + (k % columns) * BLOCK;
    for (let y = 0; y < BLOCK; y++) inside.set(source.subarray(corner + y * width, corner + y * width + BLOCK), y * BLOCK);
    return number(inside);
  });
}

/** A number a block as a smooth map of the image: the triangles that lines are scaled with, in fractions. */
function spread(numbers, columns, rows) {
  const width = columns * BLOCK, height = rows * BLOCK;
  const wide = new Float32Array(width * rows), map = new Float32Array(width * height);
  triangles(columns, columns, width).forEach(({ first, weights }, x) => {
    for (let y = 0; y < rows; y++)
      wide[y * width + x] = sum(weights.map((weight, j) => weight * numbers[y * columns + first + j]));
  });
  triangles(rows, rows, height).forEach(({ first, weights }, y) => {
    for (let x = 0; x < width; x++) {
      let total = 0;
      for (let j = 0; j < weights.length; j++) total += weights[j] * wide[(first + j) * width + x];
      map[y * width + x] = total;
    }
  });
  return map;
}

/** The lines in maps [4, height, width], in pixels of the page: baseline and polygon as points, and a score. */
export function findLines(maps, width, height, scale) {
  const size = width * height, ends = maps.subarray(size, 2 * size);
  const pieces = partsIn(maps.slice(0, size).map((core, i) => core * (1 - ends[i])), width);
  const heights = pieces.map((pixels) => sum(distances(maps, pixels, size).flat()) / pixels.length / STRIDE);
  const lines = joined(ends, width, pieces, heights).map((pixels) => traced(maps, pixels, width, size));
  const grown = (points) => points.map(([x, y]) => [x * scale, y * scale]);
  return lines.filter(Boolean).map(({ baseline, polygon, score }) => ({ baseline: grown(baseline), polygon: grown(polygon), score }));
}

/** How far the line reaches up, and how far down, at some pixels. */
function distances(maps, pixels, size) {
  const most = Math.log(1280);
  return [2, 3].map((map) => pixels.map((i) => Math.exp(Math.min(most, Math.max(-most, maps[map * size + i])))));
}

/** The line of one core, in pixels of the detector's image; undefined for one that is too weak. */
function traced(maps, members, width, size) {
  const weight = members.map((i) => maps[i]);
  const total = sum(weight);
  const score = sum(weight.map((w) => w * w)) / total;
  if (score < 0.6) return undefined;
  const [above, below] = distances(maps, members, size);
  const lineHeight = quantile(Float64Array.from(above, (value, k) => value + below[k]), 0.5);
  const places = members.map((i) => [STRIDE * ((i % width) + 0.5), STRIDE * (Math.floor(i / width) + 0.5)]);
  const { turned, back } = axes(places, weight, total);
  const st = places.map(turned);
  const s = st.map((point) => point[0]);
  const left = least(s) - STRIDE / 2, right = greatest(s) + STRIDE / 2;
  const step = Math.max(STRIDE, lineHeight / 4);
  const count = Math.max(1, round((right - left) / step));
  const bins = s.map((value) => Math.min(Math.floor(((value - left) / (right - left)) * count), count - 1));
  const totals = new Float64Array(count);
  bins.forEach((bin, k) => (totals[bin] += weight[k]));
  const at = Array.from(totals, (_, k) => left + ((k + 0.5) * (right - left)) / count);
  const known = at.filter((_, k) => totals[k] > 0);
  const reach = Math.max(1, round(lineHeight / 2 / step));
  const curve = (values) => { // its weighted mean in each bin, gaps filled, smoothed
    const means = new Float64Array(count);
    bins.forEach((bin, k) => (means[bin] += (weight[k] * values[k]) / totals[bin]));
    const filled = at.map((place) => interpolated(place, known, means.filter((_, k) => totals[k] > 0)));
    return filled.map((_, k) => {
      const side = Math.min(reach, k, count - 1 - k);
      return sum(filled.slice(k - side, k + side + 1)) / (2 * side + 1);
    });
  };
  const ahead = (a, b) => (b === undefined ? a : a + 0.5 * (a - b));
  const longer = (values, first, last) => [first, ...values, last];
  const level = curve(st.map((point) => point[1]));
  const middle = longer(level, ahead(level[0], level[1]), ahead(level.at(-1), level.at(-2)));
  const [up, down] = [curve(above), curve(below)].map((values) => longer(values, values[0], values.at(-1)));
  const grow = Math.min(0.2 * lineHeight, (0.3 / (1 - 2 * 0.3)) * (right - left)) + 0.15 * lineHeight;
  const ends = longer(at, left - grow, right + grow);
  const base = middle.map((t, k) => t + (CORE / 2) * (up[k] + down[k]));
  const few = Math.min(ends.length, Math.max(2, round((right - left) / lineHeight) + 1));
  const kept = [...new Set(Array.from({ length: few }, (_, k) => round(k * ((ends.length - 1) / (few - 1)))))];
  const points = (values) => kept.map((k) => back([ends[k], values[k]]));
  const top = points(base.map((t, k) => t - 1.1 * (t - middle[k] + up[k])));
  const foot = points(base.map((t, k) => t + 1.2 * (middle[k] + down[k] - t)));
  return { baseline: points(base), polygon: [...top, ...foot.reverse()], score };
}

/** The direction in which a core runs: level where it is too short to tell. */
function axes(places, weight, total) {
  const mean = [0, 1].map((axis) => sum(places.map((place, k) => weight[k] * place[axis])) / total);
  let xx = 0, xy = 0, yy = 0;
  places.forEach(([px, py], k) => {
    const x = px - mean[0], y = py - mean[1];
    xx += weight[k] * x * x;
    xy += weight[k] * x * y;
    yy += weight[k] * y * y;
  });
  const found = frame(principal(xx, xy, yy));
  const [s, t] = [0, 1].map((axis) => range(places.map((place) => found.turned(place)[axis])));
  return s < 3 * t ? frame([1, 0]) : found;
}

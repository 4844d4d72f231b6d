// Cutting a line out of a page (docs/embedding.md, "Cutting a line"): its outline alone, made straight and horizontal.

import { along, frame, greatest, interpolated, least, range, round } from './geometry.mjs';
import { paper, reduced, scaled } from './line.mjs';

/** The line as an image of `height` rows. */
export function cutLine(page, { polygon, baseline }, height) {
  const outline = polygon.map(([x, y]) => [Math.min(page.width, Math.max(0, x)), Math.min(page.height, Math.max(0, y))]);
  const { turned, back, level } = direction(outline, baseline);
  const edge = densified([...outline, outline[0]]).map(turned);
  const bend = deviation(densified(baseline).map(turned), extent(edge, 1));
  const shift = (s) => (bend ? interpolated(s, bend.s, bend.t) : 0);
  const outer = level ? [Math.floor, Math.ceil] : [(value) => value, (value) => value]; // level lines: whole pixels
  const s = outline.map((point) => turned(point)[0]), t = edge.map((point) => point[1] - shift(point[0]));
  const [s0, s1] = [outer[0](least(s)), outer[1](greatest(s))], [t0, t1] = [outer[0](least(t)), outer[1](greatest(t))];
  const length = Math.max(1, s1 - s0), across = Math.max(1, t1 - t0);

  const corner = [0, 1].map((axis) => Math.floor(least(outline.map((point) => point[axis]))));
  const shrink = Math.max(1, Math.floor(across / 128));
  const piece = masked(page, outline, corner, shrink);
  const width = Math.max(1, round(length / shrink)), rows = Math.max(1, round(across / shrink));
  const pixels = new Uint8Array(width * rows);
  const strips = bend ? Math.ceil(width / 32) : 1; // inside a strip the shift changes evenly
  const cuts = Array.from({ length: strips + 1 }, (_, k) => round((k * width) / strips));
  const shifts = cuts.map((cut) => shift(s0 + (cut * length) / width));
  for (let x = 0, k = 0; x < width; x++) {
    if (x === cuts[k + 1]) k++;
    const part = (x + 0.5 - cuts[k]) / (cuts[k + 1] - cuts[k]);
    const moved = t0 + shifts[k] + (shifts[k + 1] - shifts[k]) * part;
    for (let y = 0; y < rows; y++) {
      const [u, v] = back([s0 + ((x + 0.5) * length) / width, moved + ((y + 0.5) * across) / rows]);
      pixels[y * width + x] = bicubic(piece, (u - corner[0]) / shrink, (v - corner[1]) / shrink);
    }
  }
  return scaled({ pixels, width, height: rows }, Math.max(1, round((length * height) / across)), height, false);
}

/** Coordinates along the text and across it; level where the slope would not move a pixel, or few points decide it. */
function direction(outline, baseline) {
  const found = frame(along(baseline));
  const [a, b] = found.along;
  const length = extent(baseline.map(found.turned), 0), across = extent(outline.map(found.turned), 1);
  const certain = length > 1.5 * across || Math.abs(Math.atan2(b, a)) > 0.5;
  const level = !(certain && (Math.abs(b) * length >= 1 || a < 0));
  return { ...(level ? frame([1, 0]) : found), level };
}

const extent = (points, axis) => range(points.map((point) => point[axis]));

/** How far a baseline is from straight, along it; undefined where it is straight enough. */
function deviation(baseline, height) {
  const sorted = baseline.toSorted((a, b) => a[0] - b[0]);
  const mean = sorted.reduce((sum, point) => sum + point[1], 0) / sorted.length;
  const t = sorted.map((point) => point[1] - mean);
  const most = greatest(t.map(Math.abs));
  return most > Math.max(2, 0.08 * height) ? { s: sorted.map((point) => point[0]), t } : undefined;
}

/** A polyline with points added every 8 pixels. */
function densified(points) {
  const far = [0];
  for (let k = 1; k < points.length; k++) far.push(far.at(-1) + Math.hypot(points[k][0] - points[k - 1][0], points[k][1] - points[k - 1][1]));
  const places = new Set(far);
  for (let place = 0; place < far.at(-1); place += 8) places.add(place);
  return [...places].sort((a, b) => a - b).map((place) =>
    [0, 1].map((axis) => interpolated(place, far, points.map((point) => point[axis]))));
}

/** The page around an outline, outside it in the paper's grey. */
function masked(page, outline, corner, shrink) {
  const right = Math.ceil(greatest(outline.map((point) => point[0]))), foot = Math.ceil(greatest(outline.map((point) => point[1])));
  const piece = { width: right - corner[0], height: foot - corner[1], pixels: new Uint8Array() };
  piece.pixels = new Uint8Array(piece.width * piece.height);
  for (let y = 0; y < piece.height; y++) {
    const start = (corner[1] + y) * page.width + corner[0];
    piece.pixels.set(page.pixels.subarray(start, start + piece.width), y * piece.width);
  }
  const { pixels, width, height } = reduced(piece, shrink, shrink);
  const points = outline.map(([x, y]) => [(x - corner[0]) / shrink, (y - corner[1]) / shrink]);
  const inside = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y++) {
    const crossings = [];
    points.forEach(([x1, y1], k) => {
      const [x2, y2] = points[(k + 1) % points.length];
      if (y1 <= y + 0.5 !== y2 <= y + 0.5) crossings.push(x1 + ((y + 0.5 - y1) * (x2 - x1)) / (y2 - y1));
    });
    crossings.sort((a, b) => a - b);
    for (let k = 0; k + 1 < crossings.length; k += 2)
      inside.fill(1, y * width + Math.max(0, Math.round(crossings[k])), y * width + Math.min(width, Math.round(crossings[k + 1])));
  }
  const grey = paper(pixels.filter((_, i) => inside[i]));
  return { pixels: pixels.map((value, i) => (inside[i] ? value : grey)), width, height, grey };
}

/** A pixel between pixels, by the cubic with a = −1 (Pillow's); outside the image its paper. */
function bicubic({ pixels, width, height, grey }, x, y) {
  if (x < 0 || y < 0 || x >= width || y >= height) return grey;
  const left = Math.floor(x - 0.5), top = Math.floor(y - 0.5), across = x - 0.5 - left;
  const at = (column) => Math.min(width - 1, Math.max(0, column));
  const row = (line) => {
    const start = Math.min(height - 1, Math.max(0, line)) * width;
    return cubic(pixels[start + at(left - 1)], pixels[start + at(left)], pixels[start + at(left + 1)], pixels[start + at(left + 2)], across);
  };
  return Math.min(255, Math.max(0, Math.trunc(cubic(row(top - 1), row(top), row(top + 1), row(top + 2), y - 0.5 - top))));
}

const cubic = (a, b, c, d, part) => b + part * (c - a + part * (2 * (a - b) + c - d + part * (b - a + d - c)));

// Lines that run up or down a page (docs/embedding.md, "Lines up and down the page"): looked for on the page turned.

import { area, greatest, least } from './geometry.mjs';

const LONG = 3, SHARE = 0.3, GONE = 0.5, GRID = 4; // see the table there

/** The lines of a page of that height; `turned` finds those of the page turned clockwise, and is asked only if there is need. */
export async function withUpright(found, height, turned) {
  if (!found.some((line) => runsUpwards(line) && isLong(line))) return found;
  const across = found.filter((line) => isLong(line) && !runsUpwards(line)), others = found.filter((line) => !across.includes(line));
  const back = (points) => points.map(([x, y]) => [y, height - x]);
  const again = (await turned()).map((line) => ({ ...line, baseline: back(line.baseline), polygon: back(line.polygon) }));
  const lines = new Set(across.flatMap(squares)), upright = new Set(others.flatMap(squares));
  const taken = again.filter((line) => runsUpwards(line) && isLong(line) && share(line, upright) > SHARE && share(line, lines) < SHARE);
  const instead = new Set(taken.flatMap(squares));
  return [...across, ...others.filter((line) => share(line, instead) < GONE), ...taken];
}

export function runsUpwards({ baseline }) {
  const [dx, dy] = [0, 1].map((axis) => Math.abs(baseline.at(-1)[axis] - baseline[0][axis]));
  return dy > dx;
}

function isLong({ baseline, polygon }) {
  const [dx, dy] = [0, 1].map((axis) => baseline.at(-1)[axis] - baseline[0][axis]);
  return dx * dx + dy * dy > LONG * area(polygon);
}

/** How much of a line lies in a set of squares. */
function share(line, all) {
  const own = squares(line);
  return own.filter((square) => all.has(square)).length / Math.max(1, own.length);
}

/** The squares of GRID × GRID pixels whose middle is in a line's outline, as numbers. */
function squares({ polygon }) {
  const points = polygon.map((point) => point.map((value) => value / GRID)), found = [];
  const ys = points.map(([, y]) => y);
  for (let row = Math.floor(least(ys)); row < greatest(ys); row++) {
    const y = row + 0.5, crossed = [];
    points.forEach(([x, from], k) => {
      const [u, to] = points[(k + 1) % points.length];
      if (from > y !== to > y) crossed.push(x + ((y - from) * (u - x)) / (to - from));
    });
    crossed.sort((a, b) => a - b);
    for (let k = 0; k < crossed.length; k += 2)
      for (let column = Math.ceil(crossed[k] - 0.5); column + 0.5 < crossed[k + 1]; column++) found.push(row * 65536 + column);
  }
  return found;
}

/** An image turned by 90 degrees clockwise. */
export function clockwise({ pixels, width, height }) {
  const turned = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) turned[x * height + (height - 1 - y)] = pixels[y * width + x];
  return { pixels: turned, width: height, height: width };
}

// Sums, directions and polylines: what the steps share. A point is [x, y], y down.

/** The nearest whole number; halves to the even one. */
export const round = (value) => {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
};

export const sum = (values) => values.reduce((a, b) => a + b, 0);
export const least = (values) => values.reduce((a, b) => Math.min(a, b));
export const greatest = (values) => values.reduce((a, b) => Math.max(a, b));
export const range = (values) => greatest(values) - least(values);

/** Coordinates along a direction and across it, downwards: `turned` goes there, `back` returns. */
export const frame = ([a, b]) => ({
  along: [a, b],
  turned: ([x, y]) => [x * a + y * b, y * a - x * b],
  back: ([s, t]) => [s * a - t * b, s * b + t * a],
});

/** The direction in which points with these second moments spread most, to the right. */
export function principal(xx, xy, yy) {
  const angle = Math.atan2(2 * xy, xx - yy) / 2;
  return [Math.cos(angle), Math.sin(angle)];
}

/** The direction of the least-squares line through a polyline, from its first point towards its last. */
export function along(polyline) {
  const lengths = polyline.slice(1).map(([x, y], k) => Math.hypot(x - polyline[k][0], y - polyline[k][1]));
  const middle = (axis, k) => (polyline[k][axis] + polyline[k + 1][axis]) / 2;
  const mean = [0, 1].map((axis) => sum(lengths.map((length, k) => length * middle(axis, k))) / sum(lengths));
  const moment = (a, b) => sum(lengths.map((length, k) => {
    const step = (axis) => polyline[k + 1][axis] - polyline[k][axis];
    return length * ((middle(a, k) - mean[a]) * (middle(b, k) - mean[b]) + (step(a) * step(b)) / 12);
  }));
  const [a, b] = principal(moment(0, 0), moment(0, 1), moment(1, 1));
  const [from, to] = [polyline[0], polyline.at(-1)];
  return (to[0] - from[0]) * a + (to[1] - from[1]) * b < 0 ? [-a, -b] : [a, b];
}

/** Square pixels inside a polygon. */
export const area = (polygon) => Math.abs(sum(polygon.map(([x, y], k) => {
  const [u, v] = polygon[(k + 1) % polygon.length];
  return x * v - y * u;
}))) / 2;

/** The value of a polyline at a place; beyond its ends that of the end. */
export function interpolated(place, at, values) {
  if (place <= at[0]) return values[0];
  const k = at.findIndex((end) => end >= place);
  if (k < 0) return values.at(-1);
  return values[k - 1] + ((values[k] - values[k - 1]) * (place - at[k - 1])) / (at[k] - at[k - 1]);
}

/** numpy's percentile of a typed array; `share` is 0.8 for the 80th. */
export function quantile(values, share) {
  const sorted = values.slice().sort();
  const place = share * (sorted.length - 1), i = Math.floor(place), s = place - i;
  const low = sorted[i], high = sorted[Math.min(i + 1, sorted.length - 1)];
  return s < 0.5 ? low + (high - low) * s : high - (high - low) * (1 - s);
}

// The contract of line readers (docs/embedding.md), step by step: pixels in, text out. No libraries.

import { quantile, round } from './geometry.mjs';

/** What an ONNX file tells of itself: field 14 of its ModelProto, pairs of texts. */
export function metadata(file) {
  const text = (bytes) => new TextDecoder().decode(bytes);
  const pairs = [...fields(file)].filter(([field]) => field === 14).map(([, pair]) => new Map(fields(pair)));
  return Object.fromEntries(pairs.map((pair) => [text(pair.get(1)), text(pair.get(2))]));
}

/** The fields of a protobuf message that hold bytes: [number, bytes]. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0, unit = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 127) * unit;
      unit *= 128;
    } while (byte > 127);
    return value;
  };
  while (at < bytes.length) {
    const key = varint();
    if (key % 8 === 2) {
      const length = varint();
      yield [key >> 3, bytes.subarray(at, (at += length))];
    } else if (key % 8 === 0) varint();
    else at += key % 8 === 1 ? 8 : 4;
  }
}

/** Grey by ITU-R BT.601, of pixels as a canvas has them: four bytes each. */
export function grey({ data, width, height }) {
  const pixels = new Uint8Array(width * height);
  for (let i = 0; i < pixels.length; i++)
    pixels[i] = (19595 * data[4 * i] + 38470 * data[4 * i + 1] + 7471 * data[4 * i + 2] + 32768) >> 16;
  return { pixels, width, height };
}

/** An image of width × height, reduced by whole factors first where it is far too large. */
export function scaled(image, width, height, reducing = true) {
  if (width === image.width && height === image.height) return image;
  const across = reducing ? Math.max(1, Math.floor(image.width / width / 2)) : 1;
  const down = reducing ? Math.max(1, Math.floor(image.height / height / 2)) : 1;
  const small = reduced(image, across, down);
  return transposed(along(transposed(along(small, image.width / across, width)), image.height / down, height));
}

/** Each block of pixels becomes one, its mean. */
export function reduced({ pixels, width, height }, across, down) {
  if (across === 1 && down === 1) return { pixels, width, height };
  const small = { width: Math.ceil(width / across), height: Math.ceil(height / down) };
  small.pixels = new Uint8Array(small.width * small.height);
  for (let y = 0; y < small.height; y++)
    for (let x = 0; x < small.width; x++) {
      const right = Math.min(width, (x + 1) * across), foot = Math.min(height, (y + 1) * down);
      let sum = 0;
      for (let row = y * down; row < foot; row++)
        for (let column = x * across; column < right; column++) sum += pixels[row * width + column];
      const count = (right - x * across) * (foot - y * down);
      const mean = (sum + (count >> 1)) * Math.floor(2 ** 24 / count);
      small.pixels[y * small.width + x] = Math.floor(mean / 2 ** 24);
    }
  return small;
}

/** The triangles of the contract: for each of `count` new pixels the first old one, and the weights from there on. */
export function triangles(size, length, count) {
  const step = Math.fround(length) / count, reach = Math.max(1, step);
  return Array.from({ length: count }, (_, i) => {
    const centre = (i + 0.5) * step;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(size, Math.trunc(centre + reach + 0.5));
    const weights = Array.from({ length: end - first }, (_, j) =>
      Math.max(0, 1 - Math.abs((first + j + 0.5 - centre) / reach)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

/** Rows that count as `length` long become `count` pixels long. */
function along({ pixels, width, height }, length, count) {
  if (count === width && length === width) return { pixels, width, height };
  const found = new Uint8Array(count * height);
  const whole = triangles(width, length, count).map(({ first, weights }) =>
    ({ first, weights: weights.map((weight) => Math.floor(weight * 2 ** 22 + 0.5)) }));
  for (let y = 0; y < height; y++)
    for (let x = 0; x < count; x++) {
      const { first, weights } = whole[x];
      let sum = 2 ** 21;
      for (let j = 0; j < weights.length; j++) sum += weights[j] * pixels[y * width + first + j];
      found[y * count + x] = Math.min(255, Math.floor(sum / 2 ** 22));
    }
  return { pixels: found, width: count, height };
}

function transposed({ pixels, width, height }) {
  const turned = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) turned[x * height + y] = pixels[y * width + x];
  return { pixels: turned, width: height, height: width };
}

/** The grey of the paper. */
export const paper = (pixels) => Math.trunc(quantile(pixels, 0.8));

/** An image of one line as the model takes it: `height` rows, padded with its paper to a multiple of `multiple`. */
export function prepared(image, height, multiple) {
  const line = scaled(image, Math.max(1, round((image.width * height) / image.height)), height);
  const width = Math.ceil(line.width / multiple) * multiple;
  const pixels = new Uint8Array(width * height).fill(paper(line.pixels));
  for (let y = 0; y < height; y++) pixels.set(line.pixels.subarray(y * line.width, (y + 1) * line.width), y * width);
  return { pixels, width, height };
}

/** The text of logits [frames, classes]: [{ char, confidence }], without a language model. */
export function greedy(logits, charset, temperature) {
  const found = [];
  let last = 0;
  for (let start = 0; start < logits.length; start += charset.length) {
    const frame = logits.subarray(start, start + charset.length);
    let best = 0;
    for (let c = 1; c < frame.length; c++) if (frame[c] > frame[best]) best = c;
    if (best) {
      const confidence = 1 / frame.reduce((sum, value) => sum + Math.exp((value - frame[best]) / temperature), 0);
      if (best !== last) found.push({ char: charset[best], confidence });
      else found.at(-1).confidence = Math.max(found.at(-1).confidence, confidence);
    }
    last = best;
  }
  return found;
}

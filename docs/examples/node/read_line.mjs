// Reads line images with onnxruntime-node and sharp alone: the file contract (docs/embedding.md) in one file.
//
//     htrjand models MODEL.onnx -f json > MODEL.json      (once: onnxruntime-node shows no metadata)
//     npm ci --ignore-scripts
//     node read_line.mjs MODEL.onnx LINE.png …
//
// Images are what sharp opens: PNG, JPEG (but for CMYK, which it converts otherwise), TIFF, WebP; with alpha, 16 bits,
// EXIF orientations. A program that has its pixels already begins at scale().

import { readFile } from 'node:fs/promises';
import ort from 'onnxruntime-node';
import sharp from 'sharp';

// Grey pixels, 8 bits, 0 = black, row by row: steps 1 to 4 of the contract.
async function loadGrey(path) {
  const { space, depth, channels: given } = await sharp(path).metadata();
  const deep = space === 'grey16' && depth === 'ushort' && given === 1;
  const opened = sharp(path, { ignoreIcc: true }).autoOrient(); // colours as they are stored
  const raw = deep ? opened.toColourspace('grey16').raw({ depth: 'ushort' }) : opened.raw(); // other 16 bits: v / 256
  const { data, info: { width, height, channels } } = await raw.toBuffer({ resolveWithObject: true });
  if (deep) {
    const values = new Uint16Array(data.buffer, data.byteOffset, width * height);
    const divisor = values.some((value) => value > 255) ? 257 : 1;
    return { width, height, pixels: Uint8Array.from(values, (value) => Math.floor(value / divisor)) };
  }
  const pixels = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < pixels.length; i++, at += channels) {
    const alpha = channels === 4 ? data[at + 3] : 255;
    const onWhite = (value) => Math.floor((value * alpha + 255 * (255 - alpha) + 127) / 255);
    const [red, green, blue] = [onWhite(data[at]), onWhite(data[at + 1]), onWhite(data[at + 2])];
    pixels[i] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16; // ITU-R BT.601
  }
  return { width, height, pixels };
}

// The mean of each block of `across` columns and `down` rows; those at the edges are cut off.
function reduce(image, across, down) {
  const width = Math.ceil(image.width / across), height = Math.ceil(image.height / down);
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const right = Math.min((x + 1) * across, image.width), foot = Math.min((y + 1) * down, image.height);
      const count = (right - x * across) * (foot - y * down);
      let sum = Math.floor(count / 2);
      for (let row = y * down; row < foot; row++) {
        for (let column = x * across; column < right; column++) sum += image.pixels[row * image.width + column];
      }
      pixels[y * width + x] = Math.floor((sum * Math.floor(2 ** 24 / count)) / 2 ** 24);
    }
  }
  return { width, height, pixels };
}

// `length` columns (the width, or a little less) become `count`; what comes back is turned: its rows are these columns.
function filter(image, length, count) {
  const pixels = new Uint8ClampedArray(count * image.height);
  const step = Math.fround(length) / count, reach = Math.max(step, 1);
  for (let i = 0; i < count; i++) {
    const centre = (i + 0.5) * step;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(image.width, Math.trunc(centre + reach + 0.5));
    const triangle = [];
    for (let j = first; j < end; j++) triangle.push(Math.max(0, 1 - Math.abs((j + 0.5 - centre) / reach)));
    const sum = triangle.reduce((a, b) => a + b, 0);
    const weights = triangle.map((t) => Math.floor((t / sum) * 2 ** 22 + 0.5));
    for (let y = 0; y < image.height; y++) {
      let total = 2 ** 21;
      for (let j = 0; j < weights.length; j++) total += weights[j] * image.pixels[y * image.width + first + j];
      pixels[i * image.height + y] = total >> 22;
    }
  }
  return { width: image.height, height: count, pixels };
}

// The width at so many rows: to the nearest whole number, halves to the even one.
function scaledWidth({ width, height }, rows) {
  const wanted = (width * rows) / height, whole = Math.round(wanted);
  return Math.max(1, whole - wanted === 0.5 && whole % 2 === 1 ? whole - 1 : whole);
}

function scale(image, rows) {
  const columns = scaledWidth(image, rows);
  if (columns === image.width && rows === image.height) return image;
  const across = Math.max(1, Math.floor(image.width / columns / 2));
  const down = Math.max(1, Math.floor(image.height / rows / 2));
  const wide = filter(reduce(image, across, down), image.width / across, columns);
  return filter(wide, image.height / down, rows);
}

// Columns of the paper's grey at the right, up to the next multiple and no further.
function pad(line, multiple) {
  const sorted = Uint8Array.from(line.pixels).sort();
  const place = 0.8 * (sorted.length - 1), below = Math.floor(place), share = place - below;
  const low = sorted[below], high = sorted[Math.min(below + 1, sorted.length - 1)];
  const paper = Math.floor(share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share));
  const width = Math.ceil(line.width / multiple) * multiple;
  const pixels = new Uint8Array(width * line.height).fill(paper);
  for (let y = 0; y < line.height; y++) {
    pixels.set(line.pixels.subarray(y * line.width, (y + 1) * line.width), y * width);
  }
  return { width, height: line.height, pixels };
}

// The text of logits [T, V]: the best class of each frame, equal neighbours merged, blanks dropped.
function decode(logits, charset, blank) {
  let text = '';
  for (let at = 0, before = blank; at < logits.length; at += charset.length) {
    let best = 0;
    for (let c = 1; c < charset.length; c++) if (logits[at + c] > logits[at + best]) best = c;
    if (best !== blank && best !== before) text += charset[best];
    before = best;
  }
  return text;
}

async function main(model, ...paths) {
  const [about] = JSON.parse(await readFile(model.replace(/\.onnx$/, '.json'), 'utf8'));
  if (about.format !== 'htrjand/1') throw new Error(`${model}: no line reader of format htrjand/1`);
  const { charset, blank, height: rows, width_multiple: multiple, max_width: widest } = about;
  const session = await ort.InferenceSession.create(model);
  for (const path of paths) {
    const image = await loadGrey(path).catch((error) => { throw new Error(`${path}: ${error.message}`); });
    const columns = Math.ceil(scaledWidth(image, rows) / multiple) * multiple;
    if (columns > widest) throw new Error(`${path}: too wide for one line`);
    const { pixels } = pad(scale(image, rows), multiple);
    const { logits } = await session.run({ image: new ort.Tensor('uint8', pixels, [1, 1, rows, columns]) });
    console.log(decode(logits.data, charset, blank)); // float32 [1, T, V]
  }
}

if (process.argv.length < 4) {
  console.error('node read_line.mjs MODEL.onnx LINE.png …');
  process.exitCode = 2;
} else {
  await main(...process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}

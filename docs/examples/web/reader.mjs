// The two models and the n-gram, opened once; an image becomes lines of text.

import * as ort from './ort/ort.wasm.min.mjs';
import { cutLine } from './cut.mjs';
import { sum } from './geometry.mjs';
import { beam, fitted, openNgram } from './language.mjs';
import { greedy, grey, metadata, prepared } from './line.mjs';
import { readingOrder } from './order.mjs';
import { findLines, preparedPage } from './page.mjs';
import { clockwise, runsUpwards, withUpright } from './upright.mjs';

ort.env.wasm.numThreads = 1; // more need a server that sends the headers of cross-origin isolation

/** Reads with the files at these addresses. */
export async function openReader({ line, detector, ngram }) {
  const [reader, finder, language] = await Promise.all([openModel(line, 'htrjand/1'), openModel(detector, 'htrjand-detector/1'), fetched(ngram)]);
  const { height, width_multiple, max_width, longer_side, temperature } = { ...numbers(reader.about), ...numbers(finder.about) };
  const charset = JSON.parse(reader.about.charset), fit = fitted(openNgram(language), reader.about);

  /** An image of one line: [{ char, confidence }]; undefined for one that is too long. */
  async function readLine(image, withLanguage) {
    const padded = prepared(image, height, width_multiple);
    if (padded.width > max_width) return undefined;
    const logits = (await run(reader.session, padded)).logits.data;
    return withLanguage && fit ? beam(logits, fit) : greedy(logits, charset, temperature);
  }

  /** A line cut out of a page; one that runs up or down the way round in which it is read with more certainty. */
  async function cut(page, line) {
    const image = cutLine(page, line, height);
    if (!runsUpwards(line)) return image;
    const other = { ...image, pixels: image.pixels.toReversed() };
    const [up, down] = [sureness(await readLine(image)), sureness(await readLine(other))];
    return down > up ? other : image;
  }

  /** The lines of a page in reading order: { baseline, polygon, score }, in its pixels. */
  async function find(page) {
    const found = await withUpright(await findOn(page), page.height, () => findOn(clockwise(page)));
    return readingOrder(found).flat();
  }

  async function findOn(page) {
    const { scale, ...image } = preparedPage(page, longer_side);
    const { maps } = await run(finder.session, image);
    return findLines(maps.data, maps.dims[3], maps.dims[2], scale);
  }

  return { readLine, find, cut, name: `${reader.about.name} ${reader.about.version}`, fits: Boolean(fit) };
}

const run = (session, { pixels, width, height }) => session.run({ image: new ort.Tensor('uint8', pixels, [1, 1, height, width]) });

async function openModel(address, format) {
  const file = await fetched(address), about = metadata(file);
  if (about.format !== format) throw new Error(`${address}: of the format ${about.format}, where ${format} is read`);
  return { about, session: await ort.InferenceSession.create(file, { executionProviders: ['wasm'] }) };
}

async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: the server answers ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** The mean confidence of characters; 0 where there are none. */
const sureness = (characters) => sum((characters ?? []).map(({ confidence }) => confidence)) / Math.max(1, characters?.length ?? 0);

const numbers = (about) => Object.fromEntries(Object.entries(about).map(([key, value]) => [key, Number(value)]));

/** The grey pixels of an image file, upright by its EXIF orientation, on white where it is transparent. */
export async function decoded(file) {
  const image = await createImageBitmap(file, { colorSpaceConversion: 'none' });
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height), pen = canvas.getContext('2d');
  pen.fillStyle = 'white';
  pen.fillRect(0, 0, width, height);
  pen.drawImage(image, 0, 0);
  image.close();
  return grey(pen.getImageData(0, 0, width, height));
}

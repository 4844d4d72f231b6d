// The page: takes images, shows what was read.

import { decoded, openReader } from './reader.mjs';

const FILES = { line: 'models/htrjand-student-int8.onnx', detector: 'models/htrjand-detector-int8.onnx', ngram: 'models/htrjand-fr-en-de.lm' };
const DOUBTFUL = 0.8, POOR = 0.5;
const id = (name) => document.getElementById(name);
const chosen = new URLSearchParams(location.search).get('line'); // ?line=models/another.onnx
const opened = openReader(chosen ? { ...FILES, line: chosen } : FILES);
let waiting = Promise.resolve();

function say(text, state) {
  id('status').textContent = text;
  id('status').dataset.state = state;
}

opened.then(
  (reader) => {
    id('model').textContent = `Read by ${reader.name}.`;
    id('language').disabled = !reader.fits;
    if (id('status').dataset.state === 'loading') say('Ready.', 'ready');
  },
  (error) => say(`The models could not be loaded: ${error.message}`, 'failed'),
);

/** Files are read one after the other, in the order in which they came. */
function take(files) {
  const several = [...files];
  waiting = waiting.then(async () => {
    id('results').replaceChildren();
    say('Loading the models …', 'busy');
    for (const file of several) await read(file);
    if (id('status').dataset.state === 'busy') say(several.length > 1 ? `${several.length} images read.` : 'Read.', 'done');
  });
}

async function read(file) {
  let image;
  try {
    image = await decoded(file);
  } catch {
    const hint = 'this browser cannot open it as an image; save it as PNG or JPEG';
    show(file).querySelector('ol').replaceWith(Object.assign(document.createElement('p'), { className: 'failed', textContent: `${file.name}: ${hint}.` }));
    return;
  }
  try {
    const reader = await opened, card = show(file, image), start = performance.now();
    say(`${file.name}: looking for lines …`, 'busy');
    await painted();
    const lines = await linesOf(reader, image);
    const found = performance.now();
    let characters = 0;
    for (const [number, line] of lines.entries()) {
      if (lines.length > 1) say(`${file.name}: reading line ${number + 1} of ${lines.length} …`, 'busy');
      await painted();
      const read = await reader.readLine(line.polygon ? await reader.cut(image, line) : image, id('language').checked);
      characters += read?.length ?? 0;
      add(card, line, read);
    }
    const ms = [performance.now() - start, found - start].map(Math.round);
    const finding = lines[0]?.polygon ? `, ${ms[1].toLocaleString('en')} of them to find the lines` : '';
    const counts = `${lines.length} ${lines.length === 1 ? 'line' : 'lines'}, ${characters} characters`;
    card.querySelector('small').textContent = `${counts}: ${ms[0].toLocaleString('en')} ms${finding}`;
    card.dataset.ms = ms[0];
  } catch (error) {
    say(`${file.name}: ${error.message}`, 'failed');
  }
}

/** The lines of a page; of an image that is one line that alone, without a polygon. */
async function linesOf(reader, image) {
  const kind = document.querySelector('[name=kind]:checked').value;
  const { width, height } = image;
  if (kind === 'line' || (!kind && (width >= 12 * height || height <= 80))) return [{}];
  const lines = await reader.find(image);
  const rows = lines.map(({ polygon }) => polygon.map((point) => point[1])).map((y) => Math.max(...y) - Math.min(...y));
  return !kind && (!lines.length || (lines.length === 1 && rows[0] >= 0.4 * height)) ? [{}] : lines;
}

/** A card for a file, with its picture. */
function show(file, image) {
  const card = id('result').content.cloneNode(true).firstElementChild;
  card.querySelector('h2').textContent = file.name;
  id('results').append(card);
  if (!image) {
    card.querySelector('figure').remove();
    card.querySelector('.row').remove();
    return card;
  }
  const picture = card.querySelector('image'), address = URL.createObjectURL(file);
  picture.addEventListener('load', () => URL.revokeObjectURL(address));
  for (const [name, value] of Object.entries({ href: address, width: image.width, height: image.height })) picture.setAttribute(name, value);
  card.querySelector('svg').setAttribute('viewBox', `0 0 ${image.width} ${image.height}`);
  card.querySelector('svg').setAttribute('aria-label', file.name);
  card.querySelector('.copy').addEventListener('click', () => navigator.clipboard.writeText(text(card)));
  card.classList.toggle('long', image.width > 3 * image.height);
  return card;
}

const text = (card) => [...card.querySelectorAll('li')].map((line) => line.textContent).join('\n');

/** A line of text with its doubtful characters marked, and its outline on the picture. */
function add(card, { polygon }, characters) {
  const item = document.createElement('li');
  for (const { char, confidence } of characters ?? []) {
    if (confidence >= DOUBTFUL) item.append(char);
    else {
      const mark = Object.assign(document.createElement('mark'), { textContent: char, className: confidence < POOR ? 'poor' : 'doubtful' });
      mark.title = `${Math.round(100 * confidence)} % sure`;
      item.append(mark);
    }
  }
  if (!characters) item.append(Object.assign(document.createElement('em'), { textContent: 'too long for one line' }));
  card.querySelector('ol').append(item);
  document.querySelector('.key').hidden = false;
  if (!polygon) return;
  const outline = document.createElementNS('http://www.w3.org/2000/svg', 'polygon');
  outline.setAttribute('points', polygon.map((point) => point.join()).join(' '));
  card.querySelector('svg').append(outline);
  for (const [one, other] of [[item, outline], [outline, item]])
    for (const event of ['pointerenter', 'pointerleave']) one.addEventListener(event, () => other.classList.toggle('seen', event === 'pointerenter'));
}

/** After the browser had time to paint. */
const painted = () => new Promise((done) => setTimeout(done));

id('files').addEventListener('change', (event) => {
  take(event.target.files);
  event.target.value = ''; // or the same file could not be chosen again
});
for (const button of document.querySelectorAll('[data-sample]'))
  button.addEventListener('click', async () => {
    const answer = await fetch(button.dataset.sample);
    take([new File([await answer.blob()], button.dataset.sample.split('/').at(-1))]);
  });
for (const event of ['dragover', 'dragleave', 'drop'])
  document.addEventListener(event, (dropped) => {
    dropped.preventDefault();
    document.querySelector('.drop').classList.toggle('over', event === 'dragover');
    if (event === 'drop') take(dropped.dataTransfer.files);
  });

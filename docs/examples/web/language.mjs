// Reading with the character n-gram (docs/embedding.md, "The n-gram" and "The beam").

const WIDTH = 64, CANDIDATES = 10, BEHIND = 20; // of the search
const NEVER = -Infinity, UNKNOWN = -12;

/** The n-gram of an .lm file: `log(context, code)` is [ln p of a character, the context after it]. */
export function openNgram(file) {
  const end = file.indexOf(10) + 1, body = file.slice(end).buffer;
  const about = JSON.parse(new TextDecoder().decode(file.subarray(0, end)));
  const array = (name) => {
    const [type, offset, count] = about.arrays[name];
    return type === 'uint8' ? new Uint8Array(body, offset, count) : new Float32Array(body.slice(offset, offset + 4 * count));
  };
  const [children, characters, places, table] = ['children', 'characters', 'probabilities', 'probability_table'].map(array);
  const backoffs = array('backoffs'), backoffTable = array('backoff_table');
  const first = new Uint32Array(children.length + 1).fill(1); // the first child of each node that may have some
  const backoff = new Float32Array(children.length);
  for (let node = 0, k = 0; node < children.length; node++) {
    first[node + 1] = first[node] + children[node];
    if (node && children[node]) backoff[node] = backoffTable[backoffs[k++]];
  }
  const child = (node, code) => { // by halves; 0: none
    let low = first[node], high = first[node + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (characters[middle - 1] < code) low = middle + 1;
      else high = middle;
    }
    return low < first[node + 1] && characters[low - 1] === code ? low : 0;
  };
  const find = (context) => { // the node of a context; undefined: none
    let node = 0;
    for (const code of context) if (!(node = child(node, code))) return undefined;
    return node;
  };
  const log = (context, code) => {
    if (code === undefined) return [UNKNOWN, []];
    for (let from = 0, total = 0; from <= context.length; from++) {
      const node = find(context.slice(from));
      if (node === undefined) continue;
      const longer = child(node, code);
      if (longer) return [total + table[places[longer - 1]], [...context, code].slice(1 - about.order)];
      total += backoff[node];
    }
    return [UNKNOWN, []];
  };
  return { log, order: about.order, seal: about.seal, languages: about.languages, codes: new Map(about.characters.map((char, code) => [char, code])) };
}

/** The n-gram as a line reader uses it; undefined where it does not know all of the reader's languages. */
export function fitted(ngram, about) {
  const languages = JSON.parse(about.languages), fit = JSON.parse(about.language_model);
  if (!languages.length || !languages.every((language) => ngram.languages.includes(language))) return undefined;
  const { weight, bonus, temperature } = ngram.seal.endsWith(fit.seal) ? fit : { weight: 0.7, bonus: 1.5, temperature: 2 };
  const charset = JSON.parse(about.charset);
  const scales = charset.map((char) => (/^[\p{Nd}⁰¹²³⁴-⁹]$/u.test(char) ? 0.7 : /^\p{Uppercase}$/u.test(char) ? 0.8 : 1));
  const codes = charset.map((char) => (char ? ngram.codes.get(char) : undefined));
  const step = (context, c) => { // the scaled ln p of a class, and the context after it
    const [log, after] = ngram.log(context, codes[c]);
    return [scales[c] * log, after];
  };
  return { step, order: ngram.order, charset, weight, bonus, temperature };
}

/** The text of logits [frames, classes]: [{ char, confidence }]. */
export function beam(logits, language) {
  const frames = [];
  for (let start = 0; start < logits.length; start += language.charset.length)
    frames.push(logSoftmax(logits.subarray(start, start + language.charset.length)));
  const { text, peaks } = search(frames, language);
  const chances = confidences(text, peaks.map((peak) => frames[peak.frame]), language);
  return text.map((c, k) => ({ char: language.charset[c], confidence: chances[k] }));
}

function logSoftmax(frame) {
  const most = frame.reduce((a, b) => Math.max(a, b));
  const total = most + Math.log(frame.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return Float64Array.from(frame, (value) => Math.max(value - total, Math.log(1e-30)));
}

const add = (a, b) => (Math.min(a, b) === NEVER ? Math.max(a, b) : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))));

/** The best text, and of each of its classes the greatest ln p and the frame of it. */
function search(frames, { step, weight, bonus }) {
  const score = (h) => add(h.blank, h.inked) + weight * h.language + bonus * h.text.length;
  const empty = { text: [], blank: 0, inked: NEVER, language: 0, context: [0], peaks: [] };
  let found = new Map([['', empty]]), last = -1;
  frames.forEach((seen, frame) => {
    if (seen[0] >= Math.log(0.99)) return;
    if (frame > last + 1) for (const h of found.values()) Object.assign(h, { blank: add(h.blank, h.inked), inked: NEVER });
    last = frame;
    for (const h of found.values()) h.whole = add(h.blank, h.inked);
    const least = Math.max(...[...found.values()].map((h) => h.whole)) + Math.max(...seen) - BEHIND;
    const likely = [...seen.keys()].filter((c) => c && seen[c] > -6);
    const tried = likely.sort((a, b) => seen[b] - seen[a]).slice(0, CANDIDATES);
    const grown = new Map();
    for (const [key, h] of found) {
      const c = h.text.at(-1), peaks = [...h.peaks];
      if (h.text.length && seen[c] > peaks.at(-1).log) peaks.splice(-1, 1, { log: seen[c], frame });
      grown.set(key, { ...h, peaks, blank: h.whole + seen[0], inked: h.text.length ? h.inked + seen[c] : NEVER });
    }
    for (const [key, h] of found)
      for (const c of tried) {
        const log = (h.text.at(-1) === c ? h.blank : h.whole) + seen[c];
        const longer = key + String.fromCharCode(c);
        if (found.has(longer)) grown.get(longer).inked = add(grown.get(longer).inked, log);
        else if (log > least) {
          const [spoken, context] = step(h.context, c);
          const peaks = [...h.peaks, { log: seen[c], frame }];
          grown.set(longer, { text: [...h.text, c], blank: NEVER, inked: log, language: h.language + spoken, context, peaks });
        }
      }
    found = new Map([...grown].sort((a, b) => score(b[1]) - score(a[1])).slice(0, WIDTH));
  });
  return [...found.values()].reduce((best, h) => (score(h) > score(best) ? h : best));
}

/** The chance of each character against others in its place. */
function confidences(text, frames, { step, order, weight, temperature }) {
  let context = [0];
  return text.map((chosen, place) => {
    const seen = frames[place], behind = text.slice(place + 1, place + order);
    const scores = [...seen.keys()].filter((c) => c && (c === chosen || seen[c] > -8)).map((c) => {
      let spoken = 0, after = context;
      for (const next of [c, ...behind]) {
        const [log, then] = step(after, next);
        spoken += log;
        after = then;
      }
      return [c, (seen[c] + weight * spoken) / temperature];
    });
    const own = scores.find(([c]) => c === chosen)[1];
    context = step(context, chosen)[1];
    return 1 / scores.reduce((sum, [, score]) => sum + Math.exp(score - own), 0);
  });
}

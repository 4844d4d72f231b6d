"use strict";
// Draws the charts of the page out of the figures that it holds, and sorts its table. No library, no network.
const { records, speedups } = JSON.parse(document.getElementById("figures-data").textContent);
const W = 560, H = 330, LEFT = 54, RIGHT = 18, TOP = 14, BOTTOM = 44;
const ENGINES = ["onnxruntime", "litert", "openvino", "torch", "tesseract", "rapidocr"];
const SHAPES = ["circle", "square", "diamond", "triangle", "cross"];
const devices = [...new Set(records.map((record) => record.device))];
const tip = document.getElementById("tip");

const colour = (engine) => `var(--${ENGINES.includes(engine) ? engine : "other"})`;
const label = (record) => record.name + (record.language_model ? " + n-gram" : "") + (record.neural_language_model ? " + neural" : "");
const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));

function node(name, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function canvas(place, height, title, width = W) {
  const made = node("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  document.getElementById(place).replaceChildren(made);
  return made;
}

function empty(place, text) {
  const made = document.createElement("p");
  made.className = "empty";
  made.textContent = text;
  document.getElementById(place).replaceChildren(made);
}

// A mark of the engine's colour and the device's shape; hollow where its run was disturbed.
function mark(x, y, record, size = 6) {
  const shape = SHAPES[devices.indexOf(record.device) % SHAPES.length];
  const s = size, paths = {
    circle: `M${x - s} ${y}a${s} ${s} 0 1 0 ${2 * s} 0a${s} ${s} 0 1 0 ${-2 * s} 0`,
    square: `M${x - s} ${y - s}h${2 * s}v${2 * s}h${-2 * s}z`,
    diamond: `M${x} ${y - s * 1.3}l${s * 1.3} ${s * 1.3}l${-s * 1.3} ${s * 1.3}l${-s * 1.3} ${-s * 1.3}z`,
    triangle: `M${x} ${y - s * 1.2}l${s * 1.2} ${s * 2.2}h${-s * 2.4}z`,
    cross: `M${x - s} ${y - s}l${2 * s} ${2 * s}m0 ${-2 * s}l${-2 * s} ${2 * s}`,
  };
  const fill = record.valid && shape !== "cross" ? colour(record.engine) : "var(--card)";
  return node("path", { d: paths[shape], fill, stroke: colour(record.engine), "stroke-width": 2, class: "mark" });
}

function told(made, text) {
  made.setAttribute("tabindex", "0");
  made.setAttribute("aria-label", text);
  const show = () => {
    const box = made.getBoundingClientRect();
    tip.textContent = text;
    tip.hidden = false;
    const left = Math.min(box.right + 8, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(8, left) + window.scrollX}px`;
    tip.style.top = `${box.bottom + 6 + window.scrollY}px`;
  };
  const hide = () => { tip.hidden = true; };
  for (const event of ["pointerenter", "focus"]) made.addEventListener(event, show);
  for (const event of ["pointerleave", "blur"]) made.addEventListener(event, hide);
  return made;
}

const about = (record) => [
  `${label(record)}, ${record.precision || "as it ships"}, ${record.threads} thread${record.threads > 1 ? "s" : ""}`,
  `CER ${number(record.cer)} %, ${number(record.p50_ms, 1)} ms, ${number(record.size_mb)} MB`,
  `${record.device}, ${record.result}${record.valid ? "" : " (disturbed)"}`,
].join("\n");

// Ticks of an axis: 1, 2, 5 of each power of ten on a logarithmic one, more if these are few; some seven round steps on a
// linear one.
function ticks(low, high, logarithmic) {
  if (logarithmic) {
    const of = (steps) => {
      const found = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
        for (const one of steps) found.push(one * 10 ** power);
      return found.filter((value) => value >= low && value <= high);
    };
    const few = of([1, 2, 5]);
    return few.length > 2 ? few : of([1, 1.5, 2, 3, 4, 5, 6, 8]);
  }
  const raw = (high - low) / 6, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
  return found;
}

function axis(values, from, to, logarithmic, zero = true) {
  let low = Math.min(...values), high = Math.max(...values);
  const spare = (high - low || high || 1) * 0.08;
  if (logarithmic) { low /= 1.35; high *= 1.35; } else { high += spare; low = zero ? 0 : low - spare; }
  const of = logarithmic ? Math.log : (value) => value;
  return {
    at: (value) => from + ((of(value) - of(low)) / (of(high) - of(low))) * (to - from),
    ticks: ticks(low, high, logarithmic),
  };
}

const short = (value) => (value >= 10 ? String(Math.round(value)) : String(+value.toPrecision(2)));

function axes(made, across, up, titleAcross, titleUp) {
  for (const value of up.ticks) {
    made.append(node("line", { class: "line", x1: LEFT, x2: W - RIGHT, y1: up.at(value), y2: up.at(value) }));
    made.append(node("text", { x: LEFT - 8, y: up.at(value) + 4, "text-anchor": "end" }, short(value)));
  }
  made.append(node("line", { class: "axis", x1: LEFT, x2: W - RIGHT, y1: H - BOTTOM, y2: H - BOTTOM }));
  for (const value of across.ticks) {
    const x = across.at(value);
    made.append(node("line", { class: "axis", x1: x, x2: x, y1: H - BOTTOM, y2: H - BOTTOM + 4 }));
    made.append(node("text", { x, y: H - BOTTOM + 18, "text-anchor": "middle" }, short(value)));
  }
  made.append(node("text", { x: (LEFT + W - RIGHT) / 2, y: H - 6, "text-anchor": "middle" }, titleAcross));
  const y = (TOP + H - BOTTOM) / 2;
  made.append(node("text", { x: 14, y, "text-anchor": "middle", transform: `rotate(-90 14 ${y})` }, titleUp));
}

function front(points) {
  let best = Infinity;
  return [...points].sort((a, b) => a.x - b.x || a.y - b.y).filter((point) => point.y < best && ((best = point.y), true));
}

// Names beside marks, above each other's reach: one that would cover another is moved, or left to the tip.
function names(made, points, across, up) {
  const taken = points.map((point) => [across.at(point.x) - 8, up.at(point.y) - 8, 16, 16]);
  const told = new Set();
  for (const point of points) {
    const text = label(point.record), width = 6.6 * text.length, x = across.at(point.x), y = up.at(point.y);
    for (const [left, base] of [[x + 11, y + 4], [x - 11 - width, y + 4], [x + 8, y - 10], [x + 8, y + 20]]) {
      const box = [left, base - 11, width, 14];
      const free = taken.every((b) => box[0] > b[0] + b[2] || b[0] > box[0] + box[2] || box[1] > b[1] + b[3] || b[1] > box[1] + box[3]);
      if (!free || left < LEFT || left + width > W - 2 || base < TOP || base > H - BOTTOM - 2) continue;
      if (told.has(text)) break;
      told.add(text);
      taken.push(box);
      made.append(node("text", { class: "name", x: left, y: base }, text));
      break;
    }
  }
}

// A front for each group of records: what is of one group may be held against each other.
function scatter(place, shown, value, titleAcross, group) {
  const points = shown.filter((record) => value(record) && record.cer !== null)
    .map((record) => ({ x: value(record), y: Math.max(record.cer, 0.01), record }));  // an axis of ratios has no 0
  if (!points.length) return empty(place, "No result holds both errors and this.");
  const made = canvas(place, H, `CER against ${titleAcross}`);
  const across = axis(points.map((point) => point.x), LEFT, W - RIGHT, true);
  const up = axis(points.map((point) => point.y), H - BOTTOM, TOP, true);
  axes(made, across, up, titleAcross, "CER, %");
  const groups = [...new Set(points.map((point) => group(point.record)))];
  const fronts = groups.map((one) => front(points.filter((point) => group(point.record) === one)));
  for (const best of fronts) {
    const path = best.map((point, i) => (i ? `H${across.at(point.x)}V${up.at(point.y)}` : `M${across.at(point.x)} ${up.at(point.y)}`));
    made.append(node("path", { class: "front", d: `${path.join("")}H${W - RIGHT}` }));
  }
  const best = fronts.flat();
  for (const point of points) made.append(told(mark(across.at(point.x), up.at(point.y), point.record), about(point.record)));
  names(made, [...best, ...points.filter((point) => !best.includes(point))], across, up);
}

function curves(place, shown) {
  const series = shown.filter((record) => record.widths.length > 1);
  if (!series.length) return empty(place, "No result keeps single readings of these items.");
  const made = canvas(place, H, "Time by width"), all = series.flatMap((record) => record.widths);
  const across = axis(all.map(([width]) => width), LEFT, W - RIGHT, false, false);
  const up = axis(all.map(([, ms]) => ms), H - BOTTOM, TOP, true);
  axes(made, across, up, "columns", `ms a ${series[0].unit}`);
  for (const record of series) {
    const d = record.widths.map(([width, ms], i) => `${i ? "L" : "M"}${across.at(width)} ${up.at(ms)}`).join("");
    const dash = record.language_model ? "" : "6 4";
    made.append(node("path", { class: "curve", d, stroke: colour(record.engine), "stroke-dasharray": dash }));
    for (const [width, ms] of record.widths)
      made.append(told(mark(across.at(width), up.at(ms), record, 3.5), `${number(ms, 1)} ms at ${Math.round(width)} columns\n${about(record)}`));
  }
}

// Rows with a name at the left and something drawn along a common axis at the right.
function strips(place, rows, titleAcross, draw, width = W) {
  if (!rows.length) return empty(place, "No result holds this.");
  const left = 270, step = 24, height = TOP + step * rows.length + BOTTOM;
  const made = canvas(place, height, titleAcross, width);
  const across = axis(rows.flatMap((row) => row.values), left, width - RIGHT - 40, false);
  for (const value of across.ticks) {
    made.append(node("line", { class: "line", x1: across.at(value), x2: across.at(value), y1: TOP, y2: height - BOTTOM }));
    made.append(node("text", { x: across.at(value), y: height - BOTTOM + 16, "text-anchor": "middle" }, short(value)));
  }
  made.append(node("text", { x: (left + width - RIGHT) / 2, y: height - 8, "text-anchor": "middle" }, titleAcross));
  rows.forEach((row, i) => {
    const y = TOP + step * (i + 0.5);
    const name = row.name.length > 42 ? `${row.name.slice(0, 41)}…` : row.name;
    made.append(node("text", { class: "name", x: left - 10, y: y + 4, "text-anchor": "end" }, name));
    draw(made, row, y, across);
  });
}

function drawSpeedups(shown) {
  const key = (one) => [one.result, one.name, one.decoder, one.unit, one.threads].join("\t");
  const of = new Map(shown.map((record) => [key(record), record]));
  const rows = speedups.filter((one) => of.has(key(one))).map((one) => ({
    ...one, record: of.get(key(one)), name: labelled(of.get(key(one)), shown), values: [one.times, one.high || one.times, 1],
  }));
  strips("speedup", rows, "times as fast", (made, row, y, across) => {
    const x = across.at(row.times), stroke = colour(row.engine);
    made.append(node("line", { class: "axis", x1: across.at(1), x2: across.at(1), y1: y - 12, y2: y + 12, "stroke-width": 2 }));
    if (row.low !== null) made.append(node("line", { x1: across.at(row.low), x2: across.at(row.high), y1: y, y2: y, stroke, "stroke-width": 2 }));
    const interval = row.low === null ? "" : ` (${number(row.low)} to ${number(row.high)})`;
    made.append(told(mark(x, y, row.record, 5), `× ${number(row.times)}${interval}\n${about(row.record)}`));
    made.append(node("text", { x: Math.max(x, across.at(row.high || 0)) + 10, y: y + 4 }, `× ${number(row.times)}`));
  });
}

// With the run, where rows of several are shown.
const labelled = (record, shown) => label(record) + (shown.some((one) => one.result !== record.result) ? `, ${record.result}` : "");

function drawMemory(shown) {
  const rows = shown.filter((record) => record.memory_mb).map((record) => ({
    name: labelled(record, shown), record, values: [record.memory_mb],
  })).sort((a, b) => a.values[0] - b.values[0]);
  strips("memory", rows, "MB", (made, row, y, across) => {
    const [x, end] = [across.at(0), across.at(row.values[0])];
    made.append(told(node("rect", { x, y: y - 7, width: end - x, height: 14, rx: 3, fill: colour(row.record.engine) }), about(row.record)));
    made.append(node("text", { x: end + 8, y: y + 4 }, number(row.values[0], 0)));
  }, 2 * W + 60);
}

function drawLegend(shown) {
  const list = document.getElementById("legend");
  list.replaceChildren();
  const add = (record, text) => {
    const item = document.createElement("li"), made = node("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" });
    made.append(mark(7, 7, record, 5));
    item.append(made, text);
    list.append(item);
  };
  const engines = [...new Set(shown.map((record) => record.engine))];
  for (const engine of engines) add({ engine, device: devices[0], valid: true }, engine);
  if (devices.length > 1) for (const device of devices) add({ engine: "", device, valid: true }, device);
  if (shown.some((record) => !record.valid)) add({ engine: "", device: devices[0], valid: false }, "disturbed run");
}

const signature = (record) => `${record.unit}\t${record.data.map((part) => part[2]).join(" ")}`;
const named = (record) => `${record.unit}s of ${record.data.map(([name, count]) => `${name} (${count})`).join(", ")}`;

function choices(id, pairs) {
  const select = document.getElementById(id), before = select.value;
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  if (pairs.some(([value]) => value === before)) select.value = before;
  select.parentElement.hidden = pairs.length < 2;
}

function draw() {
  const good = records.filter((record) => !record.error);
  const set = document.getElementById("data-set").value;
  const of = good.filter((record) => signature(record) === set);
  const counts = [...new Set(of.map((record) => record.threads))].filter((count) => count !== null).sort((a, b) => a - b);
  choices("threads", counts.map((count) => [String(count), String(count)]));
  const threads = document.getElementById("threads").value;
  const shown = of.filter((record) => record.threads === null || String(record.threads) === threads);
  const unit = shown.length ? shown[0].unit : "line";
  drawLegend(shown);
  scatter("size", shown, (record) => record.size_mb, "MB", () => "");
  scatter("time", shown, (record) => record.p50_ms, `ms a ${unit}`, (record) => record.device);
  curves("width", shown);
  drawSpeedups(shown);
  drawMemory(shown);
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending", value = (row) => row.cells[column].dataset.value;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return up ? order : -order;
    });
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].append(...rows);
  }));
}

// First what most rows have errors and times of.
const sets = new Map(), weight = new Map();
for (const record of records.filter((one) => !one.error)) {
  const key = signature(record);
  sets.set(key, named(record));
  weight.set(key, (weight.get(key) || 0) + (record.cer !== null && record.p50_ms !== null));
}
choices("data-set", [...sets].sort((a, b) => weight.get(b[0]) - weight.get(a[0])));
for (const id of ["data-set", "threads"]) document.getElementById(id).addEventListener("change", draw);
document.getElementById("charts").hidden = !sets.size;
if (sets.size) draw();
sortable(document.getElementById("figures"));
const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme || (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
});

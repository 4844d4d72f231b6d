// Puts the page, onnxruntime-web and the bundled models into one folder, which any web server can serve:
//
//     npm ci --ignore-scripts && npm run build && python -m http.server --directory ../../../build/examples/web
//
// Another folder: node build.mjs FOLDER

import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url)), root = join(here, '..', '..', '..');
const out = process.argv[2] ?? join(root, 'build', 'examples', 'web');
const library = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));

const TOOLS = ['build.mjs', 'check.mjs', 'tensors.mjs']; // are no part of the page

const copied = {
  '.': readdirSync(here).filter((name) => /\.(html|css|mjs)$/.test(name) && !TOOLS.includes(name)).map((name) => join(here, name)),
  ort: ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'].map((name) => join(library, name)),
  models: ['htrjand-student-int8.onnx', 'htrjand-detector-int8.onnx', 'htrjand-fr-en-de.lm'].map((name) => join(root, 'runtime', 'models', name)),
};
for (const [folder, paths] of Object.entries(copied)) {
  mkdirSync(join(out, folder), { recursive: true });
  for (const path of paths) cpSync(path, join(out, folder, path.split(/[\\/]/).at(-1)));
}
mkdirSync(join(out, 'sample'), { recursive: true });
cpSync(join(root, 'benchmarks', 'sample', 'lines', '01.png'), join(out, 'sample', 'line.png'));
cpSync(join(root, 'benchmarks', 'sample', 'page.png'), join(out, 'sample', 'page.png'));
console.log(`${out}: python -m http.server --directory ${out}`);

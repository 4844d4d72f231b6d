// Runs a model in onnxruntime-web without a browser, and writes what comes out of it:
//
//     node tensors.mjs MODEL FOLDER
//
// FOLDER has inputs.json, a list of { shape } in which each NAME.u8 holds an image, uint8 [1, 1, 64, W], NAME being its
// place in the list; and gets NAME.K for the K-th output of each. The graph is run as it is, not optimised.

import * as ort from 'onnxruntime-web/wasm';
import { readFileSync, writeFileSync } from 'node:fs';

const [model, folder] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(model)), { graphOptimizationLevel: 'disabled', logSeverityLevel: 4 });
for (const [name, { shape }] of JSON.parse(readFileSync(`${folder}/inputs.json`)).entries()) {
  const image = new ort.Tensor('uint8', new Uint8Array(readFileSync(`${folder}/${name}.u8`)), shape);
  const found = await session.run({ image });
  session.outputNames.forEach((output, k) => {
    const { data } = found[output];
    writeFileSync(`${folder}/${name}.${k}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  });
}

// SPDX-License-Identifier: GPL-3.0-or-later
// Whether the Kubernetes API would take an object: the types, required fields
// and formats of its own OpenAPI document, and no field that it does not know.
// Both come from packages that are generated from it (and from the resources'
// definitions of the Prometheus operator and cert-manager).
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { tools } from './helm.mjs';

const modules = path.join(tools, 'node_modules');

// Where the model of an apiVersion is. An API group of our own is an error.
function modelModule(object) {
  const [group, version] = object.apiVersion.includes('/') ?
      object.apiVersion.split('/') : ['', object.apiVersion];
  const place = {
    'monitoring.coreos.com': '@kubernetes-models/prometheus-operator/',
    'cert-manager.io': '@kubernetes-models/cert-manager/',
  }[group] ?? 'kubernetes-models/';
  return `${place}${group ? `${group}/` : ''}${version}/${object.kind}`;
}

function where(object) {
  return `${object.kind} ${object.metadata?.name}`;
}

async function problemsByValidator(object) {
  const base = path.join(modules, modelModule(object));
  const file = fs.existsSync(`${base}.mjs`) ? `${base}.mjs` : `${base}.js`;
  if (!fs.existsSync(file)) {
    return [`${where(object)}: there is no ${object.apiVersion}`];
  }
  const model = (await import(pathToFileURL(file).href))[object.kind];
  try {
    new model(object).validate();
    return [];
  } catch (error) {
    return [`${where(object)}: ${error.message}`];
  }
}

// The compiler takes an object literal only if its type has every field.
function problemsByType(objects) {
  const folder = fs.mkdtempSync(path.join(tools, 'check-'));
  try {
    const lines = objects.flatMap((object, i) => [
      `import type { I${object.kind} as T${i} } from ` +
          `'${modelModule(object)}';`,
      `export const o${i}: T${i} = ${JSON.stringify(object)};`]);
    fs.writeFileSync(path.join(folder, 'objects.ts'), lines.join('\n'));
    const run = spawnSync(process.execPath, [
      path.join(modules, 'typescript/bin/tsc'), '--noEmit', '--strict',
      '--skipLibCheck', '--target', 'es2022', '--module', 'esnext',
      '--moduleResolution', 'bundler', 'objects.ts'],
      { cwd: folder, encoding: 'utf8' });
    if (run.error) throw run.error;
    if (run.status === 0) return [];
    return run.stdout.trim().split('\n').map((line) => {
      const at = line.match(/^objects\.ts\((\d+),\d+\): (.*)$/);
      return at ? `${where(objects[(at[1] - 1) >> 1])}: ${at[2]}` : line;
    });
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

// Sentences, empty if the API would take all of them. Without `types`, which
// take a second, fields that it does not know pass.
export async function problems(objects, { types = true } = {}) {
  const found = [];
  for (const object of objects) {
    found.push(...await problemsByValidator(object));
  }
  return found.length > 0 || !types ? found : problemsByType(objects);
}

// SPDX-License-Identifier: GPL-3.0-or-later
// Helm and kubectl, and what they make of our chart.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { temporaryFolder } from './folder.mjs';

export { temporaryFolder };
export const top = path.resolve(
    path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const here = path.join(top, 'tests/charts');
export const chart = path.join(top, 'charts/nfmeter');
export const tools = path.join(top, '.cache/charts');

export const helmProgram =
    process.env.HELM || path.join(tools, 'helm/helm');
export const kubectlProgram =
    process.env.KUBECTL || path.join(tools, 'kubectl/kubectl');

// A module of the packages that scripts/install-deps charts fetches.
export function fromTools(file) {
  return import(pathToFileURL(path.join(tools, 'node_modules', file)).href);
}

const yaml = (await fromTools('yaml/dist/index.js')).default;

export function parse(text) {
  return yaml.parse(text);
}

// The objects of a stream of YAML documents, empty ones left out.
export function parseAll(text) {
  return yaml.parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS();
  }).filter((object) => object !== null);
}

export function toYaml(object) {
  return yaml.stringify(object);
}

const home = temporaryFolder('helm');
const environment = {
  ...process.env,
  HELM_CACHE_HOME: `${home}/cache`,
  HELM_CONFIG_HOME: `${home}/config`,
  HELM_DATA_HOME: `${home}/data`,
  KUBECONFIG: `${home}/no-cluster`,
};

// What Helm prints; throws an Error with its words if it fails.
export function helm(...words) {
  const options = typeof words.at(-1) === 'object' ? words.pop() : {};
  const run = spawnSync(helmProgram, words, {
    encoding: 'utf8', maxBuffer: 1 << 28, ...options,
    env: { ...environment, ...options.env },
  });
  if (run.error) throw run.error;
  if (run.status !== 0) throw new Error(run.stderr || run.stdout);
  return run.stdout;
}

export function kubectl(...words) {
  const options = typeof words.at(-1) === 'object' ? words.pop() : {};
  return execFileSync(kubectlProgram, words, {
    encoding: 'utf8', maxBuffer: 1 << 28, ...options,
    env: { ...environment, ...options.env },
  });
}

// Flags for values as an object.
let written = 0;
export function valuesFlags(values) {
  if (values === undefined) return [];
  const file = path.join(home, `values-${++written}.yaml`);
  fs.writeFileSync(file, toYaml(values));
  return ['--values', file];
}

// The manifests as text. `values`: an object, or the name of a file of values/.
export function template(values, flags = [], from = chart, release = 'demo') {
  const given = typeof values === 'string' ?
      ['--values', path.join(here, 'values', `${values}.yaml`)] :
      valuesFlags(values);
  return helm('template', release, from, '--namespace', 'metering', ...given,
              ...flags);
}

export function render(values, flags, from) {
  return parseAll(template(values, flags, from));
}

// The one object of a kind (and name).
export function pick(objects, kind, name) {
  const found = objects.filter(
      (each) => each.kind === kind &&
          (name === undefined || each.metadata.name === name));
  if (found.length !== 1) {
    throw new Error(`${found.length} objects of kind ${kind} ${name ?? ''}`);
  }
  return found[0];
}

// Names of the files in values/, without .yaml: the matrix.
export const matrix = fs.readdirSync(path.join(here, 'values'))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length));

// The chart that has ours as a dependency, with the dependency fetched into it.
export function exampleChart() {
  const folder = temporaryFolder('example');
  fs.cpSync(path.join(top, 'charts'), folder, { recursive: true });
  const example = path.join(folder, 'examples/web');
  helm('dependency', 'build', example);
  return example;
}

// 3 or 4.
export const helmMajor = Number(
    helm('version', '--template', '{{.Version}}').match(/v?(\d+)/)[1]);

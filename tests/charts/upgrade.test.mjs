// SPDX-License-Identifier: GPL-3.0-or-later
// Installed, tested, upgraded, rolled back and uninstalled by Helm, against an
// API server that refuses what a real one refuses; and from the version of the
// chart before this one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { chart, helm, helmMajor, here, kubectl, matrix, parse,
  temporaryFolder, toYaml, valuesFlags } from './support/helm.mjs';

const previous = path.join(here, 'previous/nfmeter-0.1.0.tgz');
const kubeconfig = path.join(temporaryFolder('cluster'), 'config');
let server;

before(async () => {
  server = spawn(process.execPath,
                 [path.join(here, 'support/api_server.mjs')],
                 { stdio: ['pipe', 'pipe', 'inherit'] });
  const [address] = await new Promise(
      (done) => server.stdout.once('data', (data) => done(
          String(data).trim().split('\n'))));
  fs.writeFileSync(kubeconfig, toYaml({
    apiVersion: 'v1', kind: 'Config', 'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: address } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    users: [{ name: 'test', user: {} }],
  }));
});
after(() => server.stdin.end());

// Helm 3 upgrades by strategic merge patches, which the server here does not
// know.
const upgrades =
    helmMajor < 4 ? { skip: 'the API server here is for Helm 4' } : {};

const options = { env: { KUBECONFIG: kubeconfig } };
const inCluster = (...words) =>
    helm(...words, '--namespace', 'metering', options);

// What is there, by kind and name, without Helm's own records.
function objects() {
  const kinds = 'configmaps,services,serviceaccounts,pods,daemonsets,' +
      'deployments,networkpolicies,certificates,servicemonitors,podmonitors,' +
      'prometheusrules,roles,rolebindings';
  const { items } = JSON.parse(kubectl(
      'get', kinds, '--namespace', 'metering', '-o', 'json', options));
  return items;
}

const names = () => objects()
    .map((object) => `${object.kind} ${object.metadata.name}`).sort();

for (const name of matrix) {
  test(`${name} is installed, tested and uninstalled without a trace`, () => {
    const values = ['--values', path.join(here, 'values', `${name}.yaml`)];
    inCluster('install', 'demo', chart, ...values);
    assert.ok(names().length > 0);
    inCluster('test', 'demo');
    inCluster('uninstall', 'demo');
    assert.deepEqual(names(), []);
  });
}

const withSocket = { socket: { group: 4040 } };
const withTcp = { tcp: { enabled: true }, tls: { secretName: 's' } };
const sidecar = parse(fs.readFileSync(
    path.join(here, 'values/sidecar-application.yaml'), 'utf8'));

for (const [name, values, then, more] of [
  ['by default', {}, {}, []],
  ['with a socket for a group', withSocket, withSocket, []],
  // 0.1.0 let every client with a certificate do everything.
  ['with TCP', withTcp, { ...withTcp, tcp: { enabled: true, role: 'admin' } },
   ['ConfigMap demo-nfmeter-policy']],
  ['as a sidecar', sidecar, sidecar, []],
]) {
  test(`0.1.0 ${name} becomes this version, and goes back`, upgrades, () => {
    inCluster('install', 'demo', previous, ...valuesFlags(values));
    const old = names();
    inCluster('upgrade', 'demo', chart, '--reset-values',
              ...valuesFlags(then));
    assert.deepEqual(names(), [...old, ...more].sort());
    inCluster('test', 'demo');
    const grown = { ...then, metrics: { enabled: true } };
    inCluster('upgrade', 'demo', chart, '--reset-values',
              ...valuesFlags(grown));
    assert.ok(names().includes('Service demo-nfmeter-metrics'));
    inCluster('rollback', 'demo', '1');
    assert.deepEqual(names(), old);
    inCluster('uninstall', 'demo');
    assert.deepEqual(names(), []);
  });
}

test('an upgrade that would lock clients of 0.1.0 out is refused, and leaves ' +
     'all as it was', upgrades, () => {
  inCluster('install', 'demo', previous, ...valuesFlags(withTcp));
  const before = objects();
  assert.throws(
      () => inCluster('upgrade', 'demo', chart, '--reset-values',
                      ...valuesFlags(withTcp)),
      /nobody could do anything over tcp: say who may do what in policy.rules/);
  assert.deepEqual(objects(), before);
  inCluster('uninstall', 'demo');
});

test('the other mode is another set of objects', upgrades, () => {
  inCluster('install', 'demo', chart);
  assert.ok(names().includes('DaemonSet demo-nfmeter'));
  inCluster('upgrade', 'demo', chart, ...valuesFlags(sidecar));
  assert.ok(names().includes('Deployment demo-nfmeter'));
  assert.ok(!names().includes('DaemonSet demo-nfmeter'));
  inCluster('uninstall', 'demo');
});

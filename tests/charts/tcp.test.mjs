// SPDX-License-Identifier: GPL-3.0-or-later
// The DaemonSet's pod over TCP, run for real and asked from another host:
// mutual TLS from a Secret, a policy, metrics; and new certificates and a new
// policy without a restart.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { pick, render, temporaryFolder } from './support/helm.mjs';
import { Authority } from './support/certificates.mjs';
import { attempt, cleanUp, connect, eventually, image, networkNamespace, Pod,
  run } from './support/pod.mjs';

const ours = new Authority('fleet');
const foreign = new Authority('foreign');
const rules = [
  { name: 'billing', principals: ['spiffe://acme.example/billing'],
    role: 'viewer' },
  { name: 'blue', principals: ['spiffe://acme.example/tenants/blue'],
    role: 'operator', counter_prefixes: ['blue-'] },
];
const objects = render({
  image: { repository: image.split(':')[0], tag: image.split(':')[1] },
  tcp: { enabled: true },
  tls: { secretName: 'nfmeter-server', reloadInterval: '1s' },
  policy: { rules },
  metrics: { enabled: true },
});
const spec = pick(objects, 'DaemonSet').spec.template.spec;
const server = (names) => ours.issue(names ??
    'DNS:demo-nfmeter-grpc.metering.svc');
const clients = {
  billing: ours.issue('URI:spiffe://acme.example/billing'),
  blue: ours.issue('URI:spiffe://acme.example/tenants/blue'),
  unknown: ours.issue('URI:spiffe://acme.example/somebody'),
  foreign: foreign.issue('URI:spiffe://acme.example/billing'),
};
const network = networkNamespace();
const elsewhere = networkNamespace();
let pod;

before(async () => {
  connect([network, '10.99.3.1/24'], [elsewhere, '10.99.3.2/24']);
  pod = new Pod(spec, { objects, network,
                        secrets: { 'nfmeter-server': server() } });
  await pod.start();
  for (const name of ['blue-a', 'green-a']) {
    pod.exec('nfmeterd', 'nfmeter', 'counter', 'create', name);
  }
});
after(cleanUp);

// nfmeter on another host, with the certificate of one of the clients, which
// expects the server to be of our authority.
const folder = temporaryFolder('clients');
for (const [name, files] of Object.entries(clients)) {
  fs.mkdirSync(path.join(folder, name));
  for (const [file, text] of Object.entries(files)) {
    fs.writeFileSync(path.join(folder, name, file), text);
  }
  fs.writeFileSync(path.join(folder, name, 'ca.crt'), ours.certificate);
}
function as(name, ...words) {
  return attempt(
      'podman', 'run', '--rm', '--network', `ns:/run/netns/${elsewhere}`,
      '--cap-drop', 'ALL', '--volume', `${path.join(folder, name)}:/tls:ro`,
      '--entrypoint', '/usr/bin/nfmeter', image, '--server', '10.99.3.1:7443',
      '--tls-server-name', 'demo-nfmeter-grpc.metering.svc', '--ca',
      '/tls/ca.crt', '--cert', '/tls/tls.crt', '--key', '/tls/tls.key',
      '--timeout', '5s', ...words);
}

test('who has a rule may do what it says, and no more', () => {
  const read = as('billing', 'counter', 'list', '-o', 'name');
  assert.equal(read.status, 0, read.error);
  assert.equal(read.output, 'blue-a\ngreen-a\n');
  assert.equal(as('billing', 'counter', 'create', 'x').status, 5);
  assert.equal(as('blue', 'counter', 'create', 'blue-b').status, 0);
  assert.equal(as('blue', 'counter', 'create', 'green-b').status, 5);
});

test('who has none may do nothing', () => {
  assert.equal(as('unknown', 'counter', 'list').status, 5);
});

test('who has a certificate of another authority is not let in', () => {
  assert.equal(as('foreign', 'counter', 'list').status, 6);
});

test('without TLS nobody is let in', () => {
  const { status } = attempt(
      'podman', 'run', '--rm', '--network', `ns:/run/netns/${elsewhere}`,
      '--entrypoint', '/usr/bin/nfmeter', image, '--server', '10.99.3.1:7443',
      '--insecure', '--timeout', '2s', 'node');
  assert.equal(status, 6);
});

test('Prometheus reads metrics where the Service says', () => {
  const { port } = pick(objects, 'Service', 'demo-nfmeter-metrics')
      .spec.ports[0];
  const text = run('ip', 'netns', 'exec', elsewhere, 'curl', '-sf',
                   `http://10.99.3.1:${port}/metrics`);
  assert.match(text, /^nfmeter_counter_packets_total\{.*"blue-a".*\} \d+$/m);
});

test('a new policy takes effect without a restart', async () => {
  const config = pick(render({ policy: { rules: [
    { name: 'somebody', principals: ['spiffe://acme.example/somebody'],
      role: 'viewer' }] } }), 'ConfigMap', 'demo-nfmeter-policy');
  pod.updateVolume('nfmeter-policy', config.data);
  await eventually(90, () => {
    assert.equal(as('unknown', 'counter', 'list').status, 0);
    assert.equal(as('billing', 'counter', 'list').status, 5);
  });
});

test('a new certificate is shown without a restart', async () => {
  const shown = () => attempt(
      'ip', 'netns', 'exec', elsewhere, 'openssl', 's_client', '-connect',
      '10.99.3.1:7443', '-CAfile', path.join(folder, 'billing/ca.crt'),
      '-cert', path.join(folder, 'billing/tls.crt'),
      '-key', path.join(folder, 'billing/tls.key'), '-alpn', 'h2',
      '-showcerts').output.match(/-----BEGIN[^]*?-----END CERTIFICATE-----/)[0];
  const before = shown();
  const next = server();
  assert.notEqual(before.trim(), next['tls.crt'].trim());
  pod.updateVolume('nfmeter-tls', next);
  await eventually(30, () => {
    assert.equal(shown().trim(), next['tls.crt'].trim());
  });
});

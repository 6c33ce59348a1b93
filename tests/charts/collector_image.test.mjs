// SPDX-License-Identifier: GPL-3.0-or-later
// The image of nfmeter-collector: what it holds and says of itself, and that it
// collects from a node in another container.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { after } from 'node:test';
import { temporaryFolder } from './support/helm.mjs';
import { attempt, cleanUp, collectorImage, eventually, image, networkNamespace,
  podman, run } from './support/pod.mjs';

after(cleanUp);

const inspected = JSON.parse(podman('image', 'inspect', collectorImage))[0];

// The image's files, unpacked.
const root = temporaryFolder('collector-image');
{
  const container =
      podman('create', '--network', 'none', collectorImage).trim();
  podman('export', '--output', path.join(root, 'root.tar'), container);
  podman('rm', container);
  run('tar', '-C', root, '-xf', path.join(root, 'root.tar'));
  fs.rmSync(path.join(root, 'root.tar'));
}

test('it holds the collector and its libraries, and no shell', () => {
  assert.deepEqual(fs.readdirSync(path.join(root, 'usr/bin')),
                   ['nfmeter-collector']);
  assert.deepEqual(fs.readdirSync(path.join(root, 'usr/sbin')), []);
  assert.ok(inspected.Size / 1e6 < 70, `${inspected.Size / 1e6} MB`);
});

test('it says what it is, under which licence, and of which parts', () => {
  const prefix = 'org.opencontainers.image.';
  const labels = inspected.Labels;
  assert.equal(labels[`${prefix}title`], 'nfmeter-collector');
  assert.equal(labels[`${prefix}licenses`], 'Apache-2.0');
  assert.equal(
      podman('run', '--rm', '--network', 'none', collectorImage,
             '--version').trim(),
      `nfmeter-collector ${labels[`${prefix}version`]}`);
  const doc = path.join(root, 'usr/share/doc/nfmeter-collector');
  const sbom = JSON.parse(fs.readFileSync(
      path.join(doc, 'nfmeter-collector.spdx.json'), 'utf8'));
  const names = sbom.packages.map((each) => each.name);
  for (const name of ['nfmeter-collector', 'libpq5', 'libgrpc++1.51']) {
    assert.ok(names.includes(name), name);
  }
  assert.equal(sbom.packages[0].licenseDeclared, 'Apache-2.0');
  assert.ok(fs.existsSync(path.join(doc, 'LICENSES/Apache-2.0.txt')));
  assert.ok(fs.existsSync(path.join(doc, 'copyright')));
});

test('without rights, on a root that is read only, it collects', async () => {
  const network = `ns:/run/netns/${networkNamespace()}`;
  const folder = temporaryFolder('collected');
  fs.chmodSync(folder, 0o777);
  fs.writeFileSync(path.join(folder, 'nodes.yaml'),
                   'targets:\n  - {name: gw1, address: "127.0.0.1:7443", ' +
                   'insecure: true}\n');
  const node = `nfm-node-${process.pid}`;
  const collector = `nfm-collector-${process.pid}`;
  podman('run', '--detach', '--name', node, '--pull', 'never',
         '--network', network, '--cap-drop', 'ALL', '--cap-add',
         'NET_ADMIN,NET_RAW', '--read-only', '--read-only-tmpfs=false',
         '--tmpfs', '/run/nfmeter', '--tmpfs', '/var/lib/nfmeter',
         '--env', 'XTABLES_LOCKFILE=/run/nfmeter/xtables.lock', image,
         '--listen', 'unix:/run/nfmeter/nfmeter.sock', '--listen',
         'tcp:127.0.0.1:7443', '--insecure-loopback');
  try {
    const nfmeter = (...words) => podman('exec', node, 'nfmeter', ...words);
    await eventually(30, () => nfmeter('health'));
    nfmeter('counter', 'create', 'counted');
    podman('run', '--detach', '--name', collector, '--pull', 'never',
           '--network', network, '--cap-drop', 'ALL',
           '--security-opt', 'no-new-privileges',
           '--read-only', '--read-only-tmpfs=false',
           '--volume', `${folder}:/data`, collectorImage,
           '--targets', '/data/nodes.yaml', '--sink', 'sqlite:/data/usage.db',
           '--metrics', '127.0.0.1:9478');
    await eventually(60, () => {
      const { output, error } = attempt(
          'podman', 'exec', collector, 'nfmeter-collector', 'status',
          '--sink', 'sqlite:/data/usage.db');
      assert.match(output, /gw1 .* ok/,
                   error + podman('logs', collector));
    });
    assert.equal(run('sqlite3', path.join(folder, 'usage.db'),
                     'SELECT node, counter FROM usage_total').trim(),
                 'gw1|counted');
    podman('stop', '--time', '30', collector);
    assert.equal(podman('inspect', '--format', '{{.State.ExitCode}}',
                        collector).trim(), '0');
  } finally {
    attempt('podman', 'rm', '--force', '--time', '0', collector);
    attempt('podman', 'rm', '--force', '--time', '0', node);
  }
});

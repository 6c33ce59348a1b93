// SPDX-License-Identifier: GPL-3.0-or-later
// The image by itself: what it holds, what it says of itself, and that it runs
// with two rights and a root that it cannot write.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { after } from 'node:test';
import { temporaryFolder } from './support/helm.mjs';
import { attempt, cleanUp, image, networkNamespace, podman, run } from
  './support/pod.mjs';

after(cleanUp);

const inspected = JSON.parse(podman('image', 'inspect', image))[0];

// The image's files, unpacked.
const root = temporaryFolder('image');
{
  const container = podman('create', '--network', 'none', image).trim();
  podman('export', '--output', path.join(root, 'root.tar'), container);
  podman('rm', container);
  run('tar', '-C', root, '-xf', path.join(root, 'root.tar'));
  fs.rmSync(path.join(root, 'root.tar'));
}

function filesBelow(folder) {
  return fs.readdirSync(path.join(root, folder), { recursive: true })
      .map(String).filter(
          (name) => fs.lstatSync(path.join(root, folder, name)).isFile());
}

test('programs are the server, its command, and nothing else', () => {
  assert.deepEqual(filesBelow('usr/sbin'), ['nfmeterd']);
  assert.deepEqual(filesBelow('usr/bin'), ['nfmeter']);
  for (const name of ['sh', 'bash', 'dash', 'busybox', 'dpkg', 'apt']) {
    for (const folder of ['usr/bin', 'usr/sbin', 'usr/lib']) {
      assert.ok(!fs.existsSync(path.join(root, folder, name)), name);
    }
  }
});

test('the image is small', () => {
  const megabytes = inspected.Size / 1e6;
  assert.ok(megabytes < 60, `${megabytes} MB`);
});

test('no file is set-uid, and none can be written by others', () => {
  for (const name of fs.readdirSync(root, { recursive: true })) {
    const status = fs.lstatSync(path.join(root, String(name)));
    if (status.isSymbolicLink()) continue;
    assert.equal(status.mode & 0o6000, 0, name);
    const shared = status.isDirectory() && (status.mode & 0o1000);
    if (!shared) assert.equal(status.mode & 0o002, 0, name);
  }
});

test('programs carry no symbols', () => {
  for (const name of ['usr/sbin/nfmeterd', 'usr/bin/nfmeter']) {
    const sections = run('readelf', '--wide', '--sections',
                         path.join(root, name));
    assert.doesNotMatch(sections, /\.debug_|\.symtab/);
  }
});

test('labels say what it is', () => {
  const labels = inspected.Labels;
  const prefix = 'org.opencontainers.image.';
  assert.equal(labels[`${prefix}title`], 'nfmeter');
  assert.match(labels[`${prefix}version`], /^\d+\.\d+\.\d+$/);
  assert.match(labels[`${prefix}revision`], /^[0-9a-f]{40}(-modified)?$/);
  assert.match(labels[`${prefix}created`], /^20\d\d-\d\d-\d\dT[\d:]+Z$/);
  assert.ok(labels[`${prefix}description`]);
  assert.ok(labels[`${prefix}base.name`]);
  assert.equal(
      podman('run', '--rm', '--network', 'none', image, '--version').trim(),
      `nfmeterd ${labels[`${prefix}version`]}`);
});

test('the SBOM names every library, and the package that dpkg knows', () => {
  const sbom = JSON.parse(fs.readFileSync(
      path.join(root, 'usr/share/doc/nfmeter/nfmeter.spdx.json'), 'utf8'));
  assert.equal(sbom.spdxVersion, 'SPDX-2.3');
  const named = Object.fromEntries(
      sbom.packages.map((each) => [each.name, each]));
  const records = filesBelow('var/lib/dpkg/status.d');
  assert.deepEqual(Object.keys(named).filter((name) => name !== 'nfmeter')
      .sort(), records.sort());
  for (const name of records) {
    const record = fs.readFileSync(
        path.join(root, 'var/lib/dpkg/status.d', name), 'utf8');
    assert.ok(record.includes(`\nVersion: ${named[name].versionInfo}\n`));
    assert.match(named[name].externalRefs[0].referenceLocator,
                 /^pkg:deb\/debian\/[^@]+@[^?]+\?arch=\w+/);
    assert.ok(fs.existsSync(
        path.join(root, 'usr/share/doc', name, 'copyright')), name);
  }
  // What the programs really load is of these packages.
  for (const name of ['libc6', 'libgrpc++1.51', 'libprotobuf32', 'libssl3',
                      'libmnl0', 'libip4tc2', 'libsqlite3-0']) {
    assert.ok(records.includes(name), name);
  }
  const ids = new Set(['SPDXRef-DOCUMENT',
                       ...sbom.packages.map((each) => each.SPDXID),
                       ...sbom.files.map((each) => each.SPDXID)]);
  for (const { spdxElementId, relatedSpdxElement } of sbom.relationships) {
    assert.ok(ids.has(spdxElementId) && ids.has(relatedSpdxElement));
  }
  // The same licences as the label and the copyright file have.
  assert.equal(named.nfmeter.licenseDeclared,
               'Apache-2.0 AND GPL-3.0-or-later AND MIT');
  const licences = Object.fromEntries(sbom.files.map(
      (file) => [path.basename(file.fileName), file.licenseConcluded]));
  assert.deepEqual(licences, { nfmeterd: 'GPL-3.0-or-later AND MIT',
                               nfmeter: 'Apache-2.0' });
  const copyright = fs.readFileSync(
      path.join(root, 'usr/share/doc/nfmeter/copyright'), 'utf8');
  for (const licence of named.nfmeter.licenseDeclared.split(' AND ')) {
    assert.ok(copyright.includes(`License: ${licence}`));
    assert.ok(inspected.Labels['org.opencontainers.image.licenses']
        .includes(licence));
    assert.ok(fs.existsSync(path.join(
        root, `usr/share/doc/nfmeter/LICENSES/${licence}.txt`)));
  }
  for (const file of sbom.files) {
    const sha = run('sha256sum', path.join(root, file.fileName)).split(' ')[0];
    assert.equal(file.checksums.find((each) => each.algorithm === 'SHA256')
        .checksumValue, sha);
  }
});

test('without its rights it ends, and says which it wants', () => {
  const { status, error } = attempt(
      'podman', 'run', '--rm', '--network', `ns:/run/netns/${
          networkNamespace()}`, '--cap-drop', 'ALL', '--read-only',
      '--tmpfs', '/run/nfmeter', '--tmpfs', '/var/lib/nfmeter', image);
  assert.equal(status, 3, error);
  assert.match(error, /CAP_NET_ADMIN/);
});

test('by hand, as its documentation tells', () => {
  const folder = temporaryFolder('hand');
  const name = `nfm-hand-${process.pid}`;
  podman('run', '--detach', '--name', name, '--pull', 'never',
         '--network', `ns:/run/netns/${networkNamespace()}`,
         '--cap-drop', 'ALL', '--cap-add', 'NET_ADMIN,NET_RAW',
         '--security-opt', 'no-new-privileges',
         '--read-only', '--read-only-tmpfs=false',
         '--tmpfs', '/var/lib/nfmeter',
         '--volume', `${folder}:/run/nfmeter`,
         '--env', 'XTABLES_LOCKFILE=/run/nfmeter/xtables.lock', image);
  try {
    for (let tries = 0; tries < 100; ++tries) {
      if (attempt('podman', 'exec', name, 'nfmeter', 'health').status === 0) {
        break;
      }
    }
    podman('exec', name, 'nfmeter', 'counter', 'create', 'hand');
    assert.match(podman('exec', name, 'nfmeter', 'counter', 'list', '-o',
                        'name'), /^hand$/m);
  } finally {
    podman('rm', '--force', '--time', '5', name);
  }
});

// SPDX-License-Identifier: GPL-3.0-or-later
// A server that only reads, run for real as daemonset-restricted.yaml says: one
// right alone, another socket folder, an audit file, and a user of the group
// that may read.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { here, parse, pick, render, temporaryFolder } from './support/helm.mjs';
import { attempt, cleanUp, image, networkNamespace, Pod, run } from
  './support/pod.mjs';

const values = parse(fs.readFileSync(
    path.join(here, 'values/daemonset-restricted.yaml'), 'utf8'));
values.image = { repository: image.split(':')[0], tag: image.split(':')[1] };
const objects = render(values);
const network = networkNamespace();
const node = temporaryFolder('node');
let pod;

before(async () => {
  // What others have made, for it to read.
  run('ip', 'netns', 'exec', network, 'nfacct', 'add', 'theirs');
  run('ip', 'netns', 'exec', network, 'env',
      `XTABLES_LOCKFILE=${path.join(node, 'lock')}`, 'iptables-legacy',
      '-A', 'OUTPUT', '-m', 'nfacct', '--nfacct-name', 'theirs');
  pod = new Pod(pick(objects, 'DaemonSet').spec.template.spec,
                { objects, network, node });
  await pod.start();
});
after(cleanUp);

// As user 1000 of the socket's group, from another container of the node.
const nfmeter = (...words) => attempt(
    'podman', 'run', '--rm', '--network', 'none', '--user', '1000:4040',
    '--cap-drop', 'ALL', '--volume',
    `${path.join(node, 'run/meter')}:/run/nfmeter:ro`, '--entrypoint',
    '/usr/bin/nfmeter', image, ...words);

test('it has CAP_NET_ADMIN alone', () => {
  const status = fs.readFileSync(`/proc/${pod.pid('nfmeterd')}/status`, 'utf8');
  assert.match(status, /^CapEff:\s+0000000000001000$/m);
  assert.match(status, /^CapBnd:\s+0000000000001000$/m);
});

test('counters and rules are read', () => {
  const counters = nfmeter('counter', 'list', '-o', 'name');
  assert.equal(counters.output, 'theirs\n', counters.error);
  const rules = nfmeter('rule', 'list', '-o', 'wide');
  assert.match(rules.output, /nfacct-name\s+theirs/, rules.error);
});

test('nothing is changed, and the audit file on the node says who tried', () => {
  const refused = nfmeter('counter', 'create', 'mine');
  assert.notEqual(refused.status, 0);
  assert.match(refused.error, /read.only|viewer|not allowed|may not/i);
  assert.equal(nfmeter('counter', 'list', '-o', 'name').output, 'theirs\n');
  const lines = fs.readFileSync(path.join(node, 'srv/meter/audit.log'), 'utf8')
      .trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(lines.length, 1);
  assert.equal(lines[0].method, 'nfmeter.v1.CounterService/CreateCounter');
  assert.equal(lines[0].principal, 'socket:/run/nfmeter/nfmeter.sock');
  assert.notEqual(lines[0].code, 'OK');
});

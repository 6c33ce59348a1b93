// SPDX-License-Identifier: GPL-3.0-or-later
// The DaemonSet's pod, run for real: the rendered container on the image of
// this checkout, in a network namespace that stands for a node's, with a root
// folder that stands for the node's files.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { pick, render, temporaryFolder } from './support/helm.mjs';
import { attempt, cleanUp, connect, eventually, image, networkNamespace,
  Pod, podman, run } from './support/pod.mjs';

const values = {
  image: { repository: image.split(':')[0], tag: image.split(':')[1] },
  socket: { group: 4040 },
};
const objects = render(values);
const spec = pick(objects, 'DaemonSet').spec.template.spec;

// 50 of 100 bytes to port 5000, and one that must not be counted. Nobody
// answers, and the sender does not mind.
const sendDatagrams = `use Socket;
  socket(my $s, PF_INET, SOCK_DGRAM, 0) or die $!;
  for (1 .. 50) {
    send($s, 'x' x 100, 0, sockaddr_in(5000, inet_aton('10.99.1.1'))) or die $!;
  }
  send($s, 'x', 0, sockaddr_in(5001, inet_aton('10.99.1.1'))) or die $!;`;

const network = networkNamespace();
const neighbour = networkNamespace();
const node = temporaryFolder('node');
let pod;

before(async () => {
  connect([network, '10.99.1.1/24'], [neighbour, '10.99.1.2/24']);
  // As on a node on which iptables has run.
  fs.mkdirSync(path.join(node, 'run'));
  fs.writeFileSync(path.join(node, 'run/xtables.lock'), '', { mode: 0o600 });
  pod = new Pod(spec, { objects, network, node });
  await pod.start();
});
after(cleanUp);

const nfmeter = (...words) => pod.exec('nfmeterd', 'nfmeter', ...words);

test('all three probes succeed', () => {
  for (const kind of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
    const { status, output, error } = pod.probe('nfmeterd', kind);
    assert.equal(status, 0, `${kind}: ${error}`);
    assert.equal(output, 'SERVING\n');
  }
});

test('the process has CAP_NET_ADMIN and CAP_NET_RAW, a filter of system ' +
     'calls, no way to more, and a root that it can\'t write', () => {
  const pid = pod.pid('nfmeterd');
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name) => status.match(new RegExp(`^${name}:\\s+(.*)$`, 'm'))[1];
  for (const set of ['CapEff', 'CapPrm', 'CapBnd']) {
    assert.equal(Number(`0x${field(set)}`) & ~0x3000, 0, set);
  }
  assert.equal(Number(`0x${field('CapEff')}`), 0x3000);
  assert.equal(field('NoNewPrivs'), '1');
  assert.equal(field('Seccomp'), '2');
  const mounts = fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
  assert.match(mounts, /^\S+ \S+ \S+ \S+ \/ ro,/m);
});

test('it also restricts itself: seccomp, and Landlock where the kernel has it',
     () => {
  const line = pod.log('nfmeterd').split('\n').find(
      (each) => each.includes('restricted'));
  assert.ok(line, pod.log('nfmeterd'));
  assert.match(line, /seccomp/);
  const status = fs.readFileSync(`/proc/${pod.pid('nfmeterd')}/status`, 'utf8');
  // The runtime's filter, and its own on top.
  assert.ok(Number(status.match(/^Seccomp_filters:\s+(\d+)$/m)[1]) >= 2);
});

test('it counts what the node receives, and streams it to whoever opens the ' +
     'socket on the node', async () => {
  nfmeter('counter', 'create', 'probe');
  nfmeter('rule', 'add', '--counter', 'probe', '--chain', 'INPUT',
          '-p', 'udp', '--dport', '5000');
  run('ip', 'netns', 'exec', neighbour, 'perl', '-e', sendDatagrams);
  // Another container, without rights, that has nothing but the socket.
  const outside = (...words) => podman(
      'run', '--rm', '--network', 'none', '--cap-drop', 'ALL', '--read-only',
      '--read-only-tmpfs=false', '--volume',
      `${path.join(node, 'run/nfmeter')}:/run/nfmeter:ro`,
      '--entrypoint', '/usr/bin/nfmeter', image, ...words);
  await eventually(5, () => {
    const { counter } = JSON.parse(
        outside('counter', 'get', 'probe', '-o', 'json'));
    assert.equal(counter.packets, '50');
    assert.equal(counter.bytes, String(50 * (100 + 28)));
  });
  const frames = outside('watch', 'probe', '--interval', '200ms', '--count',
                         '3', '-o', 'json').trim().split('\n');
  assert.equal(frames.length, 3);
  assert.match(frames[0], /probe/);
  // The same by somebody else's eyes.
  const listed = run('ip', 'netns', 'exec', network, 'nfacct', 'list');
  assert.match(listed, /pkts = 0*50, bytes = 0*6400 } = probe;/);
});

test('the socket is the group\'s that the values name', () => {
  const status = fs.statSync(path.join(node, 'run/nfmeter/nfmeter.sock'));
  assert.equal(status.gid, 4040);
  assert.equal(status.mode & 0o777, 0o660);
  const as = (user) => attempt(
      'podman', 'run', '--rm', '--network', 'none', '--user', user,
      '--volume', `${path.join(node, 'run/nfmeter')}:/run/nfmeter`,
      '--entrypoint', '/usr/bin/nfmeter', image, '--timeout', '5s', 'node');
  assert.equal(as('1000:4040').status, 0);
  assert.equal(as('1000:4041').status, 5);
});

test('it takes the lock that the node\'s iptables take', async () => {
  const lock = path.join(node, 'run/xtables.lock');
  const holder = spawn('flock', [lock, 'sleep', '60'], { detached: true });
  try {
    await eventually(5, () => {
      assert.equal(attempt('flock', '--nonblock', lock, 'true').status, 1);
    });
    const refused = pod.tryExec(
        'nfmeterd', 'nfmeter', '--timeout', '3s', 'rule', 'add', '--counter',
        'probe', '--chain', 'OUTPUT');
    assert.equal(refused.status, 6, refused.error);
    assert.match(refused.error, /lock/);
  } finally {
    process.kill(-holder.pid);
  }
  nfmeter('rule', 'add', '--counter', 'probe', '--chain', 'OUTPUT');
});

test('the pods of helm test succeed', async () => {
  const tests = new Pod(pick(objects, 'Pod').spec, { objects, network, node });
  const output = await tests.runToEnd();
  assert.equal(output.health, 'SERVING\n');
  assert.match(output.node, /./);
});

test('an update ends it in order, and the next one has its labels and counts',
     async () => {
  nfmeter('counter', 'create', 'kept', '--label', 'tenant=acme');
  assert.equal(pod.stop('nfmeterd'), 0);
  pod.remove();
  pod = new Pod(spec, { objects, network, node });
  await pod.start();
  const { counter } = JSON.parse(nfmeter('counter', 'get', 'kept', '-o',
                                         'json'));
  assert.deepEqual(counter.labels, { tenant: 'acme' });
  const probe = JSON.parse(nfmeter('counter', 'get', 'probe', '-o', 'json'));
  assert.ok(Number(probe.counter.packets) >= 50);
});

// SPDX-License-Identifier: GPL-3.0-or-later
// An application with the sidecar, run for real: the rendered pod, server and
// application side by side in one network namespace, with a client outside.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { exampleChart, pick, render } from './support/helm.mjs';
import { base, cleanUp, connect, eventually, image, networkNamespace, Pod, run }
  from './support/pod.mjs';

// Answers every datagram on port 5000 with the same.
const echo = `use IO::Socket::INET;
  my $s = IO::Socket::INET->new(Proto => 'udp', LocalPort => 5000) or die $!;
  $SIG{TERM} = sub { exit 0 };
  while (my $from = $s->recv(my $data, 65535)) { $s->send($data, 0, $from); }`;

// Sends COUNT datagrams of SIZE bytes, one after the other's answer.
const ask = `use IO::Socket::INET;
  my ($to, $count, $size) = @ARGV;
  my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => $to,
                                PeerPort => 5000) or die $!;
  for (1 .. $count) {
    $s->send('x' x $size) // die $!;
    $s->recv(my $data, 65535) // die $!;
    length($data) == $size or die 'cut';
  }`;

// Until somebody receives on port 5000: what is sent before is counted, too.
const listening = (where) => eventually(30, () => assert.notEqual(
    run('ip', 'netns', 'exec', where, 'ss', '-Hnul', 'sport = :5000'), ''));

const server = {
  repository: image.split(':')[0], tag: image.split(':')[1],
};
const values = {
  mode: 'sidecar',
  image: server,
  sidecar: { socketFor: ['web'] },
  application: {
    pod: {
      spec: {
        initContainers: [
          // Speaks before the application does; loopback only.
          { name: 'prepare', image: base, command: ['bash', '-c'],
            args: ['for i in 1 2 3; do echo x >/dev/udp/127.0.0.1/5002; done'] },
        ],
        containers: [
          { name: 'web', image: base, command: ['perl', '-e', echo],
            ports: [{ containerPort: 5000, protocol: 'UDP' }] },
        ],
      },
    },
  },
};
const objects = render(values);
const network = networkNamespace();
const client = networkNamespace();
let pod;

before(async () => {
  connect([network, '10.99.2.1/24'], [client, '10.99.2.2/24']);
  pod = new Pod(pick(objects, 'Deployment').spec.template.spec,
                { objects, network });
  await pod.start();
  await listening(network);
});
after(cleanUp);

const nfmeter = (...words) => pod.exec('nfmeter', 'nfmeter', ...words);
const count = (name) =>
    JSON.parse(nfmeter('counter', 'get', name, '-o', 'json')).counter;

test('the server comes before the application, and stays', () => {
  const { initContainers } = pod.spec;
  assert.equal(initContainers[0].name, 'nfmeter');
  assert.equal(initContainers[0].restartPolicy, 'Always');
  assert.equal(pod.probe('nfmeter', 'livenessProbe').output, 'SERVING\n');
  assert.ok(pod.isRunning('web'));
});

test('it accounts the traffic of another container of its pod, to the byte',
     async () => {
  for (const [name, chain, flag] of [['in', 'INPUT', '--dport'],
                                     ['out', 'OUTPUT', '--sport']]) {
    nfmeter('counter', 'create', name);
    nfmeter('rule', 'add', '--counter', name, '--chain', chain,
            '-p', 'udp', flag, '5000');
  }
  run('ip', 'netns', 'exec', client, 'perl', '-e', ask, '10.99.2.1', '200',
      '300');
  await eventually(5, () => {
    for (const name of ['in', 'out']) {
      const { packets, bytes } = count(name);
      assert.equal(packets, '200', name);
      assert.equal(bytes, String(200 * (300 + 28)), name);
    }
  });
});

test('nothing of it is seen outside of the pod', () => {
  assert.equal(run('ip', 'netns', 'exec', client, 'nfacct', 'list'), '');
  assert.doesNotMatch(run('ip', 'netns', 'exec', client, 'iptables-legacy-save'),
                      /nfacct/);
});

test('only the container that is to have the socket has it', () => {
  pod.exec('web', 'test', '-S', '/run/nfmeter/nfmeter.sock');
  assert.equal(pod.spec.initContainers[1].volumeMounts, undefined);
});

test('counts go on after a restart of the server, with what passed meanwhile',
     async () => {
  const before = Number(count('in').packets);
  assert.equal(pod.stop('nfmeter'), 0);
  run('ip', 'netns', 'exec', client, 'perl', '-e', ask, '10.99.2.1', '10',
      '300');
  run('podman', 'start', `${pod.name}-nfmeter`);
  await eventually(20, () => {
    assert.equal(pod.probe('nfmeter', 'startupProbe').status, 0);
  });
  assert.equal(Number(count('in').packets), before + 10);
  assert.ok(pod.isRunning('web'));
});

test('the pod of helm test succeeds, with a server of its own', async () => {
  const tests = new Pod(pick(objects, 'Pod').spec,
                        { objects, network: networkNamespace() });
  const output = await tests.runToEnd();
  assert.match(output.read, /helm-test/);
  tests.remove();
});

test('the example that has the chart as a dependency runs as well', async () => {
  const example = exampleChart();
  const file = path.join(example, 'templates/deployment.yaml');
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(
      '      image: {{ .Values.image }}\n',
      '      image: {{ .Values.image }}\n' +
      '      command: [perl, -e, {{ .Values.program | quote }}]\n'));
  const rendered = render(
      { image: base, program: echo, nfmeter: { image: server } }, [], example);
  const other = networkNamespace();
  const web = new Pod(pick(rendered, 'Deployment').spec.template.spec,
                      { objects: rendered, network: other });
  await web.start();
  await listening(other);
  const words = (...each) => web.exec('nfmeter', 'nfmeter', ...each);
  words('counter', 'create', 'local');
  words('rule', 'add', '--counter', 'local', '--chain', 'INPUT', '-i', 'lo',
        '-p', 'udp', '--dport', '5000');
  run('ip', 'netns', 'exec', other, 'perl', '-e', ask, '127.0.0.1', '7', '10');
  assert.equal(JSON.parse(words('counter', 'get', 'local', '-o', 'json'))
      .counter.packets, '7');
  web.remove();
});

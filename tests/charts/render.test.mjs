// SPDX-License-Identifier: GPL-3.0-or-later
// What the chart renders, for each values file of values/ and for the example
// that has it as a dependency.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { chart, exampleChart, helm, here, matrix, parse, parseAll, pick, render,
  template, temporaryFolder, top } from './support/helm.mjs';
import { problems } from './support/kubernetes.mjs';

const example = exampleChart();
const rendered = { 'example-web': () => template(undefined, [], example) };
for (const name of matrix) rendered[name] = () => template(name);

for (const name of matrix) {
  test(`helm lint --strict takes ${name}`, () => {
    helm('lint', '--strict', chart, '--values',
         path.join(here, 'values', `${name}.yaml`));
  });
}

test('helm lint --strict takes the example chart', () => {
  helm('lint', '--strict', example);
});

for (const [name, text] of Object.entries(rendered)) {
  test(`the Kubernetes API takes all manifests of ${name}`, async () => {
    assert.deepEqual(await problems(parseAll(text())), []);
  });

  test(`everything that ${name} refers to is there`, () => {
    for (const object of parseAll(text())) checkReferences(object);
  });
}

test('alerts and dashboards reach the cluster as they are', () => {
  const objects = render('daemonset-monitored');
  const file = (name) =>
      fs.readFileSync(path.join(chart, 'files', name), 'utf8');
  const names = (folder) => fs.readdirSync(path.join(chart, 'files', folder));
  assert.deepEqual(
      pick(objects, 'PrometheusRule').spec.groups,
      names('prometheus').flatMap(
          (name) => parse(file(`prometheus/${name}`)).groups));
  assert.deepEqual(
      pick(objects, 'ConfigMap', 'demo-nfmeter-dashboard').data,
      Object.fromEntries(names('grafana').map(
          (name) => [name, file(`grafana/${name}`)])));
});

// What the API accepts one object at a time, and what then does not work.
function checkReferences(object) {
  const template = object.spec?.template;
  const pod = object.kind === 'Pod' ? object : template;
  if (template) {
    for (const [key, value] of
         Object.entries(object.spec.selector.matchLabels)) {
      assert.equal(template.metadata.labels[key], value,
                   `${object.kind} ${object.metadata.name} selects its pods`);
    }
  }
  if (!pod?.spec) return;
  const volumes = pod.spec.volumes.map((volume) => volume.name);
  assert.equal(new Set(volumes).size, volumes.length, 'volumes once each');
  const mounted = new Set();
  for (const container of
       [...pod.spec.initContainers ?? [], ...pod.spec.containers]) {
    for (const mount of container.volumeMounts ?? []) {
      assert.ok(volumes.includes(mount.name), `volume ${mount.name}`);
      mounted.add(mount.name);
    }
    for (const port of container.ports ?? []) {
      assert.ok((port.name ?? '').length <= 15, `port name ${port.name}`);
    }
  }
  assert.deepEqual([...mounted].sort(), volumes.sort(),
                   'no volume is there for nothing');
}

test('the server of either mode has two rights, and a root that it cannot ' +
     'write', () => {
  const daemonset = pick(render('default'), 'DaemonSet')
      .spec.template.spec.containers[0];
  const sidecar = pick(render('sidecar-application'), 'Deployment')
      .spec.template.spec.initContainers[0];
  for (const { securityContext } of [daemonset, sidecar]) {
    assert.deepEqual(securityContext, {
      runAsUser: 0, runAsGroup: 0, runAsNonRoot: false, privileged: false,
      allowPrivilegeEscalation: false, readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
  }
});

test('a server that only reads does without NET_RAW', () => {
  const container = pick(render('daemonset-restricted'), 'DaemonSet')
      .spec.template.spec.containers[0];
  assert.deepEqual(container.securityContext.capabilities.add, ['NET_ADMIN']);
});

test('a server on a port that is root\'s has the right to it', () => {
  const rights = (values) => pick(render(values), 'DaemonSet').spec.template
      .spec.containers[0].securityContext.capabilities.add;
  const tcp = (port) => ({ tcp: { enabled: true, port, role: 'viewer' },
                           tls: { secretName: 's' } });
  const both = ['NET_ADMIN', 'NET_RAW'];
  assert.deepEqual(rights(tcp(443)), [...both, 'NET_BIND_SERVICE']);
  assert.deepEqual(rights(tcp(1024)), both);
  assert.deepEqual(rights({ metrics: { enabled: true, port: 80 } }),
                   [...both, 'NET_BIND_SERVICE']);
  assert.deepEqual(rights({ tcp: { port: 443 }, metrics: { port: 80 } }), both);
});

test('a server has started, and is ready, when it counts', () => {
  const { startupProbe, readinessProbe, livenessProbe } =
      pick(render({}), 'DaemonSet').spec.template.spec.containers[0];
  const asked = ({ exec }) => exec.command.slice(1, -2);
  assert.deepEqual(asked(startupProbe), ['health', 'nfmeter.v1.CounterService']);
  assert.deepEqual(asked(readinessProbe),
                   ['health', 'nfmeter.v1.CounterService']);
  assert.deepEqual(asked(livenessProbe), ['health']);
});

// The parser refuses a key that is there twice.
test('of labels with one key the closer one wins, and the chart\'s own', () => {
  const own = { 'app.kubernetes.io/name': 'mine', team: 'a' };
  const { metadata, spec } = pick(render({
    commonLabels: own, commonAnnotations: { note: 'a' },
    daemonset: { podLabels: { team: 'b' }, podAnnotations: { note: 'b' } },
  }), 'DaemonSet');
  assert.equal(metadata.labels['app.kubernetes.io/name'], 'nfmeter');
  assert.equal(metadata.labels.team, 'a');
  assert.equal(spec.template.metadata.labels['app.kubernetes.io/name'],
               'nfmeter');
  assert.equal(spec.template.metadata.labels.team, 'b');
  assert.equal(spec.template.metadata.annotations.note, 'b');
  const application = pick(render({
    mode: 'sidecar', commonLabels: own, commonAnnotations: { note: 'a' },
    application: { pod: { metadata: { labels: { team: 'c' } },
                          spec: { containers: [{ name: 'a', image: 'a' }] } } },
  }), 'Deployment').spec.template.metadata;
  assert.equal(application.labels.team, 'c');
  assert.equal(application.labels['app.kubernetes.io/name'], 'nfmeter');
  assert.equal(application.annotations.note, 'a');
});

test('a release may be called by a number', () => {
  for (const values of [{}, {
    mode: 'sidecar',
    application: { pod: { spec: { containers: [{ name: 'a', image: 'a' }] } },
                   ports: [{ port: 80 }] },
  }]) {
    for (const object of parseAll(template(values, [], chart, '12'))) {
      const sets = [object.metadata.labels, object.spec?.selector,
                    object.spec?.selector?.matchLabels,
                    object.spec?.template?.metadata.labels];
      for (const set of sets) {
        for (const value of Object.values(set ?? {})) {
          if (typeof value !== 'object') assert.equal(typeof value, 'string');
        }
      }
    }
  }
});

test('helm test does what the socket lets it do', () => {
  const commands = (values) => {
    const { initContainers = [], containers } = pick(render(values), 'Pod').spec;
    return [...initContainers, ...containers]
        .filter((each) => each.command).map((each) => each.command[1]);
  };
  const sidecar = {
    mode: 'sidecar',
    application: { pod: { spec: { containers: [{ name: 'a', image: 'a' }] } } },
  };
  const policy =
      { rules: [{ name: 'a', principals: ['socket:*'], role: 'admin' }] };
  assert.deepEqual(commands({}), ['health', 'node']);
  assert.deepEqual(commands({ socket: { role: 'none' }, policy }), ['health']);
  assert.deepEqual(commands(sidecar), ['counter', 'rule', 'counter']);
  assert.deepEqual(commands({ ...sidecar, config: { read_only: true } }),
                   ['node']);
  assert.deepEqual(commands({ ...sidecar, socket: { role: 'viewer' } }),
                   ['node']);
  assert.deepEqual(commands({ ...sidecar, policy, socket: { role: 'none' } }),
                   ['health']);
});

test('no pod of the chart has a token', () => {
  for (const name of ['default', 'sidecar-application']) {
    for (const object of render(name)) {
      const pod = object.kind === 'Pod' ? object.spec :
          object.spec?.template?.spec;
      if (pod) assert.equal(pod.automountServiceAccountToken, false);
      if (object.kind === 'ServiceAccount') {
        assert.equal(object.automountServiceAccountToken, false);
      }
    }
  }
});

test('a sidecar leaves all else in the pod as it is', () => {
  const given = parse(fs.readFileSync(
      path.join(here, 'values/sidecar-mutual-tls.yaml'), 'utf8'))
      .application.pod;
  const { metadata, spec } =
      pick(render('sidecar-mutual-tls'), 'Deployment').spec.template;
  const [server, ...initContainers] = spec.initContainers;
  assert.equal(server.name, 'meter');
  assert.equal(server.restartPolicy, 'Always');
  assert.deepEqual(initContainers, given.spec.initContainers);
  assert.deepEqual(spec.containers[0], given.spec.containers[0]);
  assert.deepEqual(
      spec.containers[1], {
        ...given.spec.containers[1],
        volumeMounts: [{ name: 'nfmeter-run', mountPath: '/run/nfmeter' }],
      });
  assert.deepEqual(
      spec.volumes.filter((volume) => !volume.name.startsWith('nfmeter-')),
      given.spec.volumes);
  for (const field of ['serviceAccountName', 'automountServiceAccountToken',
                       'securityContext']) {
    assert.deepEqual(spec[field], given.spec[field]);
  }
  assert.equal(metadata.annotations['example.org/kept'], 'yes');
});

test('a new configuration makes new pods, a new policy does not', () => {
  const pods = (values) =>
      pick(render(values), 'DaemonSet').spec.template.metadata.annotations;
  const base = { tcp: { enabled: true }, tls: { secretName: 's' } };
  const rule = (role) => ({
    ...base, policy: { rules: [{ name: 'a', principals: ['*'], role }] },
  });
  assert.notDeepEqual(pods({}), pods({ config: { log: { level: 'debug' } } }));
  assert.deepEqual(pods(rule('viewer')), pods(rule('admin')));
});

test('a packaged chart has the alerts and the dashboard', () => {
  const folder = temporaryFolder('package');
  helm('package', chart, '--destination', folder);
  const [archive] = fs.readdirSync(folder);
  execFileSync('tar', ['-xzf', path.join(folder, archive), '-C', folder]);
  for (const kind of ['prometheus', 'grafana']) {
    const packed = path.join(folder, 'nfmeter/files', kind);
    const source = path.join(chart, 'files', kind);
    assert.ok(fs.readdirSync(source).length > 0);
    assert.deepEqual(fs.readdirSync(packed), fs.readdirSync(source));
    for (const name of fs.readdirSync(source)) {
      assert.ok(fs.lstatSync(path.join(packed, name)).isFile());
      assert.equal(fs.readFileSync(path.join(packed, name), 'utf8'),
                   fs.readFileSync(path.join(source, name), 'utf8'));
    }
  }
});

test('a network policy leaves open what containers of either kind declare',
     () => {
  const pod = { spec: {
    containers: [{ name: 'web', image: 'web',
                   ports: [{ containerPort: 8080 }] }],
    initContainers: [{ name: 'mesh', image: 'mesh', restartPolicy: 'Always',
                       ports: [{ containerPort: 15006 }] }],
  } };
  const policy = pick(render({ mode: 'sidecar', application: { pod },
                               networkPolicy: { enabled: true } }),
                      'NetworkPolicy');
  assert.deepEqual(policy.spec.ingress[0].ports.map(({ port }) => port),
                   [8080, 15006]);
});

// Helm reads numbers of values as floats, and the API takes no 1e+09 for a group.
test('groups of the largest numbers are written in digits', () => {
  const pod = { spec: { containers: [{ name: 'web', image: 'web' }] } };
  for (const more of [{}, { mode: 'sidecar', application: { pod } }]) {
    const text = template({ socket: { group: 2147483647 }, ...more });
    const groups = text.match(/(?<=runAsGroup: ).*/g);
    assert.ok(groups.length >= 2);
    for (const group of groups) assert.equal(group, '2147483647');
  }
});

test('every limit of the server can be set', () => {
  const { limits } =
      parse(fs.readFileSync(path.join(top, 'packaging/nfmeter.yaml'), 'utf8'));
  const schema = JSON.parse(
      fs.readFileSync(path.join(chart, 'values.schema.json'), 'utf8'));
  assert.deepEqual(
      Object.keys(schema.properties.config.properties.limits.properties).sort(),
      Object.keys(limits).sort());
});

test('the chart installs the server of this checkout', () => {
  const { appVersion } =
      parse(fs.readFileSync(path.join(chart, 'Chart.yaml'), 'utf8'));
  const cmake = fs.readFileSync(path.join(top, 'CMakeLists.txt'), 'utf8');
  assert.equal(appVersion, cmake.match(/project\(nfmeter VERSION (\S+)/)[1]);
  const dockerfile =
      fs.readFileSync(path.join(top, 'packaging/image/Dockerfile'), 'utf8');
  assert.equal(dockerfile.match(/^ARG VERSION=(\S+)/m)[1], appVersion);
});

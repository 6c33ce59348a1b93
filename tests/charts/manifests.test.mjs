// SPDX-License-Identifier: GPL-3.0-or-later
// What is in the manifests of each values file of values/, as far as somebody
// who installs the chart would notice: which objects there are, what the server
// is told, what it can reach on the node, and who reaches it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { exampleChart, parse, parseAll, pick, render, template }
  from './support/helm.mjs';

const example = () => parseAll(template(undefined, [], exampleChart()));
const rendered = (name) => name === 'example-web' ? example() : render(name);

// [kind/name of each object, what nfmeter.yaml has beside the defaults]
const socket = { address: 'unix:/run/nfmeter/nfmeter.sock', mode: '0660' };
const defaults = { channelz: true, reflection: true, listen: [socket],
                   log: { format: 'json', level: 'info' },
                   state_dir: '/var/lib/nfmeter' };
const policy = '/etc/nfmeter/policy/policy.yaml';
const tls = { certificate: '/etc/nfmeter/tls/tls.crt',
              key: '/etc/nfmeter/tls/tls.key',
              client_ca: '/etc/nfmeter/tls/ca.crt', reload_interval: '30s' };
const everywhere = { address: 'tcp:0.0.0.0:7443' };
const expected = {
  'default': [
    ['ServiceAccount/demo-nfmeter', 'ConfigMap/demo-nfmeter-config',
     'DaemonSet/demo-nfmeter', 'Pod/demo-nfmeter-test'], {}],
  'daemonset-mutual-tls': [
    ['ServiceAccount/demo-nfmeter', 'ConfigMap/demo-nfmeter-config',
     'ConfigMap/demo-nfmeter-policy', 'Service/demo-nfmeter-grpc',
     'DaemonSet/demo-nfmeter', 'Pod/demo-nfmeter-test'],
    { policy, tls, listen: [socket, { address: 'tcp:10.0.0.7:7443' },
                            { address: 'tcp:[fd00::7]:7443' }] }],
  'daemonset-monitored': [
    ['ServiceAccount/demo-nfmeter', 'ConfigMap/demo-nfmeter-config',
     'ConfigMap/demo-nfmeter-dashboard', 'ConfigMap/demo-nfmeter-policy',
     'Service/demo-nfmeter-metrics', 'Service/demo-nfmeter-grpc',
     'DaemonSet/demo-nfmeter', 'Certificate/demo-nfmeter',
     'PrometheusRule/demo-nfmeter', 'ServiceMonitor/demo-nfmeter',
     'Pod/demo-nfmeter-test'],
    { policy, tls, listen: [socket, everywhere],
      backend: 'nftables',
      metrics: { counters: '[a-z]*',
                 labels: 'tenant, app.kubernetes.io/name',
                 listen: '0.0.0.0:9477', max_counters: 500 },
      web: { listen: '127.0.0.1:9480', role: 'viewer' } }],
  'daemonset-restricted': [
    ['ConfigMap/node-meter-config', 'DaemonSet/node-meter'],
    { reflection: false, read_only: true,
      log: { format: 'text', level: 'warning' },
      audit: { file: '/var/lib/nfmeter/audit.log' },
      limits: { lock_timeout: '2s', max_counters: 20000000, max_streams: 100 },
      listen: [{ ...socket, group: '4040', role: 'viewer',
                 flows: 'summary' }] }],
  'daemonset-plans': [
    ['ServiceAccount/demo-nfmeter', 'ConfigMap/demo-nfmeter-config',
     'ConfigMap/demo-nfmeter-plans', 'Role/demo-nfmeter-plans',
     'RoleBinding/demo-nfmeter-plans', 'DaemonSet/demo-nfmeter',
     'Pod/demo-nfmeter-test'], { plan: '/etc/nfmeter/plans' }],
  'sidecar-plans': [
    ['ServiceAccount/demo-nfmeter', 'ConfigMap/demo-nfmeter-config',
     'ConfigMap/demo-nfmeter-plans', 'Deployment/demo-nfmeter',
     'Pod/demo-nfmeter-test'], { plan: '/etc/nfmeter/plans' }],
  'sidecar-application': [
    ['ServiceAccount/demo-nfmeter', 'ConfigMap/demo-nfmeter-config',
     'Service/demo-nfmeter', 'Deployment/demo-nfmeter',
     'Pod/demo-nfmeter-test'], {}],
  'sidecar-mutual-tls': [
    ['NetworkPolicy/demo-nfmeter', 'ServiceAccount/demo-nfmeter',
     'ConfigMap/demo-nfmeter-config', 'Service/demo-nfmeter-metrics',
     'Service/demo-nfmeter-grpc', 'Deployment/demo-nfmeter',
     'PodMonitor/demo-nfmeter', 'Pod/demo-nfmeter-test'],
    { policy, tls, listen: [socket, everywhere],
      metrics: { counters: '*', labels: '', listen: '0.0.0.0:9477',
                 max_counters: 10000 },
      web: { listen: '0.0.0.0:9480', role: 'viewer' } }],
  'example-web': [
    ['ServiceAccount/demo-nfmeter', 'ConfigMap/demo-nfmeter-config',
     'Service/demo-web', 'Deployment/demo-web', 'Pod/demo-nfmeter-test'], {}],
};

const configOf = (objects) => parse(objects.find(
    (each) => each.data?.['nfmeter.yaml']).data['nfmeter.yaml']);

for (const [name, [objects, config]] of Object.entries(expected)) {
  test(`${name} installs these objects`, () => {
    const found = rendered(name);
    assert.deepEqual(
        found.map(({ kind, metadata }) => `${kind}/${metadata.name}`), objects);
    for (const { metadata } of found) {
      assert.equal(metadata.namespace, 'metering');
      if (name === 'example-web' && !metadata.labels) continue;  // its own
      assert.equal(metadata.labels['app.kubernetes.io/instance'], 'demo');
      assert.equal(metadata.labels['app.kubernetes.io/managed-by'], 'Helm');
    }
  });

  test(`${name} configures the server so`, () => {
    assert.deepEqual(configOf(rendered(name)), { ...defaults, ...config });
  });
}

const nodePod = (name) => pick(render(name), 'DaemonSet').spec.template.spec;
const paths = (pod) => Object.fromEntries(
    pod.volumes.filter((volume) => volume.hostPath)
        .map(({ name, hostPath }) => [name, hostPath.path]));
const mounts = (container) => Object.fromEntries(container.volumeMounts.map(
    ({ name, mountPath, readOnly }) =>
        [name, readOnly ? `${mountPath} (read-only)` : mountPath]));

test('the server of a node has its network, and three places of the node', () => {
  const pod = nodePod('default');
  assert.equal(pod.hostNetwork, true);
  assert.equal(pod.dnsPolicy, 'ClusterFirstWithHostNet');
  assert.equal(pod.hostPID, undefined);
  assert.equal(pod.priorityClassName, 'system-node-critical');
  assert.deepEqual(pod.tolerations, [{ operator: 'Exists' }]);
  assert.deepEqual(paths(pod), {
    'nfmeter-run': '/run/nfmeter', 'nfmeter-state': '/var/lib/nfmeter',
    'xtables-lock': '/run/xtables.lock' });
  const [server] = pod.containers;
  assert.deepEqual(server.args, ['--config', '/etc/nfmeter/config/nfmeter.yaml']);
  assert.deepEqual(server.env,
                   [{ name: 'XTABLES_LOCKFILE', value: '/run/xtables.lock' }]);
  assert.equal(server.ports, undefined);
  assert.ok(server.resources.limits.memory);
  assert.deepEqual(mounts(server), {
    'nfmeter-config': '/etc/nfmeter/config (read-only)',
    'nfmeter-run': '/run/nfmeter', 'nfmeter-state': '/var/lib/nfmeter',
    'xtables-lock': '/run/xtables.lock' });
});

test('places, nodes, image and group of a node can be chosen', () => {
  const { spec } = pick(render('daemonset-restricted'), 'DaemonSet');
  const pod = spec.template.spec;
  assert.deepEqual(paths(pod), {
    'nfmeter-run': '/run/meter', 'nfmeter-state': '/srv/meter',
    'xtables-lock': '/run/xtables.lock' });
  assert.deepEqual(pod.nodeSelector,
                   { 'kubernetes.io/os': 'linux', pool: 'edge' });
  assert.equal(pod.tolerations, undefined);
  assert.equal(pod.priorityClassName, undefined);
  assert.equal(pod.serviceAccountName, 'metering');
  assert.deepEqual(spec.updateStrategy, { type: 'OnDelete' });
  const [server] = pod.containers;
  assert.match(server.image, /^registry\.acme\.example\/nfmeter@sha256:[0-9a-f]+$/);
  assert.equal(server.imagePullPolicy, 'Always');
  assert.equal(server.securityContext.runAsGroup, 4040);
});

test('a sidecar counts in its pod, and keeps to memory and folders of it', () => {
  for (const objects of [example(), render('sidecar-application')]) {
    const pod = pick(objects, 'Deployment').spec.template.spec;
    assert.equal(pod.hostNetwork, undefined);
    assert.deepEqual(paths(pod), {});
    const [server] = pod.initContainers;
    assert.equal(server.restartPolicy, 'Always');
    assert.deepEqual(server.env, [{ name: 'XTABLES_LOCKFILE',
                                    value: '/run/nfmeter/xtables.lock' }]);
    const volume = (name) => pod.volumes.find((each) => each.name === name);
    assert.deepEqual(volume('nfmeter-run').emptyDir,
                     { medium: 'Memory', sizeLimit: '1Mi' });
    assert.deepEqual(volume('nfmeter-state').emptyDir, { sizeLimit: '64Mi' });
  }
});

test('the key comes from its secret, and authorities may come from another',
     () => {
  const sources = (pod) => pod.volumes.find(({ name }) => name === 'nfmeter-tls')
      .projected.sources.map(({ secret }) => [
        secret.name, ...secret.items.map(({ key, path }) => `${key}:${path}`)]);
  const pod = nodePod('daemonset-mutual-tls');
  assert.deepEqual(sources(pod), [
    ['nfmeter-server', 'tls.crt:tls.crt', 'tls.key:tls.key'],
    ['controllers-ca', 'bundle.pem:ca.crt']]);
  // Written as 0400, which is octal for Kubernetes and decimal for this parser.
  assert.equal(pod.volumes.find(({ name }) => name === 'nfmeter-tls')
      .projected.defaultMode, 400);
  assert.deepEqual(pod.imagePullSecrets, [{ name: 'registry' }]);
  assert.deepEqual(
      sources(pick(render('sidecar-mutual-tls'), 'Deployment')
          .spec.template.spec),
      [['nfmeter-server', 'tls.crt:tls.crt', 'tls.key:tls.key'],
       ['nfmeter-server', 'ca.crt:ca.crt']]);
});

test('controllers find the servers by a service without an address', () => {
  for (const name of ['daemonset-mutual-tls', 'sidecar-mutual-tls']) {
    const { spec } = pick(render(name), 'Service', 'demo-nfmeter-grpc');
    assert.equal(spec.clusterIP, 'None');
    assert.deepEqual(spec.ports, [{ name: 'grpc', port: 7443, targetPort: 7443,
                                    protocol: 'TCP', appProtocol: 'grpc' }]);
  }
});

test('the policy reaches the server as it is', () => {
  const { rules } = parse(pick(render('daemonset-mutual-tls'), 'ConfigMap',
                               'demo-nfmeter-policy').data['policy.yaml']);
  assert.deepEqual(rules, [
    { name: 'billing reads', role: 'viewer',
      principals: ['spiffe://acme.example/billing/*'] },
    { name: 'tenant blue', role: 'operator', counter_prefixes: ['blue-'],
      methods: ['nfmeter.v1.CounterService/*'],
      principals: ['spiffe://acme.example/tenants/blue'] }]);
});

test('the certificate is of the service and of names that are asked for', () => {
  const { spec } = pick(render('daemonset-monitored'), 'Certificate');
  assert.equal(spec.secretName, 'demo-nfmeter-tls');
  assert.deepEqual(spec.issuerRef, { group: 'cert-manager.io',
                                     kind: 'ClusterIssuer', name: 'fleet' });
  assert.deepEqual(spec.dnsNames, [
    'demo-nfmeter-grpc.metering.svc', '*.demo-nfmeter-grpc.metering.svc',
    '*.nodes.acme.example']);
  assert.deepEqual(spec.uris, ['spiffe://acme.example/nfmeter']);
  assert.deepEqual(spec.usages, ['digital signature', 'server auth']);
  assert.equal(spec.privateKey.rotationPolicy, 'Always');
});

test('Prometheus finds every server, and knows its node', () => {
  const service = pick(render('daemonset-monitored'), 'ServiceMonitor').spec;
  const pods = pick(render('sidecar-mutual-tls'), 'PodMonitor').spec;
  for (const { relabelings, path, interval, scrapeTimeout } of
       [service.endpoints[0], pods.podMetricsEndpoints[0]]) {
    assert.deepEqual([path, interval, scrapeTimeout], ['/metrics', '30s', '10s']);
    assert.deepEqual(relabelings.map(({ targetLabel }) => targetLabel),
                     ['job', 'node']);
  }
  assert.equal(service.selector.matchLabels['app.kubernetes.io/component'],
               'metrics');
  assert.equal(pick(render('daemonset-monitored'), 'Service',
                    'demo-nfmeter-metrics')
      .metadata.labels['app.kubernetes.io/component'], 'metrics');
});

test('a network policy lets each in where it says', () => {
  const { spec } = pick(render('sidecar-mutual-tls'), 'NetworkPolicy');
  const from = (name) => [{ namespaceSelector: { matchLabels:
      { 'kubernetes.io/metadata.name': name } } }];
  assert.deepEqual(spec.podSelector.matchLabels,
                   { 'nfmeter-sidecar': 'demo-nfmeter' });
  assert.deepEqual(spec.ingress, [
    { ports: [{ port: 9999, protocol: 'UDP' }, { port: 8443, protocol: 'TCP' }] },
    { from: from('fleet'), ports: [{ port: 7443, protocol: 'TCP' }] },
    { from: from('monitoring'), ports: [{ port: 9477, protocol: 'TCP' }] },
    { from: [{ ipBlock: { cidr: '10.20.0.0/16' } }],
      ports: [{ port: 9480, protocol: 'TCP' }] }]);
});

test('plans reach the server as they are, large numbers whole', () => {
  const { data } = pick(render('daemonset-plans'), 'ConfigMap',
                        'demo-nfmeter-plans');
  assert.deepEqual(Object.keys(data), ['customers.yaml', 'dns.yaml']);
  assert.match(data['customers.yaml'], /bytes: 10000000000\n/);
  const plan = parse(data['customers.yaml']);
  assert.equal(plan.name, 'customers');
  assert.deepEqual(plan.groups[0].members,
                   { '192.0.2.7': 'c7-down', '2001:db8::/64': 'c8-down' });
});

test('plans of the values are a volume of the server\'s, in either mode', () => {
  const daemonset = render({ plans: { a: { accounts: [] } } });
  const pods = [pick(daemonset, 'DaemonSet'),
                pick(render('sidecar-plans'), 'Deployment')];
  for (const { spec: { template: { spec } } } of pods) {
    const [server] = spec.initContainers ?? spec.containers;
    assert.equal(mounts(server)['nfmeter-plans'],
                 '/etc/nfmeter/plans (read-only)');
    assert.deepEqual(
        spec.volumes.find(({ name }) => name === 'nfmeter-plans').configMap,
        { name: 'demo-nfmeter-plans' });
  }
});

test('plans of labelled ConfigMaps come by a container that may read those ' +
     'and nothing else', () => {
  const values = { planConfigMaps: { enabled: true, label: 'acme/plan' } };
  const sidecar = { ...values, mode: 'sidecar',
                    application: { pod: { spec: {
                      serviceAccountName: 'web',
                      containers: [{ name: 'web', image: 'web' }] } } } };
  const cases = [[render(values), 'DaemonSet', 'demo-nfmeter'],
                 [render(sidecar), 'Deployment', 'web']];
  for (const [objects, kind, account] of cases) {
    const { spec } = pick(objects, kind).spec.template;
    const [server, watcher] = kind === 'DaemonSet' ? spec.containers :
        spec.initContainers;
    assert.equal(spec.automountServiceAccountToken, false);
    assert.equal(watcher.name, 'nfmeter-plans');
    if (kind === 'Deployment') assert.equal(watcher.restartPolicy, 'Always');
    assert.equal(watcher.env.find(({ name }) => name === 'LABEL').value,
                 'acme/plan');
    assert.equal(mounts(watcher)['nfmeter-plans'], '/etc/nfmeter/plans');
    assert.equal(mounts(server)['nfmeter-plans'],
                 '/etc/nfmeter/plans (read-only)');
    // The server itself has no token.
    assert.equal(mounts(server)['nfmeter-plans-token'], undefined);
    assert.deepEqual(watcher.securityContext.capabilities, { drop: ['ALL'] });
    assert.equal(watcher.securityContext.runAsNonRoot, true);
    assert.deepEqual(pick(objects, 'Role').rules, [
      { apiGroups: [''], resources: ['configmaps'],
        verbs: ['get', 'list', 'watch'] }]);
    assert.deepEqual(pick(objects, 'RoleBinding').subjects, [
      { kind: 'ServiceAccount', name: account, namespace: 'metering' }]);
  }
});

test('the chart\'s own plans are found by the label, where there is one', () => {
  const { metadata } = pick(render('daemonset-plans'), 'ConfigMap',
                            'demo-nfmeter-plans');
  assert.equal(metadata.labels['nfmeter.io/plan'], 'yes');
});

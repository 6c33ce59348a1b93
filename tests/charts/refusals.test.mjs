// SPDX-License-Identifier: GPL-3.0-or-later
// Values that the chart refuses, and the words in which it does. A person must
// be able to tell from them what to set.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { chart, exampleChart, helm, helmMajor, template } from
  './support/helm.mjs';

// What Helm says to these values, without its own frame.
function refusal(values, from = chart) {
  try {
    template(values, [], from);
  } catch (error) {
    return error.message
        .replace(/^Error: /, '')
        .replace(/values don't meet the specifications[^\n]*\n/, '')
        .replace(/execution error at \([^)]*\): /, '')
        .replace(/\n+Use --debug flag[^\n]*/, '')
        .replace(/^(nfmeter|web):\n/, '').trim();
  }
  assert.fail('was not refused');
}

// [what is wrong, the values, the words]
const bySchema = [
  ['a misspelt value', { tpc: { enabled: true } },
   "- at '': additional properties 'tpc' not allowed"],
  ['a misspelt value further in', { tls: { secretname: 'x' } },
   "- at '/tls': additional properties 'secretname' not allowed"],
  ['a mode that there is not', { mode: 'deployment' },
   "- at '/mode': value must be one of 'daemonset', 'sidecar'"],
  ['a number that is text', { tcp: { port: '7443' } },
   "- at '/tcp/port': got string, want integer"],
  ['a port that there is not', { tcp: { port: 70000 } },
   "- at '/tcp/port': maximum: got 70,000, want 65,535"],
  ['a mode without quotes', { socket: { mode: 432 } },
   "- at '/socket/mode': got number, want string"],
  ['a group by its name', { socket: { group: 'nfmeter' } },
   "- at '/socket/group': got string, want null or integer"],
  ['a group that Kubernetes does not take', { socket: { group: 3000000000 } },
   "- at '/socket/group': maximum: got 3×10⁰⁹, want 2.147483647×10⁰⁹"],
  ['a role that there is not', { tcp: { role: 'root' } },
   "- at '/tcp/role': value must be one of 'viewer', 'operator', 'admin', " +
   "'none'"],
  ['a rule without principals',
   { policy: { rules: [{ name: 'all', role: 'admin' }] } },
   "- at '/policy/rules/0': missing property 'principals'"],
  ['a rule with a misspelt key',
   { policy: { rules: [{ name: 'a', principals: ['*'], role: 'viewer',
                         counter_prefix: ['x'] }] } },
   "- at '/policy/rules/0': additional properties 'counter_prefix' not " +
   'allowed'],
  ['a plan whose name is none', { plans: { 'Kunden!': {} } },
   "- at '/plans': additional properties 'Kunden!' not allowed"],
  ['a limit that there is not', { config: { limits: { max_stream: 3 } } },
   "- at '/config/limits': additional properties 'max_stream' not allowed"],
  ['what the chart itself tells the server',
   { config: { listen: [] } },
   "- at '/config': additional properties 'listen' not allowed"],
  ['a log level that there is not', { config: { log: { level: 'trace' } } },
   "- at '/config/log/level': value must be one of 'debug', 'info', " +
   "'warning', 'error', 'off'"],
  ['no address', { tcp: { addresses: [] } },
   "- at '/tcp/addresses': minItems: got 0, want 1"],
  ['a pod template with something beside it',
   { mode: 'sidecar', application: { pod: { containers: [] } } },
   "- at '/application/pod': additional properties 'containers' not allowed"],
];

const application = {
  pod: { spec: { containers: [
    { name: 'web', image: 'web', ports: [{ containerPort: 7443 }] }] } },
};
const tls = { tcp: { enabled: true, role: 'viewer' },
              tls: { secretName: 's' } };
const daemonset = (more) => ({ daemonset: more });

const together = [
  ['a sidecar without a pod', { mode: 'sidecar' },
   'mode=sidecar runs in the pods of an application: describe one in ' +
   'application.pod, or make this chart a dependency of the application\'s ' +
   'chart and use the template nfmeter.sidecar (README.md shows both)'],
  ['an application on every node', { application },
   'application is deployed with a sidecar only: set mode=sidecar, or remove ' +
   'application.pod and application.ports'],
  ['ports without an application',
   { mode: 'sidecar', application: { ports: [{ port: 80 }] } },
   /mode=sidecar runs in the pods of an application/],
  ['an application without containers',
   { mode: 'sidecar', application: { pod: { spec: {} } } },
   /^nfmeter.sidecar: the pod template has no spec.containers: give it/],
  ['a sidecar in the node\'s network',
   { mode: 'sidecar', application: { pod: { spec: {
     ...application.pod.spec, hostNetwork: true } } } },
   /would count and change the whole node: remove hostNetwork, or install the/],
  ['two containers of one name',
   { mode: 'sidecar', application, sidecar: { containerName: 'web' } },
   "nfmeter.sidecar: the pod has a container 'web' of its own: set " +
   'sidecar.containerName to another name'],
  ['the socket for a container that there is not',
   { mode: 'sidecar', application, sidecar: { socketFor: ['wbe'] } },
   "sidecar.socketFor names 'wbe', but the pod has only: web"],
  ['a port that the application has',
   { mode: 'sidecar', application, ...tls },
   "port 7443 is the application's already, and a pod has one network: set " +
   'tcp.port to another'],
  ['the same of metrics',
   { mode: 'sidecar', application, metrics: { enabled: true, port: 7443 } },
   "port 7443 is the application's already, and a pod has one network: set " +
   'metrics.port to another'],
  ['TCP without certificates', { tcp: { enabled: true } },
   'tcp needs certificates: set tls.secretName to a Secret with tls.crt, ' +
   'tls.key and ca.crt, or tls.certManager.enabled=true'],
  ['certificates without TCP', { tls: { secretName: 's' } },
   'certificates are for TCP alone: set tcp.enabled=true, or remove ' +
   'tls.secretName and tls.certManager.enabled'],
  ['two sources of certificates',
   { ...tls, tls: { secretName: 's', certManager: { enabled: true } } },
   'tls.secretName is a Secret of yours and tls.certManager makes one: set ' +
   'only one of them'],
  ['cert-manager without an issuer',
   { ...tls, tls: { certManager: { enabled: true } } },
   'cert-manager needs to know who signs: set tls.certManager.issuerRef.name ' +
   '(and .kind, if it is a ClusterIssuer)'],
  ['all addresses and one more',
   { ...tls, tcp: { ...tls.tcp, addresses: ['0.0.0.0', '::'] } },
   '0.0.0.0 and :: are all addresses, IPv4 and IPv6, and leave none for ' +
   'another: set tcp.addresses to one of them alone'],
  ['a certificate that is renewed before it is made',
   { ...tls, tls: { certManager: {
     enabled: true, issuerRef: { name: 'a' }, duration: '24h',
     renewBefore: '24h' } } },
   'tls.certManager.renewBefore 24h is not shorter than duration 24h: ' +
   'cert-manager would renew without end; set a shorter one'],
  ['TCP for nobody', { ...tls, tcp: { enabled: true } },
   'nobody could do anything over tcp: say who may do what in policy.rules, ' +
   'or what every client with a certificate may do in tcp.role'],
  ['a role beside a whole policy',
   { ...tls, policy: { existingConfigMap: 'p' } },
   "policy.existingConfigMap is the whole policy, so tcp.role can't add to " +
   'it: set tcp.role=none and write the rule into that file'],
  ['a socket for nobody', { socket: { role: 'none' } },
   'nobody could do anything: set socket.role to viewer, operator or admin, ' +
   'or say who may do what in policy.rules'],
  ['two policies',
   { policy: { existingConfigMap: 'p',
               rules: [{ name: 'a', principals: ['*'], role: 'viewer' }] } },
   'policy.rules and policy.existingConfigMap are two policies: set only one ' +
   'of them'],
  ['an audit file where nothing can be written',
   { config: { audit: { file: '/var/log/audit' } } },
   "config.audit.file '/var/log/audit' can't be written, as the root is " +
   'read-only: set one below /var/lib/nfmeter, or none for the log'],
  // The server refuses the same, and its pods would start again and again.
  ['plans for a server that changes nothing',
   { config: { read_only: true }, plans: { a: {} } },
   "plans can't be applied by a server that changes nothing: set " +
   'config.read_only=false, or leave plans and planConfigMaps out'],
  ['records that are kept too short',
   { config: { retention: { records: '1m' } } },
   "config.retention.records '1m' is out of range: set one from 10m to " +
   '876000h'],
  ['a glob that no counter matches',
   { metrics: { enabled: true, counters: 'a[b' } },
   "metrics.counters 'a[b' has a '[' without its ']', which no name matches: " +
   'close it'],
  ['a key that no label has', { metrics: { enabled: true, labels: 'a, B' } },
   "metrics.labels 'a, B': 'B' is no key of labels, which is 1 to 63 of " +
   '[a-z0-9._/-]; write them with commas between'],
  ['two keys that are one label',
   { metrics: { enabled: true, labels: 'a.b,a-b' } },
   "metrics.labels shows both 'a.b' and 'a-b' as label_a_b: leave one of " +
   'them out'],
  ['a policy for pods that it does not reach',
   { networkPolicy: { enabled: true } },
   'networkPolicy has no effect on pods in the node\'s network, as those of ' +
   'mode daemonset are: set networkPolicy.enabled=false and guard tcp.port ' +
   "with the node's firewall"],
  ['a network policy that lets no controller in',
   { mode: 'sidecar', ...tls, networkPolicy: { enabled: true },
     tcp: { ...tls.tcp, port: 7444 }, application },
   'networkPolicy would close tcp.port for everybody: say who comes in ' +
   'networkPolicy.from'],
  ['a network policy that lets no scrape in',
   { mode: 'sidecar', metrics: { enabled: true }, application,
     networkPolicy: { enabled: true } },
   'networkPolicy would close metrics.port for everybody: say who scrapes in ' +
   'networkPolicy.metricsFrom'],
  ...['serviceMonitor', 'podMonitor', 'prometheusRule', 'dashboard'].map(
      (name) => [`${name} without metrics`,
                 { metrics: { [name]: { enabled: true } } },
                 `metrics.${name} has nothing to show without metrics: set ` +
                 'metrics.enabled=true']),
  ['a page in no place', { web: { listen: '9480' } },
   "web.listen '9480' is no place for the page: set HOST:PORT, such as " +
   '127.0.0.1:9480, or unix:/run/nfmeter/web.sock'],
  ['a page on a port of root', { web: { listen: '127.0.0.1:443' } },
   "web.listen '127.0.0.1:443' has a port that the page can't have: set one " +
   'from 1024 to 65535'],
  ['a page on the port of metrics',
   { metrics: { enabled: true }, web: { listen: '127.0.0.1:9477' } },
   'web.listen and metrics.port have the port 9477: set one of them to ' +
   'another'],
  ['a page for others without certificates',
   { web: { listen: '0.0.0.0:9480' } },
   "web.listen '0.0.0.0:9480' is reached from elsewhere, so the page takes " +
   'the certificates of tcp: set tcp.enabled=true, or listen on ' +
   '127.0.0.1:9480 and use kubectl port-forward'],
  ['a network policy that lets no browser in',
   { mode: 'sidecar', application, web: { listen: '0.0.0.0:9480' },
     tcp: { enabled: true, role: 'viewer' }, tls: { secretName: 'x' },
     networkPolicy: { enabled: true, from: [{ podSelector: {} }] } },
   'networkPolicy would close the port of web.listen for everybody: say who ' +
   'comes in networkPolicy.webFrom'],
  ['two monitors',
   { metrics: { enabled: true, serviceMonitor: { enabled: true },
                podMonitor: { enabled: true } } },
   'metrics.serviceMonitor and metrics.podMonitor would scrape every server ' +
   'twice: set only one of them'],
  ['one port for two',
   { ...tls, metrics: { enabled: true, port: 7443 } },
   'tcp.port and metrics.port are both 7443: set one of them to another'],
  ['two servers on one node at an update',
   daemonset({ updateStrategy: { rollingUpdate: { maxSurge: 1 } } }),
   "two servers can't have the socket and the state folder of one node: " +
   'remove daemonset.updateStrategy.rollingUpdate.maxSurge and use ' +
   'maxUnavailable'],
  ['the same as a share',
   daemonset({ updateStrategy: { rollingUpdate: { maxSurge: '10%' } } }),
   /two servers can't have the socket/],
  ['a socket mode that is none', { socket: { mode: '0999' } },
   "socket.mode '0999' is not an octal mode: set one such as \"0660\", in " +
   'quotes'],
  ['a digest that is none', { image: { digest: 'sha256:12' } },
   "image.digest 'sha256:12' is not sha256: and 64 hexadecimal digits: copy " +
   'it from the registry, or leave it empty'],
  ['a duration without its unit', { tls: { reloadInterval: '30' } },
   "tls.reloadInterval '30' is not a duration: set one in whole numbers with " +
   'their units, such as 30s, 1m30s or 24h'],
  ['a duration with a fraction',
   { tls: { certManager: { duration: '1.5h', renewBefore: '2h' } } },
   /^tls.certManager.duration '1.5h' is not a duration: set one in whole/],
  ['certificates read again all the time', { tls: { reloadInterval: '500ms' } },
   "tls.reloadInterval '500ms' is out of range: set one from 1s to 24h"],
  ['certificates read again too late', { tls: { reloadInterval: '25h' } },
   "tls.reloadInterval '25h' is out of range: set one from 1s to 24h"],
  ['certificates read again at a fraction',
   { tls: { reloadInterval: '1s500ms' } },
   "tls.reloadInterval '1s500ms' is not of whole seconds: set one such as 30s"],
  ['an endless wait for the lock',
   { config: { limits: { max_lock_timeout: '2h' } } },
   "config.limits.max_lock_timeout '2h' is out of range: set one from 1ms to " +
   '1h'],
  ['a usual wait that is longer than the longest',
   { config: { limits: { lock_timeout: '2m' } } },
   'config.limits.lock_timeout 2m is longer than ' +
   'config.limits.max_lock_timeout 1m: set a shorter one, or both'],
  ['devices that the pod does not claim',
   { resources: { claims: [{ name: 'card' }] } },
   'resources.claims name devices that the pod claims, and a pod of mode ' +
   'daemonset claims none: remove them'],
  ['an audit file beside an application',
   { mode: 'sidecar', application,
     config: { audit: { file: '/var/lib/nfmeter/audit.log' } } },
   /^config.audit.file '.*' grows without end, and with it the pod, until the/],
  ['a duration of a limit',
   { config: { limits: { lock_timeout: 'soon' } } },
   /^config.limits.lock_timeout 'soon' is not a duration/],
  ['the root of the node', daemonset({ hostPaths: { stateDir: '//' } }),
   "daemonset.hostPaths.stateDir '//' is not a path below the root: set one " +
   'such as /run/nfmeter'],
  ['a folder of the node without a slash',
   daemonset({ hostPaths: { socketDir: 'run' } }),
   /^daemonset.hostPaths.socketDir 'run' is not a path below the root/],
  ['a scrape that takes longer than the time between two',
   { metrics: { enabled: true, podMonitor: {
     enabled: true, interval: '5s', scrapeTimeout: '10s' } } },
   'metrics.podMonitor.scrapeTimeout 10s is longer than its interval 5s: ' +
   'Prometheus refuses that; set a shorter one'],
];

for (const [kind, cases] of [['schema', bySchema], ['checks', together]]) {
  for (const [name, values, words] of cases) {
    test(`${kind}: ${name} is refused`, () => {
      const said = refusal(values);
      if (kind === 'schema' && helmMajor < 4) {
        // It has other words for it, but points at the same place.
        const place = words.match(/at '([^']*)'/)[1].split('/').at(-1) ||
            words.match(/properties '([^']*)'/)[1];
        assert.ok(said.includes(place), said);
      } else if (words instanceof RegExp) assert.match(said, words);
      else assert.equal(said, words);
    });
  }
}

test('all that is wrong by the schema is told at once', () => {
  const said = refusal({ mode: 'x', tcp: { port: 0 }, typo: 1 });
  for (const word of [/\bmode/, /tcp.port/, /typo/]) {
    assert.match(said, word);
  }
});

test('as a dependency the chart says whose values are wrong', () => {
  const example = exampleChart();
  assert.match(refusal({ nfmeter: { mode: 'daemonset' } }, example),
               /set mode=sidecar \(as a dependency: nfmeter.mode=sidecar\)/);
  assert.match(refusal({ nfmeter: { tcpp: 1 } }, example),
               /dditional property .?tcpp|dditional properties 'tcpp'/);
  assert.match(
      refusal({ nfmeter: { networkPolicy: { enabled: true } } }, example),
      /^networkPolicy would close the application's own ports: list them in/);
});

test('a pod template that is not YAML is told so', () => {
  const example = exampleChart();
  const file = path.join(example, 'templates/deployment.yaml');
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8')
      .replace('  automountServiceAccountToken: false', '  a: b: c'));
  assert.match(refusal({}, example),
               /nfmeter.sidecar: the pod template is not YAML: /);
});

test('a cluster that is too old for sidecars is told so', () => {
  assert.throws(() => helm('template', 'demo', chart, '--kube-version', '1.28'),
                /chart requires kubeVersion: >=1.29/);
});

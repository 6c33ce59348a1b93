// SPDX-License-Identifier: GPL-3.0-or-later
// What the chart's documents say of its values, and of its commands.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { chart, helm, here, matrix, parse, render, template, top } from
  './support/helm.mjs';

const read = (name) => fs.readFileSync(path.join(chart, name), 'utf8');
const schema = JSON.parse(read('values.schema.json'));
const values = parse(read('values.yaml'));

// Every value by its path: [path, schema, default].
function* valuesOf(node, here, prefix = '') {
  for (const [name, property] of Object.entries(node.properties)) {
    const at = prefix + name;
    const value = here?.[name];
    if (at === 'global') continue;
    if (property.properties && at !== 'application.pod') {
      yield* valuesOf(property, value, `${at}.`);
    } else {
      yield [at, property, value];
    }
  }
}

function row([at, property, value]) {
  let text = property.description;
  if (property.enum) {
    text += `: ${property.enum.filter((each) => each !== '')
        .map((each) => `\`${each}\``).join(', ')}`;
  }
  const known = value === undefined ? '' : `\`${JSON.stringify(value)}\``;
  return `| \`${at}\` | ${text} | ${known} |`;
}

const table = ['| value | what for | default |', '| --- | --- | --- |',
               ...[...valuesOf(schema, values)].map(row)].join('\n');

test('the table in the README has every value with its default', () => {
  const text = read('README.md');
  const marks = /(<!-- values -->\n)[^]*(<!-- \/values -->)/;
  const now = text.replace(marks, (_, begin, end) => `${begin}${table}\n${end}`);
  if (process.env.UPDATE_README) {
    fs.writeFileSync(path.join(chart, 'README.md'), now);
  }
  assert.equal(read('README.md'), now, 'run tests/charts/update');
});

test('the schema has every value of values.yaml, and says what it is for',
     () => {
  const walk = (value, node, at) => {
    assert.ok(node, `${at} is in values.yaml, but not in the schema`);
    assert.ok(node.description || at === '', `${at} has no description`);
    if (!node.properties) return;
    assert.equal(node.additionalProperties, false, at);
    for (const [name, each] of Object.entries(value ?? {})) {
      walk(each, node.properties[name], at ? `${at}.${name}` : name);
    }
  };
  walk(values, schema, '');
});

// Both modes with as much as possible turned on, and for each value another
// one than in these.
const everything = {
  tcp: { enabled: true },
  tls: { certManager: { enabled: true, issuerRef: { name: 'a' } } },
  policy: { rules: [{ name: 'a', principals: ['b'], role: 'viewer' }] },
  metrics: { enabled: true, prometheusRule: { enabled: true },
             dashboard: { enabled: true } },
  plans: { a: {} },
  planConfigMaps: { enabled: true },
  web: { listen: '0.0.0.0:9480' },
};
const bases = [
  { ...everything, metrics: { ...everything.metrics,
                              serviceMonitor: { enabled: true } } },
  { ...everything, mode: 'sidecar',
    metrics: { ...everything.metrics, podMonitor: { enabled: true } },
    networkPolicy: { enabled: true, from: [{ podSelector: {} }],
                     metricsFrom: [{ podSelector: {} }],
                     webFrom: [{ podSelector: {} }] },
    application: { pod: { spec: { containers: [
      { name: 'web', image: 'web', ports: [{ containerPort: 80 }] }] } },
                   ports: [{ port: 80 }] } },
];
const peer = { namespaceSelector: { matchLabels: { a: 'b' } } };
const another = {
  mode: [],  // the two bases
  'image.digest': [`sha256:${'1'.repeat(64)}`],
  imagePullSecrets: [[{ name: 'a' }]],
  'config.audit.file': ['/var/lib/nfmeter/audit'],
  'socket.mode': ['0600'],
  'tls.secretName': ['mine'],
  'policy.rules': [[{ name: 'zoe', principals: ['anna'], role: 'admin' }]],
  'policy.existingConfigMap': ['mine'],
  plans: [{ b: { accounts: [] } }],
  'planConfigMaps.image.digest': [`sha256:${'1'.repeat(64)}`],
  'planConfigMaps.resources.claims': [[{ name: 'device' }]],
  'metrics.address': ['127.0.0.1'],
  'resources.claims': [[{ name: 'device' }]],
  'daemonset.updateStrategy.rollingUpdate.maxUnavailable': ['10%'],
  'daemonset.updateStrategy.rollingUpdate.maxSurge': [0],
  'daemonset.tolerations': [[]],
  'sidecar.socketFor': [['web']],
  'application.pod': [{ metadata: { labels: { a: 'b' } } }],
  'application.ports': [[{ port: 81 }]],
  'networkPolicy.from': [[peer]],
  'networkPolicy.metricsFrom': [[peer]],
  'networkPolicy.webFrom': [[peer]],
  'networkPolicy.applicationPorts': [[{ port: 99 }]],
  'web.listen': ['127.0.0.1:9480'],
  'web.role': ['none'],
};
// What must be taken back for a value to be possible.
const instead = {
  'tls.secretName': { tls: { certManager: { enabled: false } } },
  'policy.existingConfigMap': { policy: { rules: [] } },
};

function sample(at, property, value) {
  if (at in another) return another[at];
  if (property.enum) {
    return property.enum.filter((each) => each !== value && each !== 'none');
  }
  if (at.includes('hostPaths')) return ['/srv/other'];
  if (/^\d+(ms|s|m|h)$/.test(value) || /such as \d+(ms|s|m)\b/.test(
      property.description)) {
    return ['7s'];
  }
  switch (property.type) {
    case 'boolean': return [value !== undefined ? !value : true, false];
    case 'string': return ['other'];
    case 'object': return [{ other: 'x' }];
    case 'array': return [property.items.type === 'string' ?
        ['other'] : [{ other: 'x' }]];
    default: return [(value ?? property.minimum) + 2];
  }
}

function place(at, value) {
  return at.split('.').reduceRight((inner, name) => ({ [name]: inner }), value);
}

function merge(one, two) {
  if (typeof one !== 'object' || typeof two !== 'object' || one === null ||
      two === null || Array.isArray(one) || Array.isArray(two)) {
    return two;
  }
  const merged = { ...one };
  for (const [name, value] of Object.entries(two)) {
    merged[name] = name in merged ? merge(merged[name], value) : value;
  }
  return merged;
}

test('every value makes a difference', () => {
  const plain = bases.map((base) => template(base));
  const idle = [...valuesOf(schema, values)].filter(([at, property, value]) => {
    const samples = sample(at, property, value);
    return samples.length > 0 && !bases.some((base, i) => samples.some((each) => {
      const changed = merge(merge(base, place(at, each)), instead[at] ?? {});
      try {
        return template(changed) !== plain[i];
      } catch (error) {
        return /execution error/.test(error.message);  // refused together
      }
    }));
  }).map(([at]) => at);
  assert.deepEqual(idle, []);
});

test('notes tell the next commands in each mode, with the names at hand',
     () => {
  const notes = (name) => {
    const text = helm('install', 'demo', chart, '--namespace', 'metering',
                      '--dry-run=client', '--values',
                      path.join(here, 'values', `${name}.yaml`));
    return text.slice(text.indexOf('NOTES:'));
  };
  assert.match(notes('default'), /kubectl -n metering rollout status daemonset\/demo-nfmeter/);
  assert.match(notes('default'), /exec daemonset\/demo-nfmeter -- nfmeter counter create/);
  assert.match(notes('default'), /It sees: traffic of the node/);
  assert.match(notes('default'), /helm -n metering test demo/);
  assert.doesNotMatch(notes('daemonset-restricted'), /helm .*test/);
  assert.match(notes('daemonset-mutual-tls'), /NODE-IP:7443/);
  assert.match(notes('sidecar-application'), /exec deployment\/demo-nfmeter -c nfmeter -- nfmeter counter create/);
  assert.match(notes('sidecar-application'), /can't see: other pods/);
  assert.match(notes('sidecar-mutual-tls'), /-c meter --/);
  assert.match(notes('sidecar-mutual-tls'), /POD-IP:7443/);
});

// YAML examples in documents are values files that the chart takes.
for (const file of ['charts/nfmeter/README.md', 'docs/kubernetes.md']) {
  test(`values in ${file} render`, () => {
    const text = fs.readFileSync(path.join(top, file), 'utf8');
    let rendered = 0;
    for (const [, block] of text.matchAll(/^```yaml\n([^]*?)^```/gm)) {
      if (/\{\{|^dependencies:/m.test(block)) continue;
      render(parse(block));
      ++rendered;
    }
    assert.ok(rendered > 0);
  });

  test(`helm commands in ${file} name values that there are`, () => {
    const text = fs.readFileSync(path.join(top, file), 'utf8')
        .replaceAll('\\\n', ' ');
    for (const [, words] of text.matchAll(/--set(?:-json|-string)? '?([a-zA-Z0-9.]+)/g)) {
      const name = words.split('=')[0];
      const known = [...valuesOf(schema, values)].map(([at]) => at);
      assert.ok(known.some((at) => at === name || name.startsWith(`${at}.`)),
                name);
    }
  });
}

test('what the matrix renders has no value of another mode in it', () => {
  for (const name of matrix) {
    const text = template(name);
    if (name.startsWith('sidecar')) assert.doesNotMatch(text, /hostPath|hostNetwork/);
  }
});

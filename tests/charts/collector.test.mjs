// SPDX-License-Identifier: GPL-3.0-or-later
// The chart of nfmeter-collector: what it renders, and what it refuses.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { helmProgram, parse, parseAll, pick, top } from './support/helm.mjs';
import { problems } from './support/kubernetes.mjs';

const chart = path.join(top, 'charts/nfmeter-collector');
const least = ['sink.url=postgresql://u@db/usage',
  'nodes.targets[0].address=gw1:7878'];
const monitored = ['podMonitor', 'prometheusRule', 'dashboard'].map(
    (name) => `metrics.${name}.enabled=true`);

function run(command, values) {
  return spawnSync(helmProgram, [...command,
    ...values.flatMap((value) => ['--set', value])], { encoding: 'utf8' });
}
const template = (values) => run(['template', 'demo', chart], values);
const render = (values) => parseAll(template(values).stdout);

test('helm lint --strict takes it', () => {
  const result = run(['lint', '--strict', chart], least);
  assert.equal(result.status, 0, result.stdout + result.stderr);
});

test('the Kubernetes API takes all manifests', async () => {
  for (const values of [least, [...least, ...monitored],
    [...least, 'tls.existingSecret=certificate']]) {
    assert.deepEqual(await problems(render(values)), []);
  }
});

test('the URL is in a Secret alone', () => {
  const objects = render([...least]);
  assert.equal(pick(objects, 'Secret').stringData.url,
               'postgresql://u@db/usage');
  assert.ok(!JSON.stringify(pick(objects, 'Deployment'))
      .includes('postgresql://'));
});

test('nodes.yaml is what the values say', () => {
  const objects = render([...least, 'tls.existingSecret=certificate']);
  const nodes = parse(pick(objects, 'ConfigMap').data['nodes.yaml']);
  assert.deepEqual(nodes.targets, [{ address: 'gw1:7878' }]);
  assert.equal(nodes.defaults.ca, 'tls/ca.crt');
});

test('alerts and dashboard reach the cluster as they are', () => {
  const objects = render([...least, ...monitored]);
  const file = (name) => fs.readFileSync(path.join(chart, 'files', name),
                                         'utf8');
  assert.deepEqual(pick(objects, 'PrometheusRule').spec.groups,
                   parse(file('prometheus/nfmeter-collector-alerts.yaml'))
                       .groups);
  assert.ok(pick(objects, 'PodMonitor'));
});

test('what is missing or wrong is told', () => {
  for (const [values, told] of [
    [[least[1]], /where is usage stored/],
    [[least[0]], /which nodes are followed/],
    [[...least, 'sink.existingSecret=x'], /give one of them/],
    [[...least, 'replicas=0'], /replicas/],
    [['sink.url=mysql://x', least[1]], /sink/],
    [[...least, 'typo=1'], /typo/],
  ]) {
    const result = template(values);
    assert.notEqual(result.status, 0);
    assert.match(result.stderr, told);
  }
});

// SPDX-License-Identifier: GPL-3.0-or-later
// The configuration that each values file renders is one that the server takes.
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { matrix, pick, render } from './support/helm.mjs';
import { Authority } from './support/certificates.mjs';
import { attempt, cleanUp, image, networkNamespace, Pod } from
  './support/pod.mjs';

after(cleanUp);

const authority = new Authority('any');
const certificate = authority.issue('DNS:nfmeter');
// Those that the values files name.
const secrets = {
  'nfmeter-server': certificate,
  'demo-nfmeter-tls': certificate,
  'controllers-ca': { 'bundle.pem': authority.certificate },
};
const policyOfOnesOwn = {
  kind: 'ConfigMap', metadata: { name: 'nfmeter-policy' },
  data: { 'policy.yaml': 'version: 1\nrules:\n' +
          '  - {name: all read, principals: ["*"], role: viewer}\n' },
};

for (const name of matrix) {
  test(`the server takes the configuration of ${name}`, () => {
    const objects = [...render(name), policyOfOnesOwn];
    const sidecar = name.startsWith('sidecar');
    const { template } =
        pick(objects, sidecar ? 'Deployment' : 'DaemonSet').spec;
    const container = (sidecar ? template.spec.initContainers :
        template.spec.containers)[0];
    const { volumes } = template.spec;
    const pod = new Pod(
        { containers: [container],
          volumes: volumes.filter((each) => each.name !== 'data') },
        { objects, secrets, network: networkNamespace() });
    const flags = pod.flags({ ...container, image,
                              args: [...container.args, '--check-config'] });
    const { status, output, error } =
        attempt('podman', 'run', '--rm', ...flags);
    assert.equal(status, 0, output + error);
  });
}

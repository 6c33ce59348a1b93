// SPDX-License-Identifier: GPL-3.0-or-later
// Runs the pods that the chart renders, as the kubelet would: with podman, on
// the image of this checkout. Every field of the pod is either carried out
// here, or an error: nothing that is rendered is passed over.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { here, temporaryFolder } from './helm.mjs';

const own = `nfm${process.pid}`;
const environment = { ...process.env };
for (const [, name, value] of
     execFileSync(path.join(here, 'image'), ['--environment'],
                  { encoding: 'utf8' })
         .matchAll(/export (\w+)='([^']*)'/g)) {
  environment[name] = value;
}

function imageOf(...flags) {
  return execFileSync(path.join(here, 'image'), flags, {
    encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}
export const image = imageOf();
export const collectorImage = imageOf('--collector');
// Debian with a shell and Perl: what applications are made of here.
export const base = imageOf('--base');

// Status and output of a command, whatever they are.
export function attempt(...words) {
  const run = spawnSync(words[0], words.slice(1),
                        { encoding: 'utf8', env: environment });
  if (run.error) throw run.error;
  return { status: run.status, output: run.stdout, error: run.stderr };
}

// Standard output of a command that must succeed.
export function run(...words) {
  const { status, output, error } = attempt(...words);
  if (status !== 0) {
    throw new Error(`${words.join(' ')}: exit status ${status}\n` +
                    `${error}${output}`);
  }
  return output;
}

export const podman = (...words) => run('podman', ...words);

// Tries until `probe` does not throw; its last error after `seconds`.
export async function eventually(seconds, probe) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((done) => setTimeout(done, 100));
  }
}

// All that a test makes, taken down in reverse.
const cleanups = [];
export function cleanUp() {
  while (cleanups.length > 0) cleanups.pop()();
}
process.on('exit', cleanUp);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => process.exit(1));
}

// A network namespace of its own: a node's, a pod's, or a client's. Its name.
let namespaces = 0;
export function networkNamespace() {
  const name = `${own}-${++namespaces}`;
  run('ip', 'netns', 'add', name);
  cleanups.push(() => attempt('ip', 'netns', 'del', name));
  run('ip', '-n', name, 'link', 'set', 'lo', 'up');
  return name;
}

// A cable between two namespaces; ends are [namespace, address/length].
export function connect([one, oneAddress], [two, twoAddress]) {
  run('ip', 'link', 'add', 'eth0', 'netns', one, 'type', 'veth', 'peer',
      'name', 'eth0', 'netns', two);
  for (const [name, address] of [[one, oneAddress], [two, twoAddress]]) {
    run('ip', '-n', name, 'address', 'add', address, 'dev', 'eth0');
    run('ip', '-n', name, 'link', 'set', 'eth0', 'up');
  }
}

// Takes the fields of `object` that are named; whatever is left is an error.
function take(object, what, handlers) {
  for (const [field, value] of Object.entries(object)) {
    if (!(field in handlers)) {
      throw new Error(`nothing here carries out ${what}.${field}`);
    }
    handlers[field](value);
  }
}

const ignore = () => {};
function expect(wanted) {
  return (value) => {
    if (JSON.stringify(value) !== JSON.stringify(wanted)) {
      throw new Error(`not carried out here: ${JSON.stringify(value)}`);
    }
  };
}

// Files as the kubelet lays them out: all change in one step, by ..data.
export function writeVolume(folder, files, mode = 0o644) {
  const version = `..${process.hrtime.bigint()}`;
  fs.mkdirSync(path.join(folder, version), { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    fs.writeFileSync(path.join(folder, version, name), text, { mode });
    const link = path.join(folder, name);
    if (!fs.existsSync(link)) fs.symlinkSync(`..data/${name}`, link);
  }
  const next = path.join(folder, '..next');
  fs.symlinkSync(version, next);
  fs.renameSync(next, path.join(folder, '..data'));
}

function megabytes(quantity) {
  const match = /^(\d+)Mi$/.exec(quantity);
  if (!match) throw new Error(`not carried out here: ${quantity}`);
  return `${match[1]}m`;
}

// `objects`: what was rendered beside the pod; `secrets`: name -> key -> text.
// `node` is the root folder of what the pod's node has in files, `network` its
// or the pod's network namespace.
export class Pod {
  constructor(spec, { objects, secrets = {}, network,
                      node = temporaryFolder('node') }) {
    this.spec = spec;
    this.objects = objects;
    this.secrets = secrets;
    this.network = network;
    this.node = node;
    this.name = `${own}-pod${++Pod.count}`;
    this.containers = [];
    this.folders = {};
    this.checkSpec();
    for (const volume of spec.volumes ?? []) {
      this.folders[volume.name] = this.makeVolume(volume);
    }
    cleanups.push(() => this.remove());
  }
  static count = 0;

  checkSpec() {
    take(this.spec, 'spec', {
      containers: ignore, initContainers: ignore, volumes: ignore,
      // What the test itself stands for.
      hostNetwork: expect(true), restartPolicy: expect('Never'),
      // What has no effect without a cluster.
      automountServiceAccountToken: expect(false), enableServiceLinks: ignore,
      serviceAccountName: ignore, priorityClassName: ignore, dnsPolicy: ignore,
      tolerations: ignore, nodeSelector: ignore, affinity: ignore,
      terminationGracePeriodSeconds: ignore, imagePullSecrets: ignore,
      securityContext:
          expect({ seccompProfile: { type: 'RuntimeDefault' } }),
    });
  }

  configMap(name) {
    const found = this.objects.find((object) => object.kind === 'ConfigMap' &&
                                    object.metadata.name === name);
    if (!found) throw new Error(`there is no ConfigMap ${name}`);
    return found.data;
  }

  secretItems({ name, items }) {
    const secret = this.secrets[name];
    if (!secret) throw new Error(`there is no Secret ${name}`);
    return Object.fromEntries(items.map(({ key, path: file }) => {
      if (!(key in secret)) throw new Error(`Secret ${name} has no ${key}`);
      return [file, secret[key]];
    }));
  }

  // What every namespace has: the authority of the API server.
  rootAuthority({ name, items }) {
    expect('kube-root-ca.crt')(name);
    return Object.fromEntries(items.map(({ path: file }) => [file, '']));
  }

  // The files of a projected volume.
  projected({ sources }) {
    const files = {};
    for (const source of sources) {
      take(source, 'projected', {
        secret: (secret) => Object.assign(files, this.secretItems(secret)),
        configMap: (map) => Object.assign(files, this.rootAuthority(map)),
        serviceAccountToken: ({ path: file }) => { files[file] = 'token'; },
        downwardAPI: ({ items }) => {
          for (const { path: file, fieldRef } of items) {
            expect('metadata.namespace')(fieldRef.fieldPath);
            files[file] = 'metering';
          }
        },
      });
    }
    return files;
  }

  makeVolume(volume) {
    const folder = temporaryFolder('volume');
    fs.chmodSync(folder, 0o755);
    let place = folder;
    take(volume, 'volume', {
      name: ignore,
      configMap: ({ name }) => writeVolume(folder, this.configMap(name)),
      projected: (source) =>
          writeVolume(folder, this.projected(source), source.defaultMode),
      emptyDir: () => fs.chmodSync(folder, 0o777),
      hostPath: ({ path: at, type }) => {
        place = path.join(this.node, at);
        if (type === 'DirectoryOrCreate') {
          fs.mkdirSync(place, { recursive: true, mode: 0o755 });
        } else if (type === 'FileOrCreate') {
          fs.mkdirSync(path.dirname(place), { recursive: true });
          fs.closeSync(fs.openSync(place, 'a', 0o644));
        } else if (!fs.statSync(place).isDirectory()) {
          throw new Error(`${place} is not a folder`);
        }
      },
    });
    return place;
  }

  // Another version of what a mounted ConfigMap or Secret holds.
  updateVolume(name, files) {
    writeVolume(this.folders[name], files);
  }

  securityFlags(context) {
    const flags = [];
    take(context, 'securityContext', {
      runAsUser: ignore, runAsGroup: ignore, runAsNonRoot: ignore,
      privileged: expect(false),
      allowPrivilegeEscalation: (allowed) => {
        if (!allowed) flags.push('--security-opt', 'no-new-privileges');
      },
      readOnlyRootFilesystem: (yes) => {
        if (yes) flags.push('--read-only', '--read-only-tmpfs=false');
      },
      capabilities: ({ drop = [], add = [] }) => {
        for (const name of drop) flags.push('--cap-drop', name);
        for (const name of add) flags.push('--cap-add', name);
      },
      // podman's own profile, which both runtimes' defaults come from.
      seccompProfile: expect({ type: 'RuntimeDefault' }),
    });
    if ('runAsUser' in context) {
      flags.push('--user', `${context.runAsUser}:${context.runAsGroup ?? 0}`);
    }
    return flags;
  }

  // The words of `podman run` for a container.
  flags(container) {
    const flags = ['--name', `${this.name}-${container.name}`,
                   '--hostname', this.name, '--pull', 'never',
                   '--network', `ns:/run/netns/${this.network}`];
    const [program, ...words] = container.command ?? [];
    if (program) flags.push('--entrypoint', program);
    take(container, `container ${container.name}`, {
      name: ignore, image: ignore, imagePullPolicy: ignore, ports: ignore,
      startupProbe: ignore, readinessProbe: ignore, livenessProbe: ignore,
      restartPolicy: ignore, command: ignore, args: ignore,
      env: (variables) => {
        for (const { name, value } of variables) {
          flags.push('--env', `${name}=${value}`);
        }
      },
      resources: ({ limits }) => {
        if (limits?.memory) flags.push('--memory', megabytes(limits.memory));
      },
      volumeMounts: (mounts) => {
        for (const mount of mounts) {
          const access = mount.readOnly ? 'ro' : 'rw';
          flags.push('--volume', `${this.folders[mount.name]}:` +
                     `${mount.mountPath}:${access}`);
        }
      },
      securityContext: (context) => flags.push(...this.securityFlags(context)),
    });
    return [...flags, container.image, ...words, ...container.args ?? []];
  }

  // The containers in the kubelet's order: init containers one by one, those
  // that stay until they have started, and then the others.
  async start() {
    for (const container of this.spec.initContainers ?? []) {
      if (container.restartPolicy === 'Always') {
        await this.launch(container);
      } else {
        podman('run', '--rm', ...this.flags(container));
      }
    }
    for (const container of this.spec.containers) await this.launch(container);
  }

  // Runs the containers of a pod that ends, and what they print.
  async runToEnd() {
    const output = {};
    for (const container of this.spec.initContainers ?? []) {
      if (container.restartPolicy === 'Always') {
        await this.launch(container);
      } else {
        output[container.name] =
            podman('run', '--rm', ...this.flags(container));
      }
    }
    for (const container of this.spec.containers) {
      output[container.name] = podman('run', '--rm', ...this.flags(container));
    }
    return output;
  }

  async launch(container) {
    podman('run', '--detach', ...this.flags(container));
    this.containers.push(container.name);
    const { startupProbe: probe } = container;
    if (!probe) return;
    for (let tries = 1; ; ++tries) {
      const { status, error } = this.probe(container.name, 'startupProbe');
      if (status === 0) return;
      if (tries === probe.failureThreshold || !this.isRunning(container.name)) {
        throw new Error(`${container.name} did not start: ${error}\n` +
                        this.log(container.name));
      }
      await new Promise(
          (done) => setTimeout(done, probe.periodSeconds * 200));
    }
  }

  container(name) {
    return [...this.spec.initContainers ?? [], ...this.spec.containers]
        .find((container) => container.name === name);
  }

  probe(name, kind) {
    return this.tryExec(name, ...this.container(name)[kind].exec.command);
  }

  isRunning(name) {
    return podman('inspect', '--format', '{{.State.Running}}',
                  `${this.name}-${name}`).trim() === 'true';
  }

  log(name) {
    const { output, error } =
        attempt('podman', 'logs', `${this.name}-${name}`);
    return output + error;
  }

  pid(name) {
    return podman('inspect', '--format', '{{.State.Pid}}',
                  `${this.name}-${name}`).trim();
  }

  // As kubectl exec.
  exec(name, ...words) {
    return podman('exec', `${this.name}-${name}`, ...words);
  }

  tryExec(name, ...words) {
    return attempt('podman', 'exec', `${this.name}-${name}`, ...words);
  }

  // Ends a container as the kubelet does; its exit status.
  stop(name) {
    podman('stop', '--time', '30', `${this.name}-${name}`);
    return Number(podman('inspect', '--format', '{{.State.ExitCode}}',
                         `${this.name}-${name}`));
  }

  remove() {
    for (const name of this.containers.splice(0)) {
      attempt('podman', 'rm', '--force', '--time', '0',
              `${this.name}-${name}`);
    }
  }
}

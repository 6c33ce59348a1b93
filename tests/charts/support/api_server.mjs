// SPDX-License-Identifier: GPL-3.0-or-later
// A Kubernetes API server as far as Helm and kubectl need one: objects are
// kept, found by label, checked against the API's types, and refused where a
// real server refuses a change (selectors of workloads, clusterIP). Pods end
// well at once. It prints its address, and ends with its standard input.
import http from 'node:http';
import { parse } from './helm.mjs';
import { problems } from './kubernetes.mjs';

// group/version -> kinds
const kinds = {
  v1: ['ConfigMap', 'Namespace', 'Pod', 'Secret', 'Service', 'ServiceAccount'],
  'apps/v1': ['DaemonSet', 'Deployment', 'ReplicaSet'],
  'networking.k8s.io/v1': ['NetworkPolicy'],
  'rbac.authorization.k8s.io/v1': ['Role', 'RoleBinding'],
  'cert-manager.io/v1': ['Certificate'],
  'monitoring.coreos.com/v1':
      ['PodMonitor', 'PrometheusRule', 'ServiceMonitor'],
};
const plural = (kind) => kind.toLowerCase().replace(/y$/, 'ie') + 's';

const objects = new Map();  // path -> object
const watchers = new Set();  // {sees: (path, object) -> bool, response}
let version = 0;

function tell(response, type, object) {
  response.write(JSON.stringify({ type, object }) + '\n');
}

function tellAll(type, path, object) {
  for (const { sees, response } of watchers) {
    if (sees(path, object)) tell(response, type, object);
  }
}

function list(groupVersion) {
  return {
    kind: 'APIResourceList', apiVersion: 'v1', groupVersion,
    resources: kinds[groupVersion].map((kind) => ({
      name: plural(kind), singularName: kind.toLowerCase(), kind,
      namespaced: kind !== 'Namespace',
      verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
    })),
  };
}

const groups = Object.keys(kinds).filter((each) => each !== 'v1')
    .map((groupVersion) => {
      const [name, version] = groupVersion.split('/');
      return { name, versions: [{ groupVersion, version }],
               preferredVersion: { groupVersion, version } };
    });

// The fields of a protobuf message, by number; lengths alone are needed.
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0, shift = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 0x7f) * shift;
      shift *= 128;
    } while (byte & 0x80);
    return value;
  };
  while (at < bytes.length) {
    const tag = varint();
    if ((tag & 7) === 0) {
      yield [tag >> 3, varint()];
    } else {
      const length = varint();
      yield [tag >> 3, bytes.subarray(at, at += length)];
    }
  }
}

const field = (bytes, number) =>
    [...fields(bytes)].find(([each]) => each === number)?.[1];
const entries = (bytes, number, value) => Object.fromEntries(
    [...fields(bytes)].filter(([each]) => each === number).map(
        ([, entry]) => [String(field(entry, 1)), value(field(entry, 2))]));

// Helm's records come in Kubernetes' own wrapping of protobuf: "k8s", a zero,
// and runtime.Unknown with the Secret in it (k8s.io/api/core/v1).
function secret(body) {
  const raw = field(body.subarray(4), 2);
  const metadata = field(raw, 1);
  return {
    apiVersion: 'v1', kind: 'Secret', type: String(field(raw, 3)),
    metadata: { name: String(field(metadata, 1)),
                labels: entries(metadata, 11, String) },
    data: entries(raw, 2, (bytes) => bytes.toString('base64')),
  };
}

function decode(body) {
  return body.subarray(0, 4).toString() === 'k8s\0' ? secret(body) :
      parse(body.toString());
}

function status(code, reason, message) {
  return [code, { kind: 'Status', apiVersion: 'v1', metadata: {},
                  status: code < 300 ? 'Success' : 'Failure', code, reason,
                  message }];
}

function matches(object, selector) {
  return (selector ?? '').split(',').filter(Boolean).every((term) => {
    const [key, value] = term.split('=');
    return object.metadata.labels?.[key] === value;
  });
}

// What a server never lets change.
const immutable = {
  DaemonSet: (object) => object.spec.selector,
  Deployment: (object) => object.spec.selector,
  RoleBinding: (object) => object.roleRef,
  Service: (object) => object.spec.clusterIP,
  Pod: (object) => object.spec.containers.map((each) => each.command),
};

async function store(path, object, name) {
  const before = objects.get(path);
  object.metadata.name ??= name;
  const wrong = await problems([object], { types: false });
  if (wrong.length > 0) return status(422, 'Invalid', wrong.join('\n'));
  const fixed = immutable[object.kind];
  if (before && fixed &&
      JSON.stringify(fixed(before)) !== JSON.stringify(fixed(object))) {
    return status(422, 'Invalid',
                  `${object.kind} ${object.metadata.name}: field is immutable`);
  }
  object.metadata.uid = before?.metadata.uid ?? `uid-${++version}`;
  object.metadata.creationTimestamp ??=
      before?.metadata.creationTimestamp ?? new Date().toISOString();
  object.metadata.resourceVersion = String(++version);
  if (object.kind === 'Pod') {
    object.status = { phase: 'Succeeded', containerStatuses: [] };
  }
  objects.set(path, object);
  tellAll(before ? 'MODIFIED' : 'ADDED', path, object);
  return [before ? 200 : 201, object];
}

// Whether an object is in the collection at a path, and selected.
function inCollection(collection, kind, query) {
  const namespaced = /\/namespaces\/[^/]+\/[^/]+$/.test(collection);
  const cut = collection.lastIndexOf('/');
  const prefix = namespaced ? `${collection}/` : collection.slice(0, cut);
  return (path, object) => object.kind === kind && path.startsWith(prefix) &&
      path.includes(`${collection.slice(cut)}/`) &&
      matches(object, query.get('labelSelector')) &&
      (query.get('fieldSelector') ?? '').split(',').filter(Boolean).every(
          (term) => term === `metadata.name=${object.metadata.name}`);
}

function below(path, kind, query) {
  const sees = inCollection(path, kind, query);
  const items = [...objects].filter(([at, object]) => sees(at, object))
      .map(([, object]) => object);
  return [200, { kind: `${kind}List`, apiVersion: items[0]?.apiVersion ?? 'v1',
                 metadata: { resourceVersion: String(version) }, items, sees }];
}

function watch(response, { kind, items, sees }, query) {
  response.writeHead(200, { 'content-type': 'application/json' });
  if (query.get('sendInitialEvents') === 'true') {
    for (const item of items) tell(response, 'ADDED', item);
    tell(response, 'BOOKMARK', {
      kind: kind.replace(/List$/, ''), apiVersion: 'v1',
      metadata: { resourceVersion: String(version),
                  annotations: { 'k8s.io/initial-events-end': 'true' } },
    });
  }
  response.flushHeaders();
  const watcher = { sees, response };
  watchers.add(watcher);
  response.on('close', () => watchers.delete(watcher));
}

// Just enough for clients to leave the checking of fields to the server.
function openapi(groupVersion) {
  const [version, group = ''] = groupVersion.split('/').reverse();
  const paths = Object.fromEntries(kinds[groupVersion].map((kind) => [
    `/${place(groupVersion)}/namespaces/{namespace}/${plural(kind)}/{name}`, {
      patch: {
        parameters: [{ name: 'fieldValidation', in: 'query' }],
        responses: {},
        'x-kubernetes-group-version-kind': { group, version, kind },
      },
    }]));
  return { openapi: '3.0.0', info: { title: 'Kubernetes', version: 'v1.35.0' },
           paths };
}

function place(groupVersion) {
  return groupVersion === 'v1' ? 'api/v1' : `apis/${groupVersion}`;
}

async function answer(request, path, query, body) {
  if (path === '/openapi/v3') {
    return [200, { paths: Object.fromEntries(Object.keys(kinds).map((each) => [
      place(each), { serverRelativeURL: `/openapi/v3/${place(each)}` }])) }];
  }
  const described = Object.keys(kinds).find(
      (each) => path === `/openapi/v3/${place(each)}`);
  if (described) return [200, openapi(described)];
  if (path === '/version') {
    return [200, { major: '1', minor: '35', gitVersion: 'v1.35.0' }];
  }
  if (path === '/api') {
    return [200, { kind: 'APIVersions', versions: ['v1'] }];
  }
  if (path === '/apis') {
    return [200, { kind: 'APIGroupList', apiVersion: 'v1', groups }];
  }
  const at = path.match(/^\/(?:api\/(v1)|apis\/([^/]+\/[^/]+))(\/.*)?$/);
  const groupVersion = at?.[1] ?? at?.[2];
  if (!(groupVersion in kinds)) return status(404, 'NotFound', path);
  if (!at[3]) return [200, list(groupVersion)];
  const words = at[3].split('/').slice(1);
  if (words[0] === 'namespaces' && words.length > 2) words.splice(0, 2);
  const [resource, name, sub] = words;
  const kind = kinds[groupVersion].find((each) => plural(each) === resource);
  if (!kind) return status(404, 'NotFound', `there is no ${resource}`);
  if (sub === 'log') return [200, ''];
  if (!name) {
    if (request.method === 'GET') return below(path, kind, query);
    if (request.method !== 'POST') return status(405, 'MethodNotAllowed', '');
    const object = decode(body);
    const where = `${path}/${object.metadata.name}`;
    if (objects.has(where)) {
      return status(409, 'AlreadyExists', `${object.metadata.name} exists`);
    }
    return store(where, { apiVersion: groupVersion, kind, ...object });
  }
  const found = objects.get(path);
  if (request.method === 'PATCH' &&
      request.headers['content-type'].includes('apply-patch')) {
    return store(path, decode(body), name);
  }
  if (!found) return status(404, 'NotFound', `${resource} "${name}" not found`);
  switch (request.method) {
    case 'GET': return [200, found];
    case 'PUT': return store(path, { apiVersion: groupVersion, kind,
                                     ...decode(body) }, name);
    case 'DELETE':
      objects.delete(path);
      tellAll('DELETED', path, found);
      return status(200, '', '');
    default:
      return status(405, 'MethodNotAllowed', `${request.method} ${path}`);
  }
}

const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const url = new URL(request.url, 'http://localhost');
  let code, object;
  try {
    [code, object] = await answer(request, url.pathname, url.searchParams,
                                  Buffer.concat(chunks));
  } catch (error) {
    [code, object] = status(500, 'InternalError', error.stack);
  }
  if (process.env.TRACE) {
    console.error(request.method, request.url, code, code < 400 ? '' : object);
  }
  if (url.searchParams.get('watch') && object.sees) {
    watch(response, object, url.searchParams);
    return;  // open, until the client has seen enough
  }
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(object));
});
// Watches stay open.
server.requestTimeout = 0;
server.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit());

// SPDX-License-Identifier: GPL-3.0-or-later
// The page of nfmeterd in Chromium, over the real server and kernel.
import assert from 'node:assert/strict';
import { spawn, execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';

import { Authority } from '../charts/support/certificates.mjs';

const require = createRequire(
    new URL('../../.cache/web/node_modules/', import.meta.url));
const { chromium } = require('playwright-core');

const bin = process.env.NFMETER_BIN;
const output = process.env.NFMETER_OUTPUT_FOLDER;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nfmeter-web-'));
const socket = `unix:${folder}/nfmeter.sock`;
const address = 'http://127.0.0.1:9478/';
let server;
let browser;
const complaints = [];

function nfmeter(input, ...words) {
  return execFileSync(`${bin}/nfmeter`, words, {
    input, encoding: 'utf8', env: { ...process.env, NFMETER_SERVER: socket } });
}

async function start(...flags) {
  const web = flags.includes('--web-listen') ? []
    : ['--web-listen', '127.0.0.1:9478'];
  server = spawn(`${bin}/nfmeterd`, ['--listen', socket, '--state-dir',
    `${folder}/state`, ...web, ...flags], {
    stdio: ['ignore', 'ignore', fs.openSync(`${folder}/log`, 'a')],
    env: { ...process.env, XTABLES_LOCKFILE: `${folder}/lock` } });
  for (let i = 0; ; ++i) {
    try {
      execFileSync(`${bin}/nfmeter`, ['--server', socket, 'health'],
                   { stdio: 'ignore' });
      return;
    } catch (error) {
      if (i > 600) throw new Error(fs.readFileSync(`${folder}/log`, 'utf8'));
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  }
}

async function stop() {
  const ended = new Promise((resolve) => { server.once('exit', resolve); });
  server.kill();
  await ended;
}

async function open(options = {}, url = address) {
  const context = await browser.newContext({
    viewport: { width: 1100, height: 800 }, ...options });
  const page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // The browser's own words about a server that is away.
    if (message.type() === 'error' &&
        !/Failed to load resource/.test(message.text())) {
      complaints.push(message.text());
    }
  });
  await page.goto(url);
  await page.waitForFunction(() =>
    document.getElementById('state').textContent === 'live');
  return page;
}

// One request as no browser makes it.
function request(options) {
  return new Promise((resolve, reject) => {
    http.request({ host: '127.0.0.1', port: 9478, ...options }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer));
    }).on('error', reject).end();
  });
}

// What a scrape shows is in the ledger before.
async function record(pattern) {
  for (let i = 0; i < 100; ++i) {
    const scrape = await fetch('http://127.0.0.1:9477/metrics');
    if (pattern.test(await scrape.text())) return;
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  throw new Error(`no scrape has ${pattern}`);
}

const names = (page) => page.locator('#rows button').allTextContents();

before(async () => {
  await start('--metrics-listen', '127.0.0.1:9477');
  nfmeter('', 'counter', 'create', 'web', '--label', 'tenant=acme',
          '--quota-bytes', '10KiB');
  nfmeter('', 'rule', 'add', '--counter', 'web', '--chain', 'OUTPUT', '-p',
          'udp', '--dport', '8080');
  nfmeter('', 'counter', 'create', 'resting');
  nfmeter('name: customers\naccounts: [{counter: dns, match: {protocol: udp, ' +
          'destination_ports: [53]}}]\n', 'apply', '-f', '-');
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
});

after(async () => {
  await browser?.close();
  await stop();
  fs.rmSync(folder, { recursive: true });
});

test('traffic is seen live, and a counter opens by keyboard', async () => {
  const sender = dgram.createSocket('udp4');
  sender.on('error', () => {});  // nobody listens there
  const sending = setInterval(
      () => sender.send(Buffer.alloc(500), 8080, '127.0.0.1', () => {}), 20);
  const page = await open();
  await page.waitForFunction(() =>
    /[1-9].*iB\/s/.test(document.querySelector('#rows')?.textContent));
  // Only what has traffic, until the box is checked.
  assert.deepEqual(await names(page), ['web']);
  await page.getByLabel('without traffic, too').check();
  assert.deepEqual(await names(page), ['web', 'dns', 'resting']);
  await page.getByText('over it').first().waitFor();
  await page.getByText('customers: in force').waitFor();

  await page.keyboard.press('Tab');
  await page.locator('#rows button').first().focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'web', exact: true }).waitFor();
  await page.waitForFunction(() => document.querySelector('#live canvas') &&
    document.querySelector('#history canvas'));
  assert.equal(await page.locator('#detail-labels').textContent(),
               'tenant=acme');
  await page.screenshot({ path: `${output}/light.png`, fullPage: true });
  await page.keyboard.press('Escape');
  assert.ok(await page.locator('#detail').isHidden());
  await page.keyboard.press('/');
  await page.keyboard.type('acme');
  assert.deepEqual(await names(page), ['web']);
  clearInterval(sending);
  sender.close();
  await page.context().close();
});

test('totals go on over resets, with a mark where something may be missing',
     async () => {
  const send = dgram.createSocket('udp4');
  send.on('error', () => {});
  nfmeter('', 'counter', 'create', 'kept', 'zeroed');
  for (const [name, port] of [['kept', 8081], ['zeroed', 8082]]) {
    nfmeter('', 'rule', 'add', '--counter', name, '--chain', 'OUTPUT', '-p',
            'udp', '--dport', String(port));
    await new Promise((resolve) => {
      send.send(Buffer.alloc(484), port, '127.0.0.1', resolve);
    });
  }
  send.close();
  nfmeter('', 'counter', 'reset', 'kept');
  const page = await open();
  await page.getByLabel('without traffic, too').check();
  // Packets and bytes since the reset, and the total.
  await page.locator('#rows tr', { hasText: /^kept.*\/s00 B512 B$/ }).waitFor();
  // By somebody else: what came since the reading before is not known.
  await record(/counter_bytes_total{counter="zeroed"} 512/);
  execFileSync('nfacct', ['get', 'zeroed', 'reset']);
  await record(/nfmeter_foreign_resets_total [1-9]/);
  await page.locator('#rows tr', { hasText: /^zeroed.*≥ 512 B$/ }).waitFor();
  await page.locator('#rows button', { hasText: 'zeroed' }).click();
  await page.getByText('at least: something may be missing from before')
      .waitFor();
  await page.getByText('foreign reset').waitFor();
  assert.match(await page.locator('#detail-total').textContent(),
               /^≥ 512 B in 1 packet, at least: something may be missing/);
  await page.screenshot({ path: `${output}/total.png`, fullPage: true });
  await page.context().close();
  nfmeter('', 'counter', 'delete', 'kept', 'zeroed', '--with-rules');
});

test('dark, and on a telephone', async () => {
  const dark = await open({ colorScheme: 'dark' });
  assert.equal(await dark.evaluate(
      () => getComputedStyle(document.body).backgroundColor), 'rgb(13, 17, 23)');
  await dark.getByLabel('without traffic, too').check();
  await dark.locator('#rows button', { hasText: 'web' }).click();
  await dark.waitForFunction(() => document.querySelector('#history canvas'));
  await dark.screenshot({ path: `${output}/dark.png`, fullPage: true });
  await dark.context().close();
  const phone = await open({ viewport: { width: 375, height: 740 } });
  await phone.getByLabel('without traffic, too').check();
  await phone.screenshot({ path: `${output}/phone.png`, fullPage: true });
  assert.ok(await phone.evaluate(() =>
    document.documentElement.scrollWidth <= window.innerWidth));
  await phone.context().close();
});

test('everything has a name for those who hear the page', async () => {
  const page = await open();
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll('input, select, button, progress')]
        .filter((each) => !each.labels?.length && !each.textContent.trim() &&
          !each.getAttribute('aria-label')).map((each) => each.outerHTML));
  assert.deepEqual(nameless, []);
  assert.equal(await page.locator('#state').getAttribute('aria-live'), 'polite');
  // Each number's heading leads to what it means.
  for (const link of await page.locator('a[href^="#means-"]').all()) {
    const target = await link.getAttribute('href');
    assert.equal(await page.locator(target).count(), 1, target);
  }
  await page.context().close();
});

test('the server goes, and comes back', async () => {
  const page = await open();
  await stop();
  await page.getByText('no answer').waitFor();
  await start();
  await page.waitForFunction(() =>
    document.getElementById('state').textContent === 'live');
  await page.context().close();
});

test('10,000 counters scroll as ten', async () => {
  const lines = Array.from({ length: 10000 }, (_, i) =>
    `many-${String(i).padStart(5, '0')}`);
  nfmeter(`${lines.join('\n')}\n`, 'counter', 'create', '-');
  const page = await open();
  await page.getByLabel('without traffic, too').check();
  await page.getByLabel('Sort by').selectOption('name');
  await page.getByText('10003 of 10003').waitFor();
  // The median, as others may have the processors for a moment.
  const step = await page.evaluate(async () => {
    const scroller = document.getElementById('scroller');
    const frame = () => new Promise(requestAnimationFrame);
    const took = [];
    for (let i = 0; i < 60; ++i) {
      const begin = performance.now();
      scroller.scrollTop += 5000;
      scroller.dispatchEvent(new Event('scroll'));
      took.push(performance.now() - begin);
      await frame();
    }
    return took.sort((a, b) => a - b)[30];
  });
  const rows = await page.locator('#rows tr').count();
  console.log(`10,000 counters: ${rows} rows in the document, a step of ` +
    `scrolling took ${step.toFixed(1)} ms`);
  assert.ok(rows < 100, `${rows} rows`);
  assert.ok(step < 16, `${step} ms`);
  await page.getByLabel('Filter').fill('09999');
  assert.deepEqual(await names(page), ['many-09999']);
  await page.context().close();
  nfmeter('', 'counter', 'delete', 'many-*', '--managed');
});

test('nobody else’s page reads it, and nothing can be written', async () => {
  const mine = await request({ path: '/' });
  assert.match(mine.headers['content-security-policy'], /default-src 'none'/);
  assert.equal(mine.headers['x-content-type-options'], 'nosniff');
  const rebound = await request({ path: '/api/node',
                                  headers: { Host: 'evil.example' } });
  assert.equal(rebound.statusCode, 421);
  const foreign = await request({
    path: '/api/node', headers: { 'Sec-Fetch-Site': 'cross-site' } });
  assert.equal(foreign.statusCode, 403);
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    assert.equal((await request({ path: '/api/node', method })).statusCode, 405);
  }
  assert.equal((await request({ path: '/api/../etc/passwd' })).statusCode, 404);
});

test('it shows what the policy grants to web', async () => {
  await stop();
  fs.writeFileSync(`${folder}/policy.yaml`, `version: 1
rules:
  - {name: page, principals: [web], role: viewer, counter_prefixes: [rest]}
  - {name: all, principals: ['socket:*'], role: admin}
`);
  await start('--policy', `${folder}/policy.yaml`, '--web-role', 'none');
  const page = await open();
  await page.getByLabel('without traffic, too').check();
  await page.getByText('1 of 1 counters').waitFor();
  assert.deepEqual(await names(page), ['resting']);
  await page.context().close();
});

test('over mutual TLS a person sees what the policy grants', async () => {
  await stop();
  const authority = new Authority('people');
  const write = (name, text) => {
    fs.writeFileSync(`${folder}/${name}`, text);
    return `${folder}/${name}`;
  };
  const issue = (name, alternative) => {
    const files = authority.issue(alternative);
    return { certPath: write(`${name}.crt`, files['tls.crt']),
             keyPath: write(`${name}.key`, files['tls.key']) };
  };
  const own = issue('node', 'DNS:localhost');
  const anna = issue('anna', 'URI:spiffe://example.org/a/anna');
  await start('--web-listen', '0.0.0.0:9478', '--policy',
    write('policy.yaml', `version: 1
rules:
  - {name: a, principals: ['spiffe://example.org/a/*'], role: viewer,
     counter_prefixes: [we]}
`), '--tls-certificate', own.certPath, '--tls-key', own.keyPath,
    '--tls-client-ca', write('people.crt', authority.certificate));
  const url = 'https://localhost:9478/';
  const page = await open({ ignoreHTTPSErrors: true, clientCertificates: [
    { origin: 'https://localhost:9478', ...anna }] }, url);
  await page.getByLabel('without traffic, too').check();
  await page.getByText('1 of 1 counters').waitFor();
  assert.deepEqual(await names(page), ['web']);
  await page.locator('#node').getByText('spiffe://example.org/a/anna').waitFor();
  await page.context().close();
  // A browser without a certificate does not even get the page.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  await assert.rejects((await context.newPage()).goto(url));
  await context.close();
});

test('the browser complained of nothing', () => {
  assert.deepEqual(complaints, []);
});

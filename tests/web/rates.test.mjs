// SPDX-License-Identifier: GPL-3.0-or-later
// The page's arithmetic: rates over resets and restarts, order, units.
import assert from 'node:assert/strict';
import test from 'node:test';

import { bytes, choose, count, history, rate, readSnapshot, span, total }
  from '../../server/web/page/rates.js';

const reading = (boottime, counters, epoch = '1') => ({
  epoch, boottime, time: boottime, complete: true,
  counters: counters.map(([name, packets, size, labels = {}]) =>
    [name, packets, size, packets, size, 0, 0, '', false, labels]),
});

test('a rate is by the kernel’s clock, and after a reset by what came since', () => {
  const before = readSnapshot(reading(10, [['a', 5, 500], ['b', 9, 900]]));
  assert.equal(before.counters.get('a').byteRate, null);
  const now = readSnapshot(reading(12, [['a', 9, 1500], ['b', 2, 200]]), before);
  assert.equal(now.counters.get('a').packetRate, 2);
  assert.equal(now.counters.get('a').byteRate, 500);
  assert.equal(now.counters.get('b').byteRate, 100);
});

test('after a restart of the server there is nothing to compare with', () => {
  const before = readSnapshot(reading(10, [['a', 5, 500]]));
  const now = readSnapshot(reading(12, [['a', 9, 1500]], '2'), before);
  assert.equal(now.counters.get('a').byteRate, null);
});

test('the filter finds names and labels; idle ones are left out', () => {
  const before = readSnapshot(reading(10, [
    ['web', 0, 0, { tenant: 'Acme' }], ['mail', 0, 0], ['rest', 1, 1]]));
  const { counters } = readSnapshot(reading(11, [
    ['web', 1, 10, { tenant: 'Acme' }], ['mail', 2, 20], ['rest', 1, 1]]), before);
  const names = (settings) => choose(counters, {
    filter: '', sort: 'byteRate', idle: false, ...settings })
    .map((each) => each.name);
  assert.deepEqual(names({}), ['mail', 'web']);
  assert.deepEqual(names({ idle: true, sort: 'name' }), ['mail', 'rest', 'web']);
  assert.deepEqual(names({ filter: 'tenant=acme' }), ['web']);
});

test('a total has a mark where something may be missing', () => {
  const known = { totalBytes: 1536, sureSince: 0 };
  assert.equal(total(known), '1.50 KiB');
  assert.equal(total({ ...known, sureSince: 1795957147 }), '≥ 1.50 KiB');
});

test('a chart is of a minute at least', () => {
  assert.deepEqual(span([1000]), [940, 1000]);
  assert.deepEqual(span([1000, 5000]), [1000, 5000]);
  assert.deepEqual(span([]), [null, null]);
});

test('units', () => {
  assert.equal(bytes(812), '812 B');
  assert.equal(bytes(1536), '1.50 KiB');
  assert.equal(count(123456), '123k');
  assert.equal(rate(1024 * 1024, false), '1.00 MiB/s');
  assert.equal(rate(125000, true), '1.00 Mbit/s');
});

test('a history is at 0 where nothing was counted, and until now', () => {
  const time = (at) => new Date(at * 1000).toISOString();
  const row = (start, end, size) => (
    { start_time: time(start), end_time: time(end), bytes: `${size}` });
  const at = (when, [times, values]) =>
    values[times.findLastIndex((each) => each <= when)];
  const seen = history([row(900, 1200, 3000), row(1800, 2100, 600)], 1000, 3600);
  assert.deepEqual(seen[0], [...seen[0]].sort((a, b) => a - b));
  assert.deepEqual([1100, 1500, 2000, 3000, 3600].map((when) => at(when, seen)),
    [10, 0, 2, 0, 0]);
  // The five minutes that are not over are at their rate so far.
  assert.equal(at(3600, history([row(3300, 3900, 3000)], 1000, 3600)), 10);
  assert.deepEqual(history([], 1000, 3600)[1].slice(1), [0, 0, 0]);
});

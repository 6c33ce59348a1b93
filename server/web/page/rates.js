// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers: rates between two readings, and texts of them.

const COUNTS = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

function short(value, step, units) {
  let power = 0;
  while (value >= step && power < units.length - 1) {
    value /= step;
    power += 1;
  }
  const digits = value >= 100 || power === 0 ? 0 : value >= 10 ? 1 : 2;
  return [value.toFixed(digits), units[power]];
}

export function count(value) {
  return short(value, 1000, COUNTS).join('');
}

export function bytes(value) {
  return short(value, 1024, BYTES).join(' ');
}

// A total, with a mark where something may be missing in it.
export function total({ totalBytes, sureSince }) {
  return `${sureSince ? '≥ ' : ''}${bytes(totalBytes)}`;
}

export function rate(bytesPerSecond, asBits) {
  if (!asBits) return `${bytes(bytesPerSecond)}/s`;
  const [number, unit] = short(bytesPerSecond * 8, 1000, COUNTS);
  return `${number} ${unit}bit/s`;
}

function counted(now, before) {
  return now >= before ? now - before : now;
}

// The counters of a snapshot as objects, with their rates since `before`, a Map
// of what this returned last. Null rates: there is nothing to compare with.
export function readSnapshot(snapshot, before) {
  const elapsed = before ? snapshot.boottime - before.boottime : 0;
  const known = before && elapsed > 0 && before.epoch === snapshot.epoch;
  const counters = new Map();
  for (const [name, packets, size, totalPackets, totalBytes, sureSince, limit,
    unit, exceeded, labels] of snapshot.counters) {
    const old = known ? before.counters.get(name) : undefined;
    counters.set(name, {
      name, packets, bytes: size, totalPackets, totalBytes, sureSince, limit,
      unit, exceeded, labels,
      packetRate: old ? counted(packets, old.packets) / elapsed : null,
      byteRate: old ? counted(size, old.bytes) / elapsed : null,
    });
  }
  return { epoch: snapshot.epoch, boottime: snapshot.boottime,
           time: snapshot.time, complete: snapshot.complete, counters };
}

export const seconds = (text) => Date.parse(text) / 1000;

// A chart's times and rates of what was counted, from rows of usage. Of a time
// in which nothing was counted there is no row.
export function history(rows, from, to) {
  const times = [from];
  const values = [null];
  const idleUntil = (time) => {
    if (times.at(-1) >= time - 2) return;
    times.push(times.at(-1) + 1, time - 1);
    values.push(0, 0);
  };
  for (const each of rows) {
    const start = seconds(each.start_time);
    const end = Math.min(seconds(each.end_time), to);
    if (end <= from) continue;
    idleUntil(start);
    // The first one may have begun before.
    times.push(Math.max(start, from), end);
    const value = Number(each.bytes) / Math.max(1, end - start);
    values.push(value, value);
  }
  idleUntil(to);
  times.push(to);
  values.push(values.at(-1) ?? 0);
  return [times, values];
}

// From when to when a chart of these times is: a minute at least. (uPlot itself
// gives years to a single point.)
export function span(times) {
  if (!times.length) return [null, null];
  const last = times.at(-1);
  return [Math.min(times[0], last - 60), last];
}

// Those to show, in their order.
export function choose(counters, { filter, sort, idle }) {
  const wanted = filter.trim().toLowerCase();
  const chosen = [];
  for (const counter of counters.values()) {
    if (!idle && counter.packetRate === 0) continue;
    if (wanted && !counter.name.toLowerCase().includes(wanted) &&
        !Object.entries(counter.labels).some(([key, value]) =>
          `${key}=${value}`.toLowerCase().includes(wanted))) continue;
    chosen.push(counter);
  }
  const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  chosen.sort(sort === 'name' ? byName
    : (a, b) => (b[sort] ?? 0) - (a[sort] ?? 0) || byName(a, b));
  return chosen;
}

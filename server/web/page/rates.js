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

// SPDX-License-Identifier: GPL-3.0-or-later
// The page: asks the server now and then, and shows what it says. Rows that are
// out of sight are not in the document, so that 10,000 counters scroll as ten.
import { bytes, choose, count, history, rate, readSnapshot, seconds, span, total }
  from './rates.js';

const PERIOD = 2000;
const SLOW_PERIOD = 15000;
const ROW = 34;           // as page.css has it
const MARGIN = 8;         // rows above and below what is seen
const LIVE_POINTS = 150;

const at = (id) => document.getElementById(id);
const state = {
  seen: null,             // what readSnapshot() returned
  chosen: [],
  open: null,             // the name of the counter in the detail
  live: [[], []],
  charts: {},
};

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  return made;
}

function replace(id, items, empty) {
  at(id).replaceChildren(...(items.length ? items : [element('li', empty)]));
}

async function ask(path) {
  const answer = await fetch(`/api/${path}`, { cache: 'no-store' });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.message ?? `HTTP ${answer.status}`);
  return body;
}

function say(text, gone = false) {
  const line = at('state');
  line.classList.toggle('gone', gone);
  // A screen reader repeats what changes: only what is new is written.
  if (line.textContent !== text) line.textContent = text;
}

// --- the table

function settings() {
  return { filter: at('filter').value, sort: at('sort').value,
           idle: at('idle').checked };
}

function quotaCell(counter) {
  const cell = element('td');
  if (!counter.limit) return cell;
  const used = counter.unit === 'packets' ? counter.packets : counter.bytes;
  cell.append(element('progress', undefined, {
    max: counter.limit, value: Math.min(used, counter.limit),
    'aria-label': `${counter.name}: part of its quota` }));
  const text = ` ${Math.floor(100 * used / counter.limit)} %`;
  cell.append(counter.exceeded ? element('span', `${text}, over it`,
    { class: 'over' }) : text);
  return cell;
}

function totalCell(counter) {
  const cell = element('td', total(counter), { class: 'number' });
  if (counter.sureSince) {
    cell.title = `at least; something may be missing, see ${counter.name}`;
  }
  return cell;
}

function row(counter, asBits) {
  const line = element('tr');
  const name = element('td');
  const button = element('button', counter.name, { type: 'button' });
  button.dataset.counter = counter.name;
  name.append(button);
  const number = (text) => element('td', text, { class: 'number' });
  line.append(name,
    number(counter.byteRate === null ? '' : rate(counter.byteRate, asBits)),
    number(count(counter.packets)), number(bytes(counter.bytes)),
    totalCell(counter), quotaCell(counter));
  return line;
}

// A row as high as all that it stands for.
function space(id, rows) {
  const line = element('tr');
  line.style.height = `${rows * ROW}px`;
  line.setAttribute('aria-hidden', 'true');
  at(id).replaceChildren(...(rows > 0 ? [line] : []));
}

function showRows() {
  const scroller = at('scroller');
  const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - MARGIN);
  const last = Math.min(state.chosen.length, first + 2 * MARGIN +
    Math.ceil(scroller.clientHeight / ROW));
  const focused = document.activeElement?.dataset?.counter;
  const asBits = at('bits').checked;
  space('above', first);
  at('rows').replaceChildren(...state.chosen.slice(first, last)
    .map((counter) => row(counter, asBits)));
  space('below', state.chosen.length - last);
  at('table').setAttribute('aria-rowcount', state.chosen.length + 1);
  if (focused) {
    at('rows').querySelector(`[data-counter="${CSS.escape(focused)}"]`)?.focus();
  }
}

function showCounters() {
  if (!state.seen) return;
  const all = state.seen.counters;
  state.chosen = choose(all, settings());
  let sum = 0;
  for (const counter of state.chosen) sum += counter.byteRate ?? 0;
  at('summary').textContent = all.size === 0
    ? 'There are no counters yet: nfmeter counter create NAME makes one.'
    : `${state.chosen.length} of ${all.size} counters, ${
      rate(sum, at('bits').checked)} together${
      state.seen.complete ? '' : '; this reading may lack some'}`;
  showRows();
  replace('quotas', [...all.values()].filter((each) => each.limit)
    .sort((a, b) => Number(b.exceeded) - Number(a.exceeded))
    .slice(0, 50).map((each) => {
      const item = element('li', `${each.name}: `);
      item.append(...quotaCell(each).childNodes);
      return item;
    }), 'No counter has a quota.');
}

// --- the detail of a counter

function chart(where, data, bands) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  state.charts[where]?.destroy();
  at(where).replaceChildren();
  const axis = { stroke: color('--faint'), grid: { stroke: color('--line') } };
  state.charts[where] = new uPlot({
    width: at(where).clientWidth || 300, height: 220,
    scales: {
      x: { range: (u) => span(u.data[0]) },
      y: { range: (u, low, high) => [0, high > 0 ? high * 1.05 : 1024] },
    },
    axes: [axis, { ...axis, size: 90, values: (u, values) =>
      values.map((each) => rate(each, at('bits').checked)) }],
    series: [{}, { label: 'rate', stroke: color('--accent'), width: 2,
      fill: `${color('--accent')}33`, points: { show: data[0].length < 3 },
      value: (u, v) => (v === null ? '' : rate(v, at('bits').checked)) }],
    hooks: { drawClear: [(u) => drawBands(u, bands, color('--band'))] },
  }, data, at(where));
}

// Times in which something may be missing.
function drawBands(u, bands, color) {
  u.ctx.save();
  u.ctx.fillStyle = color;
  for (const [from, to] of bands) {
    const left = u.valToPos(from, 'x', true);
    const width = Math.max(3, u.valToPos(to, 'x', true) - left);
    u.ctx.fillRect(left, u.bbox.top, width, u.bbox.height);
  }
  u.ctx.restore();
}

// Terms and what they are, as children of a <dl>.
function facts(pairs) {
  return pairs.flatMap(([key, value]) =>
    [element('dt', key), element('dd', value)]);
}

function showTotal(counter) {
  const text = `${total(counter)} in ${
    counter.totalPackets.toLocaleString()} packet${
    counter.totalPackets === 1 ? '' : 's'}`;
  at('detail-total').textContent = counter.sureSince
    ? `${text}, at least: something may be missing from before ${
      when(counter.sureSince)}` : text;
}

function addLivePoint() {
  const counter = state.open && state.seen.counters.get(state.open);
  if (counter) showTotal(counter);
  if (!counter || counter.byteRate === null) return;
  const [times, values] = state.live;
  if (times.at(-1) === state.seen.time) return;
  times.push(state.seen.time);
  values.push(counter.byteRate);
  if (times.length > LIVE_POINTS) {
    times.shift();
    values.shift();
  }
  at('live').setAttribute('aria-label',
    `Rate of ${counter.name} now: ${rate(counter.byteRate, at('bits').checked)}`);
  if (state.charts.live) state.charts.live.setData(state.live);
  else chart('live', state.live, []);
}

const when = (time) => new Date(time * 1000).toLocaleString();

async function showHistory() {
  const name = state.open;
  if (!name) return;
  const hours = Number(at('span').value);
  const query = `counter=${encodeURIComponent(name)}&hours=${hours}`;
  let usage;
  let gaps;
  try {
    [usage, gaps] = await Promise.all([ask(`usage?${query}`), ask(`gaps?${query}`)]);
  } catch (error) {
    at('history-text').textContent = error.message;
    return;
  }
  if (state.open !== name) return;
  const to = Date.now() / 1000;
  const bands = (gaps.gaps ?? []).map((each) =>
    [seconds(each.start_time), seconds(each.end_time)]);
  chart('history', history(usage.rows ?? [], to - hours * 3600, to), bands);
  let sum = 0;
  for (const each of usage.rows ?? []) sum += Number(each.bytes);
  const text = `${bytes(sum)} in this time`;
  at('history').setAttribute('aria-label', `History of ${name}: ${text}`);
  at('history-text').textContent = text;
  replace('gaps', (gaps.gaps ?? []).map((each) => element('li',
    `${when(seconds(each.start_time))} to ${when(seconds(each.end_time))}: ${
      each.cause.replace('USAGE_GAP_CAUSE_', '').replaceAll('_', ' ')
        .toLowerCase()}`)), 'None: nothing is missing.');
}

function openDetail(name) {
  state.open = name;
  state.live = [[], []];
  state.charts.live?.destroy();
  delete state.charts.live;
  const counter = state.seen.counters.get(name);
  at('detail').hidden = false;
  at('detail-heading').textContent = name;
  at('detail-labels').textContent = Object.entries(counter?.labels ?? {})
    .map(([key, value]) => `${key}=${value}`).join(', ');
  at('detail-total').textContent = '';
  at('detail-heading').focus();
  addLivePoint();
  showHistory();
}

function closeDetail() {
  const name = state.open;
  state.open = null;
  at('detail').hidden = true;
  const button = name && at('rows').querySelector(
    `[data-counter="${CSS.escape(name)}"]`);
  (button || at('scroller')).focus();
}

// --- node and plans

async function showNode() {
  const node = await ask('node');
  at('host').textContent = `on ${node.hostname}`;
  document.title = `nfmeter on ${node.hostname}`;
  at('notices').hidden = !node.notices.length;
  replace('notice-list', node.notices.map((each) => element('li', each)), '');
  at('node').replaceChildren(...facts([['Server', `nfmeterd ${node.version}`],
    ['Kernel', node.kernel_release],
    ['Since', new Date(node.start_time).toLocaleString()],
    ['Counters', String(node.counter_count)],
    ['You', node.caller.principal],
    ['Changes', node.read_only ? 'refused' : 'allowed, but not from this page']]));
}

const PLAN_STATES = {
  STATE_IN_SYNC: 'in force',
  STATE_DRIFTED: 'not in force, a repair comes',
  STATE_FOUGHT: 'not in force, as others undo each repair',
  STATE_FAILED: 'not in force',
  STATE_APPLYING: 'being applied',
};

function planItem(plan) {
  const fine = ['STATE_IN_SYNC', 'STATE_APPLYING'].includes(plan.state);
  const item = element('li', `${plan.name}: `);
  item.append(element('span', PLAN_STATES[plan.state] ?? plan.state,
    { class: fine ? '' : 'over' }));
  const repairs = Number(plan.repairs);
  if (repairs > 0) {
    item.append(`, repaired ${repairs === 1 ? 'once' : `${repairs} times`}${
      plan.repair_time ? `, last ${when(seconds(plan.repair_time))}` : ''}`);
  }
  if (plan.message) item.append(`. ${plan.message}`);
  return item;
}

async function showPlans() {
  const { plans } = await ask('plans');
  replace('plans', plans.map(planItem), 'There are no plans.');
}

// --- what happens when

async function tick() {
  try {
    const snapshot = await ask('snapshot');
    state.seen = readSnapshot(snapshot, state.seen);
    say('live');
    showCounters();
    addLivePoint();
  } catch (error) {
    say(`no answer: ${error.message}. What stands here is from ${
      state.seen ? when(state.seen.time) : 'nobody yet'}; trying again.`, true);
  }
  setTimeout(tick, PERIOD);
}

async function slowTick() {
  for (const [show, where] of [[showNode, 'node'], [showPlans, 'plans']]) {
    try {
      await show();
    } catch (error) {
      if (!at(where).childElementCount) {
        at(where).replaceChildren(element('dd', error.message));
      }
    }
  }
  showHistory();
  setTimeout(slowTick, SLOW_PERIOD);
}

at('controls').addEventListener('submit', (event) => event.preventDefault());
at('controls').addEventListener('input', () => {
  at('scroller').scrollTop = 0;
  showCounters();
});
at('scroller').addEventListener('scroll', showRows, { passive: true });
at('rows').addEventListener('click', (event) => {
  const name = event.target.dataset.counter;
  if (name !== undefined) openDetail(name);
});
at('close').addEventListener('click', closeDetail);
at('span').addEventListener('change', showHistory);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && state.open) closeDetail();
  if (event.key === '/' && !['INPUT', 'SELECT'].includes(event.target.tagName)) {
    event.preventDefault();
    at('filter').focus();
  }
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  if (state.open) {
    chart('live', state.live, []);
    showHistory();
  }
});
addEventListener('resize', () => {
  for (const [where, each] of Object.entries(state.charts)) {
    each.setSize({ width: at(where).clientWidth || 300, height: 220 });
  }
});

tick();
slowTick();

// The page of one daemon. It asks /status, /peers and /history, and again at once when /events says that something
// happened:
// what stands here is never a guess. Without an answer nothing is claimed any more.
'use strict';

const AGAIN = 2000;          // how often it asks without being told to, in milliseconds
const SILENT = 12000;        // a stream has a beat every 5 s: without any for so long it is dead
const OLD = 5000;            // without an answer for so long nothing is believed
const SAMPLES = 60;          // of a check's latency
const TOLD = ['started', 'stopped', 'transition', 'master_heard', 'dual_master_seen', 'priority', 'check', 'hook',
  'order', 'claim', 'refused', 'reloaded', 'repaired', 'swept', 'trouble', 'lost', 'dns_written', 'dns_ordered',
  'lease', 'lease_late', 'damped'];

const $ = (id) => document.getElementById(id);
let token = sessionStorage.getItem('token') || '';
let named = 'Locum';         // as the title has it
let answered = 0;            // when the last answer came, by performance.now()
let clustered = 0;           // when the other nodes were last told of
let rivals = false;          // whether two of them are Master of the same
const latencies = new Map();
const states = new Map();

// ---- words ----

function span(ms) {
  if (ms < 10000) return (ms / 1000).toFixed(1) + ' s';
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return seconds + ' s';
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return minutes + ' min';
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? hours + ' h' : Math.floor(hours / 24) + ' d';
}

const plural = (count, word) => count + ' ' + word + (count === 1 ? '' : 's');

function told(it) {
  switch (it.event) {
    case 'transition':
      return `${it.from} → ${it.to}: ${it.why}` + (it.silent_ms ? `, silent for ${span(it.silent_ms)}` : '');
    case 'master_heard': return `${it.source} is Master, priority ${it.priority}`;
    case 'dual_master_seen': return `another holder: ${it.source || it.mac || 'unknown'}`;
    case 'priority': return `priority ${it.from} → ${it.to}`;
    case 'check':
      return `check ${it.check} ${it.to}` + (it.error ? `: ${it.error}` : '') + `, after ${span(it.after_ms)}`;
    case 'hook': return `hook ${it.script}: ${it.ended}, in ${span(it.took_ms)}`;
    case 'order': return `${it.order} ordered by ${it.by ? it.by.user || 'uid ' + it.by.uid : 'a signal'}`;
    case 'claim': return it.term === null ? `the claim to ${it.office} is over` : `the claim to ${it.office}, term ${it.term}`;
    case 'lease':
      return it.lease_ms === null ? `${it.family} leased no more` : `${it.family} leased for ${span(it.lease_ms)}`;
    case 'damped': return `takes nothing back for ${span(it.for_ms)}: ` + (it.failures ? `it failed ${it.failures} times` : 'the Master has only just come');
    case 'lease_late': return `leases of ${span(it.lease_ms)} not renewed for ${span(it.after_ms)}`;
    case 'refused': return `${it.order} refused: ${it.lines.join('; ')}`;
    case 'reloaded': return `read again: ${it.lines.join('; ')}`;
    case 'repaired': return `${it.what} was removed by something else, and put back`;
    case 'swept': return `${it.what} was left by an earlier run, and removed`;
    case 'dns_written': return `${it.name} holds ${it.now}`;
    case 'dns_ordered': return `${it.address} ordered by ${it.by ? it.by.user || 'uid ' + it.by.uid : 'a signal'}`;
    case 'trouble': return it.text;
    case 'started': return `the daemon started, version ${it.version}`;
    case 'stopped': return 'the daemon stopped';
    default: return it.event;
  }
}

// ---- the document: changed only where it says something else, so that focus and reading places stay ----

function make(tag, name, ...inner) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...inner);
  return element;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function badge(element, word, name) {
  say(element, word);
  element.className = 'badge ' + (name || word);
}

// One element for each item, known by its key, in the order of the items.
function each(parent, items, key, create, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, at) => {
    const name = String(key(item));
    let child = old.get(name);
    old.delete(name);
    if (!child) {
      child = create(item);
      child.dataset.key = name;
    }
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] || null);
    update(child, item);
  });
  for (const child of old.values()) child.remove();
}

function facts(list, pairs) {
  const shown = pairs.filter((pair) => pair[1]);
  const flat = shown.flatMap(([name, text], at) => [['dt', name, shown[at][0]], ['dd', text, shown[at][0]]]);
  each(list, flat, ([tag, , name]) => tag + name, ([tag]) => make(tag), (child, [, text]) => say(child, text));
}

// ---- routers ----

function createRouter(router) {
  const heading = make('h3', '', make('span', 'name', router.name), make('strong', 'badge'));
  const card = make('article', 'card', heading, make('p', 'why'), make('p', 'next'), make('dl'));
  card.setAttribute('aria-label', router.name);
  return card;
}

function updateRouter(card, router) {
  const before = states.get(router.name);
  states.set(router.name, router.state);
  badge(card.querySelector('.badge'), router.state);
  say(card.querySelector('.why'), `for ${span(router.since_ms)}${router.drained ? ', handed over' : ''}: ${router.why}`);
  const next = card.querySelector('.next');
  next.dataset.waits = router.waits_for;
  next.dataset.due = router.waits_ms === null ? '' : answered + router.waits_ms;
  facts(card.querySelector('dl'), [
    ['Group', router.group],
    ['Interface', `${router.interface || 'none'}, VRID ${router.vrid}, version ${router.version}`],
    ['Priority', `${router.priority.effective} of ${router.priority.base}`],
    ['Claim', router.claim === 'none' ? '' : router.claim],
    ['Addresses', router.addresses.map((it) => `${it.address}/${it.prefix} ${it.held ? 'held' : 'not held'}`).join(', ')],
    ...router.instances.flatMap((it) => [
      [`Master (${it.family})`, it.master === null ? 'none heard' : it.master + (it.master === it.source ? ' (this host)' : '')],
      ...it.peers.map((peer) => [`Peer ${peer.address}`, told_of(peer)]),
    ]),
  ]);
  if (before && before !== router.state) say($('news'), `${router.name} is ${router.state}: ${router.why}`);
}

function told_of(peer) {
  const parts = [peer.heard_ms === null ? 'never heard' : `heard ${span(peer.heard_ms)} ago`];
  if (peer.priority !== null) parts.push(peer.priority === 0 ? 'said farewell' : `priority ${peer.priority}`);
  return parts.concat(peer.remarks).join(', ');
}

// Deadlines go on between two answers.
function tick() {
  const now = performance.now();
  for (const next of document.querySelectorAll('.next')) {
    const { waits, due } = next.dataset;
    say(next, !waits ? '' : due ? `next: ${waits} in ${(Math.max(0, due - now) / 1000).toFixed(1)} s` : `next: ${waits}`);
  }
  const age = now - answered;
  if (answered && age > OLD) {
    badge($('health'), 'NO ANSWER', 'fault');
    say($('link'), `the daemon has not answered for ${span(age)}; what it said is not shown any more`);
    $('main').hidden = true;
  }
  if (clustered && now - clustered > OLD) {
    clustered = 0;
    each($('nodes'), [], String);
    say($('unasked'), 'How the other nodes stand is not known at present.');
    alarm([]);
  }
}

function title() {
  document.title = (rivals ? 'TWO MASTERS – ' : '') + named;
}

// ---- checks ----

function createCheck(check) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.classList.add('spark');
  svg.setAttribute('viewBox', '0 0 100 20');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.append(document.createElementNS('http://www.w3.org/2000/svg', 'polyline'));
  const text = make('span', 'text grow');
  return make('li', '', make('div', 'row', make('strong', '', check.name), make('strong', 'badge'), text, svg));
}

function updateCheck(row, check) {
  const { name, state, latency_ms: latency, results } = check;
  badge(row.querySelector('.badge'), state);
  const took = latency === null ? '' : `, ${latency.toFixed(1)} ms`;
  say(row.querySelector('.text'), `for ${span(check.since_ms)}${took}${check.error ? ': ' + check.error : ''}`);
  const known = latencies.get(name) || { count: -1, list: [] };
  const count = results.passed + results.failed;
  if (latency !== null && count !== known.count) {
    known.list = known.list.concat(latency).slice(-SAMPLES);
    known.count = count;
    latencies.set(name, known);
  }
  const most = Math.max(1e-3, ...known.list);
  const step = 100 / Math.max(1, known.list.length - 1);
  const points = known.list.map((it, at) => `${(step * at).toFixed(1)},${(19 - 18 * it / most).toFixed(1)}`);
  const svg = row.querySelector('svg');
  svg.firstChild.setAttribute('points', points.join(' '));
  svg.setAttribute('aria-label', `latency of the last ${plural(known.list.length, 'look')}, ${most.toFixed(1)} ms at most`);
}

// ---- the cluster ----

function createNode() {
  const text = make('span', 'text grow');
  return make('li', '', make('div', 'row', make('strong', 'name'), make('strong', 'badge'), text), make('ul', 'plain'));
}

function updateNode(row, node) {
  const where = node.peer || 'this host';
  say(row.querySelector('.name'), node.node || where);
  badge(row.querySelector('.badge'), node.error ? 'NO ANSWER' : node.health.toUpperCase(), node.error ? 'fault' : node.health);
  const heard = node.heard_ms === null ? 'never heard' : `last heard ${span(node.heard_ms)} ago`;
  say(row.querySelector('.text'), node.error ? `${where}: ${node.error}; ${heard}` : `${where}, ${span(node.age_ms)} ago`);
  each(row.querySelector('ul'), node.routers, (it) => it.name,
    () => make('li', 'row', make('strong', 'badge'), make('span', 'grow')),
    (item, it) => {
      badge(item.querySelector('.badge'), it.state);
      const more = `${it.drained ? ', handed over' : ''}, priority ${it.priority}: ${it.why}`;
      say(item.querySelector('.grow'), `${it.name} for ${span(it.since_ms)}${more}`);
    });
}

function showCluster({ nodes, rivals }) {
  clustered = performance.now();
  $('cluster-part').hidden = nodes.length < 2;
  say($('unasked'), '');
  each($('nodes'), nodes, (it) => it.peer || '', createNode, updateNode);
  alarm(rivals);
}

function alarm(lines) {
  rivals = lines.length > 0;
  $('rivals-part').hidden = !rivals;
  each($('rivals'), lines, (line) => line, (line) => make('li', '', line), () => {});
  title();
}

// ---- incidents ----

const subject = (it) => it.router || it.group || it.check || it.office || it.record || '';
const clock = (time) => new Date(time).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' });

function outage({ router, why, detect_ms: found, recover_ms: took, by }) {
  const over = took === null ? 'its end was not seen' : `${span(took)} until ${by || 'this host'} was Master`;
  return `${router}: ${over}` + (found === null ? '' : `, found after ${span(found)}`) + `: ${why}`;
}

function createIncident() {
  return make('li', '', make('details', '', make('summary', ''), make('ul', 'outages'), make('ol')));
}

function updateIncident(row, { steps, outages, took_ms: took }) {
  const main = steps.filter((it) => it.event === 'transition').at(-1) || steps[0];
  say(row.querySelector('summary'),
    `${clock(steps[0].time)} ${subject(main)} ${told(main)} (${plural(steps.length, 'step')}, ${span(took)})`);
  each(row.querySelector('ul'), outages, (it) => it.router + it.began, () => make('li'), (item, it) => say(item, outage(it)));
  each(row.querySelector('ol'), steps, (step) => steps.indexOf(step), () => make('li', 'clock'),
    (item, step) => say(item, `+${span(step.at_ms)} ${subject(step)} ${told(step)}`));
}

function showIncidents({ incidents }) {
  $('quiet').hidden = incidents.length > 0;
  each($('incidents'), incidents, (it) => it.steps[0].time + it.steps[0].clock_ms, createIncident, updateIncident);
}

// ---- asking ----

function show(status) {
  answered = performance.now();
  $('ask').hidden = true;
  $('main').hidden = false;
  badge($('health'), status.health.toUpperCase(), status.health);
  say($('link'), 'live');
  say($('node'), status.daemon.node || '');
  named = `${status.health} – Locum ${status.daemon.node || ''}`;
  title();
  $('complaints-part').hidden = status.complaints.length === 0;
  $('checks-part').hidden = status.checks.length === 0;
  each($('complaints'), status.complaints, (line) => line, (line) => make('li', '', line), () => {});
  each($('routers'), status.routers, (it) => it.name, createRouter, updateRouter);
  each($('checks'), status.checks, (it) => it.name, createCheck, updateCheck);
  say($('facts'), `Locum ${status.daemon.version || ''}`);
  tick();
}

const headers = () => (token ? { Authorization: 'Bearer ' + token } : {});

function wantToken() {
  if (token) say($('refused'), 'This token is not the one.');
  token = '';
  sessionStorage.removeItem('token');
  $('main').hidden = true;
  if ($('ask').hidden) {
    $('ask').hidden = false;
    $('token').focus();
  }
  badge($('health'), 'TOKEN', 'pending');
  say($('link'), 'the daemon wants its token: it stands in the file that [http] names');
}

// One question of a kind at a time; who asks meanwhile has the answer to another one.
function question(path, show) {
  let asking = false;
  let more = false;
  return async () => {
    more = true;
    if (asking) return;
    asking = true;
    try {
      while (more) {
        more = false;
        const shown = token;
        const response = await fetch(path, { headers: headers(), signal: AbortSignal.timeout(OLD) });
        // Another question may have had the same answer before.
        if (response.status === 401 && shown === token) wantToken();
        else if (response.ok) show(await response.json());
      }
    } catch {
      // tick() says so in time.
    } finally {
      asking = false;
    }
  };
}

const ask = question('/status', show);
const askCluster = question('/peers', showCluster);
const askHistory = question('/history', showIncidents);
const askAll = () => Promise.all([ask(), askCluster(), askHistory()]);

// A stream of events by fetch: an EventSource cannot show a token.
async function listen() {
  const end = new AbortController();
  let watch = setTimeout(() => end.abort(), SILENT);
  try {
    const response = await fetch('/events', { headers: headers(), signal: end.signal });
    if (!response.ok) return;
    // Whatever was missed meanwhile.
    askAll();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ''; ;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watch);
      watch = setTimeout(() => end.abort(), SILENT);
      const words = (text + value).split('\n\n');
      text = words.pop();
      for (const word of words) {
        const kind = word.split('\n').find((it) => it.startsWith('event: '));
        if (kind && TOLD.includes(kind.slice(7))) askAll();
      }
    }
  } catch {
    // It begins again.
  } finally {
    clearTimeout(watch);
  }
}

$('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  token = $('token').value.trim();
  $('token').value = '';
  say($('refused'), '');
  sessionStorage.setItem('token', token);
  askAll();
});

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function forever(work, wait) {
  for (;;) {
    const wanted = $('ask').hidden;
    if (wanted && !document.hidden) await work();
    await pause(wait);
  }
}

document.addEventListener('visibilitychange', () => document.hidden || askAll());
setInterval(tick, 200);
askAll().then(() => forever(listen, 1000));
forever(ask, AGAIN);
forever(askCluster, AGAIN);

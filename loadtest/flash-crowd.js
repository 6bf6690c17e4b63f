// A flash crowd: visitors with cookies of their own who all want the same page within RAMP seconds,
// wait in the room as they are told, and leave when their patience is over.
import http from 'k6/http';
import { sleep } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';

const BASE = __ENV.BASE || 'http://127.0.0.1:8080';
const ROOM = __ENV.ROOM || 'drop';
const PAGES = (__ENV.PAGES || '/,/product/1,/cart').split(',');
const VISITORS = Number(__ENV.VISITORS || 300);
const RAMP = Number(__ENV.RAMP || 10); // seconds
const PATIENCE = Number(__ENV.PATIENCE || 60); // seconds in the room
const POLL = `${BASE}/.seawall/room/${ROOM}`;
const GOOD_MS = 500;

const admitted = new Counter('admitted'); // saw all their pages
const gave_up = new Counter('gave_up');
const inversions = new Counter('inversions'); // a place that moved back
const server_errors = new Counter('server_errors'); // 5xx but 503, or no answer
const refused = new Counter('refused'); // 429, or a 503 without a place in the room
const good = new Rate('good'); // pages within 500 ms
const queued_honestly = new Rate('queued_honestly'); // Retry-After and no-store on what is queued
const waited = new Trend('waited_seconds');

export const options = {
  scenarios: {
    crowd: {
      executor: 'per-vu-iterations',
      vus: VISITORS,
      iterations: 1,
      maxDuration: `${RAMP + PATIENCE * 2 + 30}s`,
    },
  },
  thresholds: {
    admitted: ['count>0'],
    inversions: ['count==0'],
    server_errors: ['count==0'],
    good: ['rate>=0.95'],
    queued_honestly: ['rate==1'],
  },
};

export default function () {
  sleep(Math.random() * RAMP);
  for (const path of PAGES) {
    if (!see(path)) {
      gave_up.add(1);
      return;
    }
    sleep(0.2 + Math.random() * 0.8);
  }
  admitted.add(1);
}

// Asks until the page has come; false when patience is over.
function see(path) {
  const began = Date.now();
  while (Date.now() - began < PATIENCE * 1000) {
    const answer = http.get(BASE + path, { headers: { Accept: 'text/html' }, timeout: '10s', responseCallback: null });
    const took = answer.timings.blocked + answer.timings.connecting + answer.timings.duration;
    if (answer.status === 200) {
      good.add(took <= GOOD_MS);
      return true;
    }
    if (answer.status !== 503 && answer.status !== 429) {
      server_errors.add(1, { status: String(answer.status) });
      sleep(1 + Math.random());
      continue;
    }
    const place = answer.status === 503 ? poll() : null;
    if (place === null || (place.state !== 'queued' && place.state !== 'paused' && place.state !== 'before')) {
      // Admitted by the poll itself, or refused: then Retry-After is the answer's own word.
      if (place === null || place.state !== 'admitted') refused.add(1);
      sleep((Number(answer.headers['Retry-After']) || 1) * (1 + Math.random() / 2));
      continue;
    }
    honest(answer);
    if (!wait(place, began)) return false;
  }
  return false;
}

// Polls as told until admitted; false when patience is over.
function wait(place, began) {
  let best = Infinity;
  const since = Date.now();
  while (place.state !== 'admitted') {
    if (Date.now() - began > PATIENCE * 1000) return false;
    if (place.position !== undefined) {
      if (place.position > best) inversions.add(1);
      best = Math.min(best, place.position);
    }
    sleep((place.poll_after_seconds || 2) * (1 + Math.random() * 0.1));
    // A poll that got no answer costs nothing: the place is kept.
    place = poll() || place;
  }
  waited.add((Date.now() - since) / 1000);
  return true;
}

function poll() {
  const answer = http.get(POLL, { headers: { Accept: 'application/json' }, timeout: '10s', responseCallback: null });
  if (answer.status !== 200 && answer.status !== 503) {
    if (answer.status !== 404) server_errors.add(1, { status: String(answer.status) });
    return null;
  }
  queued_honestly.add(noStore(answer));
  try {
    return answer.json();
  } catch (_) {
    server_errors.add(1, { status: 'not JSON' });
    return null;
  }
}

function honest(answer) {
  queued_honestly.add(Number(answer.headers['Retry-After']) >= 1 && noStore(answer));
}

function noStore(answer) {
  return (answer.headers['Cache-Control'] || '').includes('no-store');
}

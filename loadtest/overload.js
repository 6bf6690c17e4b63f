// Ten times what the origin can do, at a page that nothing may cache, at a constant arrival rate:
// nobody comes later because the site is slow. Good is: 200 within 500 ms.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter, Rate, Trend } from 'k6/metrics';

const BASE = __ENV.BASE || 'http://127.0.0.1:8080';
const PATH = __ENV.URL_PATH || '/api/stock';
const MIX = __ENV.MIX ? JSON.parse(__ENV.MIX) : { [PATH]: 1 }; // path: its share of the requests
const CAPACITY = Number(__ENV.CAPACITY || 200); // requests/s the origin can do
const FACTOR = Number(__ENV.FACTOR || 10);
const SECONDS = Number(__ENV.SECONDS || 10);
const MIN_SHARE = Number(__ENV.MIN_SHARE || 0.9); // of CAPACITY; 0 judges nothing
const GOOD_MS = 500;

const good = new Counter('good');
const in_time = new Counter('in_time'); // good, and before the storm was over
const refused = new Counter('refused');
const failed = new Counter('failed');
const page_ms = new Trend('page_ms', true);
const honest = new Rate('refusals_with_retry_after');

// Of each path its own figures: metrics can only be made here, before the first request.
let upTo = 0;
const paths = Object.entries(MIX).map(([path, share], n) => ({
  path,
  upTo: (upTo += share),
  good: new Counter(`good_${n}`),
  asked: new Counter(`asked_${n}`),
  page_ms: new Trend(`page_ms_${n}`, true),
}));

// Spreads any share evenly over the storm, where dice would make clusters.
function pick() {
  const at = ((exec.scenario.iterationInTest * 0.6180339887498949) % 1) * upTo;
  return paths.find((p) => at < p.upTo) || paths[0];
}

const judged = MIN_SHARE > 0;

export const options = {
  scenarios: {
    overload: {
      executor: 'constant-arrival-rate',
      rate: Math.round(CAPACITY * FACTOR * 10),
      timeUnit: '10s',
      duration: `${SECONDS}s`,
      preAllocatedVUs: Number(__ENV.VUS || 400),
      maxVUs: Number(__ENV.MAX_VUS || 3000),
      // No request is cut off in the middle: the origin would go on with it, unseen by the edge.
      gracefulStop: '8s',
    },
  },
  discardResponseBodies: true,
  summaryTrendStats: ['med', 'p(99)', 'max'],
  thresholds: judged
    ? {
        in_time: [`count>=${Math.ceil(MIN_SHARE * CAPACITY * SECONDS)}`],
        failed: ['count==0'],
        refusals_with_retry_after: ['rate==1'],
      }
    : {},
};

export default function () {
  const on = pick();
  on.asked.add(1);
  const answer = http.get(BASE + on.path, { timeout: '5s', responseCallback: null });
  const took = answer.timings.blocked + answer.timings.connecting + answer.timings.duration;
  if (answer.status === 200) {
    page_ms.add(took);
    on.page_ms.add(took);
    if (took <= GOOD_MS) {
      good.add(1);
      on.good.add(1);
      // What a queue still holds at the end was not done in these seconds.
      if (Date.now() - exec.scenario.startTime <= SECONDS * 1000) in_time.add(1);
    }
  } else if (answer.status === 503 || answer.status === 429) {
    refused.add(1);
    honest.add(Number(answer.headers['Retry-After']) >= 1);
  } else {
    failed.add(1, { status: String(answer.status) });
  }
}

export function handleSummary(data) {
  const count = (name) => (data.metrics[name] ? data.metrics[name].values.count : 0);
  const times = data.metrics.page_ms ? data.metrics.page_ms.values : {};
  const figures = {
    good: count('good'),
    refused: count('refused'),
    failed: count('failed'),
    unsent: count('dropped_iterations'),
    goodput: count('in_time') / SECONDS,
    share: count('in_time') / SECONDS / CAPACITY,
    p50_ms: times.med,
    p99_ms: times['p(99)'],
    paths: {},
  };
  paths.forEach(({ path }, n) => {
    const page = data.metrics[`page_ms_${n}`];
    figures.paths[path] = {
      asked: count(`asked_${n}`),
      good: count(`good_${n}`),
      p50_ms: page ? page.values.med : null,
      p99_ms: page ? page.values['p(99)'] : null,
    };
  });
  const text = `${JSON.stringify(figures)}\n`;
  return __ENV.SUMMARY ? { [__ENV.SUMMARY]: text } : { stdout: text };
}

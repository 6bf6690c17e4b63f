// Ten times what the origin can do, at a page that nothing may cache, at a constant arrival rate:
// nobody comes later because the site is slow. Good is: 200 within 500 ms.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter, Rate, Trend } from 'k6/metrics';

const BASE = __ENV.BASE || 'http://127.0.0.1:8080';
const PATH = __ENV.URL_PATH || '/api/stock';
const CAPACITY = Number(__ENV.CAPACITY || 200); // requests/s the origin can do
const FACTOR = Number(__ENV.FACTOR || 10);
const SECONDS = Number(__ENV.SECONDS || 10);
const MIN_SHARE = Number(__ENV.MIN_SHARE || 0.9); // of CAPACITY; 0 judges nothing
const GOOD_MS = 500;

const good = new Counter('good');
const refused = new Counter('refused');
const failed = new Counter('failed');
const page_ms = new Trend('page_ms', true);
const honest = new Rate('refusals_with_retry_after');

const judged = MIN_SHARE > 0;

export const options = {
  scenarios: {
    overload: {
      executor: 'constant-arrival-rate',
      rate: CAPACITY * FACTOR,
      timeUnit: '1s',
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
        good: [`count>=${Math.ceil(MIN_SHARE * CAPACITY * SECONDS)}`],
        failed: ['count==0'],
        refusals_with_retry_after: ['rate==1'],
      }
    : {},
};

export default function () {
  const answer = http.get(BASE + PATH, { timeout: '5s', responseCallback: null });
  const took = answer.timings.blocked + answer.timings.connecting + answer.timings.duration;
  if (answer.status === 200) {
    page_ms.add(took);
    if (took <= GOOD_MS) good.add(1);
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
    goodput: count('good') / SECONDS,
    share: count('good') / SECONDS / CAPACITY,
    p50_ms: times.med,
    p99_ms: times['p(99)'],
  };
  const text = `${JSON.stringify(figures)}\n`;
  return __ENV.SUMMARY ? { [__ENV.SUMMARY]: text } : { stdout: text };
}

//! What the core takes for one request: `decide`, the turn at the origin, and giving the place back.
//! The bar is 1 µs. Nothing is read or written: `cargo bench --bench decision`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails should say where")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use seawall::clock::{Clock, Mono, Now};
use seawall::keys::Keys;
use seawall::pipeline::answer::RequestId;
use seawall::pipeline::passage::Passage;
use seawall::pipeline::reason::Reason;
use seawall::pipeline::site::{Parts, Site};
use seawall::pipeline::view::{BodyKind, Field, Scheme, Version, View};
use seawall::pipeline::{Flow, Outcome, decide};
use seawall::policy::file;
use seawall::telemetry::Telemetry;

const ORIGIN: &str = "[edge]\nlisten = '127.0.0.1:0'\n[origin.shop]\nservers = ['127.0.0.1:9']\n";
const SMALL: &str = "[[route]]\ncache = false\n";
/// One place, and a line for it.
const NARROW: &str = "[origin.shop.concurrency]\nmode = 'fixed'\nlimit = 1\nqueue = 8\n[[route]]\ncache = false\n";
/// One place, and no line.
const FULL: &str = "[origin.shop.concurrency]\nmode = 'fixed'\nlimit = 1\nqueue = 0\n[[route]]\ncache = false\n";
/// Groups, plans, priorities, two limits and a few routes before the one that fits.
const RICH: &str = "
[clients.staff]
networks = ['192.0.2.0/24', '2001:db8::/32']
[priority]
header = 'X-Priority'
from = ['staff']
[rate_limit.visitors]
key = 'visitor'
quota = '200000/s'
[rate_limit.searches]
key = ['client_net', 'header:x-app', 'path']
quota = '200000/s'
plan = 'clients'
plans.staff = '500000/s'
[[route]]
path = '/checkout/**'
priority = 'critical'
[[route]]
path = '/admin/**'
clients = 'staff'
[[route]]
path = '/search/**'
cache = false
rate_limit = ['visitors', 'searches']
[[route]]
";
const LIMITED: &str = "
[rate_limit.visitors]
key = 'visitor'
quota = '1/h'
[[route]]
cache = false
rate_limit = 'visitors'
";

/// One site, asked by one visitor every 10 µs.
struct Asker {
    site: Arc<Site>,
    at: u64,
}

impl Asker {
    fn new(policy: &str) -> Self {
        let loaded = file::parse(&format!("{ORIGIN}{policy}"), Path::new("."));
        let policy = loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let passes = policy.clients.iter().map(|_| None).collect();
        let telemetry = Arc::new(Telemetry::new(None));
        let parts = Parts {
            clock: Clock::start(),
            telemetry,
            snapshot: None,
            rooms: Vec::new(),
            passes,
            keys: Arc::new(Keys::from_bytes(1, &[7; 32])),
            seed: 7,
        };
        Self { site: Arc::new(Site::bind(policy, None, parts)), at: 0 }
    }

    fn now(&self) -> Now {
        Now { mono: Mono::from_nanos(self.at * 10_000), unix_ms: 1_795_000_000_000 + self.at / 100 }
    }

    fn decide(&mut self, view: &View<'_>) -> (Passage, Outcome) {
        self.at += 1;
        decide(&self.site, view, RequestId::new(self.at), self.now())
    }

    fn turn(&mut self, view: &View<'_>) -> (Passage, Flow) {
        let (mut passage, outcome) = self.decide(view);
        assert!(matches!(outcome, Outcome::Origin));
        let flow = passage.turn(self.now());
        (passage, flow)
    }
}

/// As Chromium sends it.
const FIELDS: [Field<'static>; 9] = [
    Field { name: "Host", value: b"shop.example" },
    Field {
        name: "User-Agent",
        value: b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
    },
    Field { name: "Accept", value: b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8" },
    Field { name: "Accept-Language", value: b"de-DE,de;q=0.9,en;q=0.8" },
    Field { name: "Accept-Encoding", value: b"gzip, deflate, br, zstd" },
    Field { name: "Cookie", value: b"basket=8c1f2a; consent=1; _ga=GA1.1.1234567890.1700000000" },
    Field { name: "Sec-Fetch-Dest", value: b"document" },
    Field { name: "Sec-Fetch-Mode", value: b"navigate" },
    Field { name: "X-App", value: b"web" },
];

fn view<'a>() -> View<'a> {
    View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Http,
        host: "shop.example",
        path: "/search/shoes",
        raw_path: "/search/shoes",
        query: Some("q=red+shoes&page=2"),
        fields: &FIELDS,
        client: [192, 0, 2, 1].into(),
        trusted: false,
        body: BodyKind::None,
    }
}

fn decisions(c: &mut Criterion) {
    let view = view();
    let mut group = c.benchmark_group("decision");
    for (name, policy) in [("admitted", SMALL), ("admitted, a rich policy", RICH)] {
        let mut asker = Asker::new(policy);
        group.bench_function(name, |b| {
            b.iter(|| {
                let (mut passage, flow) = asker.turn(black_box(&view));
                assert!(matches!(flow, Flow::Continue));
                passage.finish_with(&view, Reason::Pass, 200, 0, asker.now().mono);
            });
        });
    }
    let mut asker = Asker::new(LIMITED);
    let _first = asker.decide(&view);
    group.bench_function("refused by a rate limit", |b| {
        b.iter(|| {
            let (passage, outcome) = asker.decide(black_box(&view));
            assert!(matches!(outcome, Outcome::Answer(_)));
            black_box((passage, outcome));
        });
    });
    let mut asker = Asker::new(NARROW);
    let _holds = asker.turn(&view);
    group.bench_function("queued, and gone", |b| {
        b.iter(|| {
            let (passage, flow) = asker.turn(black_box(&view));
            assert!(matches!(flow, Flow::Wait(_)));
            black_box((passage, flow));
        });
    });
    let mut asker = Asker::new(FULL);
    let _holds = asker.turn(&view);
    group.bench_function("refused for want of a place", |b| {
        b.iter(|| {
            let (mut passage, outcome) = asker.decide(black_box(&view));
            let refused = match outcome {
                Outcome::Answer(answer) => Flow::Respond(answer),
                Outcome::File(_) => Flow::Continue,
                Outcome::Origin => passage.turn(asker.now()),
            };
            assert!(matches!(refused, Flow::Respond(_)));
            black_box((passage, refused));
        });
    });
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);

//! What the demo's shop shows: Tidewater Records, its racks, its cart and its checkout.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Path, Query, RawForm, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use minijinja::value::Serde;
use minijinja::{Environment, Template, Value, context};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::shop::Floor;

/// Sessions remembered; beyond it the oldest cart is forgotten.
const SESSIONS_MAX: usize = 20_000;
/// Copies of one record in a cart.
const COPIES_MAX: u32 = 4;

const SESSION_COOKIE: &str = "shop_session";
const PUBLIC: &str = "public, max-age=1";
const PRIVATE: &str = "private, no-store";

/// All that takes a worker.
pub(super) fn router(floor: Arc<Floor>) -> anyhow::Result<Router> {
    let pages = Arc::new(Pages::new(floor)?);
    Ok(Router::new()
        .route("/", get(catalogue))
        .route("/product/{id}", get(product))
        .route("/search", get(search))
        .route("/cart", get(cart).post(add))
        .route("/checkout", get(checkout).post(order))
        .route("/order-received/{id}", get(received))
        .route("/api/stock", get(stock))
        .with_state(pages))
}

/// The style sheet: no worker, cacheable for a while.
pub(super) async fn style() -> Response {
    let fields = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (fields, include_str!("pages/shop.css")).into_response()
}

async fn catalogue(State(pages): State<Arc<Pages>>) -> Response {
    let racks: Value = pages.products.iter().skip(1).map(|p| p.shown.clone()).collect();
    let content = context! { drop => pages.products.first().map(|p| p.shown.clone()), products => racks };
    pages.show("catalogue.html", "The drop", PUBLIC, content)
}

async fn product(State(pages): State<Arc<Pages>>, Path(id): Path<u32>) -> Response {
    match pages.product(id) {
        Some(p) => pages.show("product.html", p.product.title, PUBLIC, context! { p => p.shown.clone() }),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

/// No Cache-Control, as in many a shop: what is done with it is up to whoever stands in front.
async fn search(State(pages): State<Arc<Pages>>, Query(Search { q }): Query<Search>) -> Response {
    let wanted = q.to_lowercase();
    let found: Vec<Value> =
        pages.products.iter().filter(|p| p.product.matches(&wanted)).map(|p| p.shown.clone()).collect();
    let heading = format!("{} for “{q}”", found.len());
    pages.show("catalogue.html", "Search", "", context! { heading, products => found, query => q })
}

async fn cart(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    let lines = session(&headers).map(|id| pages.lines(id)).unwrap_or_default();
    let total: u32 = lines.iter().map(|l| l.price * l.copies).sum();
    pages.show("cart.html", "Cart", PRIVATE, context! { lines => Value::from(Serde(&lines)), total })
}

#[derive(Deserialize)]
struct Add {
    product: u32,
}

async fn add(State(pages): State<Arc<Pages>>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let known = session(&headers);
    let Some(wanted) = parse_form::<Add>(&form).filter(|add| pages.product(add.product).is_some()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let id = known.unwrap_or_else(|| pages.new_session());
    pages.carts.lock().add(id, wanted.product);
    let mut response = see_other("/cart");
    if known.is_none()
        && let Ok(cookie) = format!("{SESSION_COOKIE}={id:016x}; Path=/; HttpOnly; SameSite=Lax").parse()
    {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

async fn checkout(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    let lines = session(&headers).map(|id| pages.lines(id)).unwrap_or_default();
    if lines.is_empty() {
        return see_other("/cart");
    }
    let total: u32 = lines.iter().map(|l| l.price * l.copies).sum();
    let count: u32 = lines.iter().map(|l| l.copies).sum();
    pages.show("checkout.html", "Checkout", PRIVATE, context! { count, total })
}

async fn order(State(pages): State<Arc<Pages>>, headers: HeaderMap, RawForm(_): RawForm) -> Response {
    let ordered = session(&headers).is_some_and(|id| pages.carts.lock().take(id));
    if !ordered {
        return see_other("/cart");
    }
    see_other(&format!("/order-received/{}", pages.floor.order()))
}

async fn received(State(pages): State<Arc<Pages>>, Path(order): Path<u64>) -> Response {
    pages.show("received.html", "Thank you", PRIVATE, context! { order })
}

/// What a page's script would ask for each visitor anew: nothing in front may keep it.
async fn stock(State(pages): State<Arc<Pages>>) -> Response {
    let stock: Vec<_> = pages.products.iter().map(|p| (p.product.id, 500 - p.product.id * 7)).collect();
    ([(CACHE_CONTROL, "no-store")], axum::Json(stock)).into_response()
}

fn see_other(to: &str) -> Response {
    let fields = [(LOCATION, to), (CACHE_CONTROL, PRIVATE)];
    (StatusCode::SEE_OTHER, fields).into_response()
}

fn session(headers: &HeaderMap) -> Option<u64> {
    let cookies = headers.get_all("cookie").into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == SESSION_COOKIE)?;
    u64::from_str_radix(value, 16).ok()
}

/// A form's fields are a query's, so axum's own parser of queries reads them.
fn parse_form<T: serde::de::DeserializeOwned>(form: &[u8]) -> Option<T> {
    let form = std::str::from_utf8(form).ok()?;
    let uri: Uri = format!("/?{form}").parse().ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(fields)| fields)
}

/// The shop's shelves and its memory.
struct Pages {
    templates: Environment<'static>,
    products: Vec<Shown>,
    carts: Mutex<Carts>,
    sessions: AtomicU64,
    floor: Arc<Floor>,
}

impl Pages {
    fn new(floor: Arc<Floor>) -> anyhow::Result<Self> {
        let mut templates = Environment::new();
        for (name, source) in TEMPLATES {
            templates.add_template(name, source)?;
        }
        let sleeve = templates.get_template("sleeve.html")?;
        let products: Result<Vec<Shown>, minijinja::Error> = PRODUCTS.iter().map(|p| Shown::new(*p, &sleeve)).collect();
        let products = products?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)?;
        let sessions = AtomicU64::new(u64::from_ne_bytes(seed));
        Ok(Self { templates, products, carts: Mutex::default(), sessions, floor })
    }

    fn product(&self, id: u32) -> Option<&Shown> {
        self.products.iter().find(|p| p.product.id == id)
    }

    fn lines(&self, session: u64) -> Vec<Line> {
        let carts = self.carts.lock();
        let Some(cart) = carts.by_session.get(&session) else { return Vec::new() };
        let shown = |(id, copies): (&u32, &u32)| {
            let Product { artist, title, price, .. } = self.product(*id)?.product;
            Some(Line { artist, title, price, copies: *copies })
        };
        cart.iter().filter_map(shown).collect()
    }

    fn new_session(&self) -> u64 {
        // The golden ratio's odd multiple visits every number once.
        self.sessions.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
    }

    fn show(&self, name: &str, title: &str, cache: &'static str, content: Value) -> Response {
        match self.render(name, title, content) {
            Ok(page) => {
                let mut response = ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
                if !cache.is_empty() {
                    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
                }
                response
            }
            Err(error) => {
                tracing::error!(%error, name, "a page of the demo shop does not render");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    fn render(&self, name: &str, title: &str, content: Value) -> Result<String, minijinja::Error> {
        let query = content.get_attr("query")?;
        let content = self.templates.get_template(name)?.render(content)?;
        self.templates.get_template("layout.html")?.render(context! { title, content, query })
    }
}

/// Carts by session, the oldest first to go.
#[derive(Default)]
struct Carts {
    by_session: HashMap<u64, HashMap<u32, u32>>,
    oldest: VecDeque<u64>,
}

impl Carts {
    fn add(&mut self, session: u64, product: u32) {
        if !self.by_session.contains_key(&session) {
            if self.oldest.len() >= SESSIONS_MAX
                && let Some(gone) = self.oldest.pop_front()
            {
                self.by_session.remove(&gone);
            }
            self.oldest.push_back(session);
        }
        let copies = self.by_session.entry(session).or_default().entry(product).or_default();
        *copies = (*copies + 1).min(COPIES_MAX);
    }

    /// Empties a cart; false if it was empty.
    fn take(&mut self, session: u64) -> bool {
        // The session keeps its place among the oldest: it is only emptied.
        self.by_session.get_mut(&session).is_some_and(|cart| !std::mem::take(cart).is_empty())
    }
}

#[derive(Serialize)]
struct Line {
    artist: &'static str,
    title: &'static str,
    price: u32,
    copies: u32,
}

/// A record, as templates see it: with its picture, which is drawn once.
struct Shown {
    product: Product,
    shown: Value,
}

impl Shown {
    fn new(product: Product, sleeve: &Template<'_, '_>) -> Result<Self, minijinja::Error> {
        let p = Value::from(Serde(product));
        let sleeve = sleeve.render(context! { p => p.clone() })?;
        Ok(Self { product, shown: context! { sleeve, ..p } })
    }
}

#[derive(Clone, Copy, Serialize)]
struct Product {
    id: u32,
    artist: &'static str,
    title: &'static str,
    mood: &'static str,
    price: u32,
    blurb: &'static str,
    motif: &'static str,
    ground: &'static str,
    ink: &'static str,
    spot: &'static str,
}

impl Product {
    fn matches(&self, wanted: &str) -> bool {
        [self.artist, self.title, self.mood, self.blurb].iter().any(|text| text.to_lowercase().contains(wanted))
    }
}

const TEMPLATES: [(&str, &str); 7] = [
    ("layout.html", include_str!("pages/layout.html")),
    ("sleeve.html", include_str!("pages/sleeve.html")),
    ("catalogue.html", include_str!("pages/catalogue.html")),
    ("product.html", include_str!("pages/product.html")),
    ("cart.html", include_str!("pages/cart.html")),
    ("checkout.html", include_str!("pages/checkout.html")),
    ("received.html", include_str!("pages/received.html")),
];

#[rustfmt::skip]
const PRODUCTS: [Product; 9] = [
    Product { id: 1, artist: "The Breakwaters", title: "Spring Tide", mood: "Coastal", price: 34, motif: "waves", ground: "#f3e3c3", ink: "#14505c", spot: "#e8613c",
        blurb: "Recorded in an empty lighthouse over four nights, with the windows open. Numbered sleeves, sea-green vinyl, one pressing and never again." },
    Product { id: 2, artist: "Ines Holm", title: "Slow Ferry", mood: "Slow", price: 26, motif: "sun", ground: "#2b2d52", ink: "#f6c667", spot: "#f0785a",
        blurb: "Piano, a harmonium and eleven minutes of engine hum." },
    Product { id: 3, artist: "Granite Choir", title: "Ascents", mood: "Choral", price: 29, motif: "peaks", ground: "#dfe7ea", ink: "#39475a", spot: "#f7faf9",
        blurb: "Twenty-two voices in a quarry. Best played too loud." },
    Product { id: 4, artist: "Low Orbit", title: "Perigee", mood: "Electronic", price: 24, motif: "rings", ground: "#12141c", ink: "#5bd1d7", spot: "#f25f8b",
        blurb: "Modular synthesisers that were left alone for a weekend." },
    Product { id: 5, artist: "Polka Dot Union", title: "Brass on Sunday", mood: "Brass", price: 22, motif: "dots", ground: "#fbe9d0", ink: "#2f6f5e", spot: "#d1495b",
        blurb: "A village band with better drummers than it deserves." },
    Product { id: 6, artist: "Night Bus", title: "N21", mood: "Urban", price: 25, motif: "bars", ground: "#1f2430", ink: "#8fa3bf", spot: "#ffd166",
        blurb: "City lights, wet asphalt, two saxophones." },
    Product { id: 7, artist: "Mara Okonjo", title: "Salt Letters", mood: "Songs", price: 27, motif: "waves", ground: "#e7f1ee", ink: "#1f5f8b", spot: "#f4b942",
        blurb: "Ten songs to people who moved inland." },
    Product { id: 8, artist: "Fields of Static", title: "Weather Report for No One", mood: "Ambient", price: 23, motif: "bars", ground: "#f4f1ea", ink: "#7a8b6f", spot: "#b5543a",
        blurb: "Shortwave radio and a very patient cello." },
    Product { id: 9, artist: "Kestrel Hour", title: "Thermals", mood: "Folk", price: 25, motif: "peaks", ground: "#f2c48d", ink: "#7b3f2b", spot: "#fff3dd",
        blurb: "Fiddle tunes that take the long way up." },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_a_query_is() {
        assert_eq!(parse_form::<Add>(b"product=3&x=y").unwrap().product, 3);
        assert!(parse_form::<Add>(b"product=many").is_none());
        assert!(parse_form::<Add>(&[0xff, 0xfe]).is_none());
    }

    #[test]
    fn carts_are_bounded_and_an_order_empties_one() {
        let mut carts = Carts::default();
        for session in 0..=SESSIONS_MAX as u64 {
            carts.add(session, 1);
        }
        assert_eq!(carts.by_session.len(), SESSIONS_MAX);
        assert!(!carts.take(0), "the oldest has gone");
        assert!(carts.take(1));
        assert!(!carts.take(1), "it is empty now");
    }
}

//! One visitor: looks around, wants the record, waits if asked to, and has only so much patience.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::LOCATION;
use serde::Deserialize;

use super::client::{Ask, Browser, Jar, Page};
use super::{Crowd, Random};
use crate::clock::Mono;

/// Without the page asked for, for so long, a visitor leaves.
const PATIENCE: Duration = Duration::from_secs(15);
/// A visitor whose page failed reloads after this.
const RELOAD: (Duration, Duration) = (Duration::from_millis(800), Duration::from_millis(1_600));
/// Between two pages.
const THINK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// Redirects followed for one page.
const REDIRECTS_MAX: usize = 4;
const ROOM: &str = "/.seawall/room/drop";
const SEARCHES: [&str; 4] = ["/search?q=tide", "/search?q=slow", "/search?q=brass", "/search?q=folk"];

/// The visitor has left, or the storm is over.
struct Left;

/// The room's answer to a poll, as far as a visitor needs it.
#[derive(Deserialize)]
struct Place {
    state: String,
    #[serde(default)]
    poll_after_seconds: Option<f64>,
}

pub(super) struct Visitor {
    crowd: Arc<Crowd>,
    browser: Browser,
    jar: Jar,
    random: Random,
    /// When the next request is meant to be sent.
    next: Mono,
    /// The room has let this visitor in before: another 503 is then no place in a queue.
    inside: bool,
}

impl Visitor {
    /// A visitor from one of the crowd's networks; none if there are none.
    pub(super) fn new(crowd: Arc<Crowd>, mut random: Random, arrives: Mono) -> Option<Self> {
        let browser = crowd.browser(random.bits())?.clone();
        Some(Self { crowd, browser, jar: Jar::default(), random, next: arrives, inside: false })
    }

    /// The whole visit.
    pub(super) async fn visit(mut self) {
        self.crowd.tally.arrived();
        if self.shop().await.is_ok() {
            self.crowd.tally.ordered();
        } else if self.crowd.clock.mono() < self.crowd.ends {
            self.crowd.tally.gave_up();
        }
    }

    async fn shop(&mut self) -> Result<(), Left> {
        self.page(&Ask::get("/")).await?;
        if self.random.below(10) < 4 {
            self.think().await;
            let search = self.random.below(4);
            let path = SEARCHES.iter().zip(0..).find(|(_, i)| *i == search).map_or("/search?q=tide", |(path, _)| path);
            self.page(&Ask::get(path)).await?;
        }
        self.think().await;
        // Four in five want the drop, the rest something else.
        let product = if self.random.below(5) < 4 { 1 } else { 2 + self.random.below(8) };
        self.page(&Ask::get(&format!("/product/{product}"))).await?;
        self.think().await;
        self.page(&Ask::post("/cart", &format!("product={product}"))).await?;
        self.think().await;
        self.page(&Ask::get("/checkout")).await?;
        self.think().await;
        self.page(&Ask::post("/checkout", "name=A.+Visitor&city=Saltmarsh&pay=On+account")).await
    }

    async fn think(&mut self) {
        let thought = self.random.between(THINK.0, THINK.1);
        self.pause(thought).await;
    }

    async fn pause(&mut self, pause: Duration) {
        self.next = self.crowd.clock.mono().after(pause);
        tokio::time::sleep(pause).await;
    }

    /// Asks until the page and those it leads to have come.
    async fn page(&mut self, ask: &Ask<'_>) -> Result<(), Left> {
        let mut page = self.insist(ask).await?;
        for _ in 0..REDIRECTS_MAX {
            if page.status != StatusCode::SEE_OTHER {
                return Ok(());
            }
            let Some(path) = page.headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned) else {
                return Ok(());
            };
            self.next = self.crowd.clock.mono();
            page = self.insist(&Ask::get(&path)).await?;
        }
        Ok(())
    }

    /// Asks for one page, again and again if need be: reloading is what people do.
    async fn insist(&mut self, ask: &Ask<'_>) -> Result<Page, Left> {
        let leaves = self.next.after(PATIENCE);
        loop {
            self.stays_until(leaves)?;
            let answer = self.browser.fetch(ask, &self.jar).await;
            let took = self.crowd.clock.mono().since(self.next);
            self.crowd.tally.asked(&answer, took);
            let mut again = self.random.between(RELOAD.0, RELOAD.1);
            if let Ok(page) = answer {
                self.jar.absorb(&page.headers);
                if page.is_wanted() {
                    return Ok(page);
                }
                again = page.retry_after().map_or(again, |told| self.random.between(told, told.mul_f64(1.5)));
                let queued = page.status == StatusCode::SERVICE_UNAVAILABLE && self.wait_in_room(leaves).await?;
                if queued {
                    again = Duration::ZERO;
                }
            }
            self.pause(again).await;
        }
    }

    /// Waits for admission as the room says; false if there is no room to wait in.
    async fn wait_in_room(&mut self, leaves: Mono) -> Result<bool, Left> {
        let Some(mut place) = self.poll().await else { return Ok(false) };
        let admitted = place.state == "admitted";
        if (admitted && self.inside) || matches!(place.state.as_str(), "full" | "closed" | "sold_out") {
            return Ok(false);
        }
        let crowd = Arc::clone(&self.crowd);
        crowd.tally.was_queued();
        let _waiting = crowd.tally.waits();
        while place.state != "admitted" {
            self.stays_until(leaves)?;
            let told = Duration::from_secs_f64(place.poll_after_seconds.unwrap_or(2.0).clamp(0.2, 60.0));
            let pause = self.random.between(told, told.mul_f64(1.1));
            self.pause(pause).await;
            // A poll that fails costs the place nothing: it is asked again.
            place = self.poll().await.unwrap_or(place);
        }
        self.inside = true;
        Ok(true)
    }

    async fn poll(&mut self) -> Option<Place> {
        let page = self.browser.fetch(&Ask::json(ROOM), &self.jar).await.ok()?;
        self.jar.absorb(&page.headers);
        serde_json::from_slice(&page.body).ok()
    }

    fn stays_until(&self, leaves: Mono) -> Result<(), Left> {
        let now = self.crowd.clock.mono();
        if now >= leaves || now >= self.crowd.ends { Err(Left) } else { Ok(()) }
    }
}

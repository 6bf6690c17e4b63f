//! A request's way, as a table.
//!
//! [`STAGES`] is the order, fixed in code: policy only says which stages a route has. A stage looks
//! at the request and answers [`Flow`]; none calls another, and what is learned flows back only
//! through [`origin::Origin::observe`]. The stages that look at the head run in one go
//! ([`decide`]); the last is asked when the request is about to go to the origin ([`Passage::turn`]):
//! its body is in hand, and nobody else is fetching the same thing.

use std::sync::Arc;

pub mod answer;
pub mod client;
mod cohort;
pub mod origin;
pub mod own;
pub mod passage;
pub mod path;
pub mod query;
pub mod reason;
pub mod room;
pub mod servers;
pub mod site;
pub mod stages;
#[cfg(test)]
mod tests;
pub mod view;

use answer::{Answer, Format, RequestId};
use origin::Turn;
use passage::Passage;
use site::Site;
use view::View;

use crate::clock::Now;
use crate::files::Asked;
use crate::policy::Level;

/// What a stage says.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once a request, on the stack")]
pub enum Flow {
    /// On to the next stage.
    Continue,
    /// This is the answer.
    Respond(Answer),
    /// Wait for this, as long as its patience lasts, then go to the origin.
    Wait(Turn),
}

/// How a stage is asked.
#[derive(Clone, Copy)]
pub enum Run {
    /// With the request's head, and the site that the passage holds.
    OnHead(fn(&mut Passage, &Site, &View<'_>, Now) -> Flow),
    /// When the request is about to go to the origin.
    OnTurn(fn(&mut Passage, Now) -> Flow),
}

/// One row of the table.
pub struct Stage {
    pub name: &'static str,
    pub run: Run,
    /// What the stage would do with a request at a level, in words.
    pub explain: fn(&stages::Explained<'_>, Level) -> String,
}

/// The way of a request, from the front door to the origin.
pub const STAGES: [Stage; 7] = [
    Stage { name: "route", run: Run::OnHead(stages::route), explain: stages::explain_route },
    Stage { name: "level", run: Run::OnHead(stages::level), explain: stages::explain_level },
    Stage { name: "rate limit", run: Run::OnHead(stages::rate_limit), explain: stages::explain_rate_limit },
    Stage { name: "waiting room", run: Run::OnHead(stages::waiting_room), explain: stages::explain_waiting_room },
    Stage { name: "files", run: Run::OnHead(stages::files), explain: stages::explain_files },
    Stage { name: "cache", run: Run::OnHead(stages::cache), explain: stages::explain_cache },
    Stage { name: "admission", run: Run::OnTurn(stages::admission), explain: stages::explain_admission },
];

/// What became of a request's head.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once a request, on the stack")]
pub enum Outcome {
    Answer(Answer),
    /// A file, which the shell opens.
    File(Box<Asked>),
    /// On to the origin: coalesce, bring the body, then ask [`Passage::turn`].
    Origin,
}

/// Takes a request through every stage that looks at its head.
///
/// The passage that comes back is RAII: dropped without [`Passage::finish`], it still counts and
/// gives back what it holds.
pub fn decide(site: &Arc<Site>, view: &View<'_>, id: RequestId, now: Now) -> (Passage, Outcome) {
    let mut passage = Passage::new(site.clone(), view.client, id, now);
    for stage in &STAGES {
        let Run::OnHead(run) = stage.run else { break };
        if let Flow::Respond(answer) = run(&mut passage, site, view, now) {
            return (passage, Outcome::Answer(answer));
        }
    }
    if let Some(asked) = passage.file.take() {
        return (passage, Outcome::File(asked));
    }
    if let Some(answer) = stages::in_vain(&mut passage, view, now) {
        return (passage, Outcome::Answer(answer));
    }
    passage.cohort = cohort::of(&passage, view, now);
    passage.format = if passage.route().answers_json { Format::Json } else { Format::asked(view) };
    (passage, Outcome::Origin)
}

/// The passage of what is refused before it is a request that stages could look at.
pub fn refuse(site: &Arc<Site>, client: std::net::IpAddr, id: RequestId, now: Now) -> Passage {
    Passage::new(site.clone(), client, id, now)
}

impl Passage {
    /// Asks the stages between a request and the origin. `Continue` means: it holds a place.
    pub fn turn(&mut self, now: Now) -> Flow {
        for stage in &STAGES {
            if let Run::OnTurn(run) = stage.run {
                match run(self, now) {
                    Flow::Continue => {}
                    stop => return stop,
                }
            }
        }
        Flow::Continue
    }
}

//! A room that another process owns, after a hand-over: who still asks here is sent there.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Room;
use crate::pipeline::answer::{Answer, Content, Fields};
use crate::pipeline::reason::Reason;
use crate::pipeline::view::View;

impl Room {
    /// Another process is about to own the room, or does: nobody is answered from here any more.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Release);
    }

    /// What one is told who asks here when another process owns the room: ask again, at the same URL. The
    /// connection ends with it, so that the next one is the other process's.
    pub fn elsewhere(&self, view: &View<'_>) -> Option<Answer> {
        if !self.away.load(Ordering::Acquire) {
            return None;
        }
        // A path that begins with two slashes would be another host's (RFC 3986 §4.2), and browsers
        // take a backslash for one.
        let dot = if view.raw_path.get(1..).is_some_and(|rest| rest.starts_with(['/', '\\'])) { "/." } else { "" };
        let query = view.query.map(|query| format!("?{query}")).unwrap_or_default();
        let location = format!("{dot}{}{query}", view.raw_path);
        let content = Content::Made {
            status: Reason::HandedOver.status(),
            content_type: "text/plain; charset=utf-8",
            cache_control: "no-store",
            body: Bytes::from_static(Reason::HandedOver.detail().as_bytes()),
        };
        Some(Answer { reason: Reason::HandedOver, content, fields: Fields::new() }.with("location", location))
    }

    /// Nobody else owns the room after all: all of it is to be written anew.
    pub fn take_back(&self) {
        self.machine.lock().take_back();
        self.set_away(false);
    }
}

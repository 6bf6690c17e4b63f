//! Why an answer is what it is.
//!
//! Every answer that Seawall itself gives has exactly one [`Reason`]; it decides the status, the
//! Proxy-Status field (RFC 9209), the metric's label and the log's field, so these can't disagree.

/// Why Seawall answered by itself, or how a request passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The origin answered.
    Pass,
    /// A fresh copy answered.
    Hit,
    /// A fill that others follow too, or will.
    Fill,
    /// A stale copy answered.
    Stale,
    /// A file of the snapshot answered.
    Snapshot,
    /// A file of `[files.NAME]` answered.
    File,
    /// Seawall's own URLs: live, polls of a room.
    Own,
    /// Over a rate limit.
    RateLimited,
    /// Waits in a room.
    Queued,
    /// The room takes no more.
    RoomFull,
    /// The level says `wait`: everyone is held.
    RoomHeld,
    /// The room has not opened yet.
    RoomNotOpen,
    /// There is nothing left of what the room leads to.
    RoomSoldOut,
    /// The room is closed.
    RoomClosed,
    /// One visitor has too many requests under way.
    Crowded,
    /// The level says `refuse`, or has no copy to give.
    LevelRefused,
    /// No place at the origin, and no room to wait for one.
    QueueFull,
    /// Too many wait already, or what matters less is not let wait.
    Shed,
    /// Waited as long as patience allows for a place at the origin.
    QueueTimeout,
    /// Too many upgrades and event streams.
    StreamsFull,
    /// Seawall itself is short of time or memory.
    EdgeBusy,
    /// The origin could not be reached.
    OriginUnreachable,
    /// The origin did not answer in time.
    OriginTimeout,
    /// The origin's answer broke off or made no sense.
    OriginFailed,
    /// The origin answered with an error a moment ago, and is not asked again yet.
    OriginError,
    /// The request takes copies only, and there is none for it.
    NotCached,
    /// The request's head is malformed or ambiguous.
    BadRequest,
    /// The head is larger than `max_header_size`.
    HeaderTooLarge,
    /// The body is larger than `max_body_size`.
    BodyTooLarge,
    /// The head or the body did not come in time.
    RequestTimeout,
    /// CONNECT, TRACE: not for a reverse proxy.
    MethodRefused,
    /// A version of HTTP that is not spoken here.
    VersionRefused,
    /// `Expect` something other than 100-continue.
    ExpectationFailed,
    /// Another process of Seawall's has taken over the waiting room: ask it.
    HandedOver,
    /// A path below `/.seawall/` that does not exist.
    NotFound,
    /// The client left before it was answered.
    ClientGone,
}

impl Reason {
    /// All of them: for metrics prepared at start.
    pub const ALL: [Self; 36] = [
        Self::Pass,
        Self::Hit,
        Self::Fill,
        Self::Stale,
        Self::Snapshot,
        Self::File,
        Self::Own,
        Self::RateLimited,
        Self::Queued,
        Self::RoomFull,
        Self::RoomHeld,
        Self::RoomNotOpen,
        Self::RoomSoldOut,
        Self::RoomClosed,
        Self::Crowded,
        Self::LevelRefused,
        Self::QueueFull,
        Self::Shed,
        Self::QueueTimeout,
        Self::StreamsFull,
        Self::EdgeBusy,
        Self::OriginUnreachable,
        Self::OriginTimeout,
        Self::OriginFailed,
        Self::OriginError,
        Self::NotCached,
        Self::BadRequest,
        Self::HeaderTooLarge,
        Self::BodyTooLarge,
        Self::RequestTimeout,
        Self::MethodRefused,
        Self::VersionRefused,
        Self::ExpectationFailed,
        Self::HandedOver,
        Self::NotFound,
        Self::ClientGone,
    ];

    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Hit => "hit",
            Self::Fill => "fill",
            Self::Stale => "stale",
            Self::Snapshot => "snapshot",
            Self::File => "file",
            Self::Own => "own",
            Self::RateLimited => "rate_limited",
            Self::Queued => "queued",
            Self::RoomFull => "room_full",
            Self::RoomHeld => "room_held",
            Self::RoomNotOpen => "room_not_open",
            Self::RoomSoldOut => "room_sold_out",
            Self::RoomClosed => "room_closed",
            Self::Crowded => "crowded",
            Self::LevelRefused => "level_refused",
            Self::QueueFull => "queue_full",
            Self::Shed => "shed",
            Self::QueueTimeout => "queue_timeout",
            Self::StreamsFull => "streams_full",
            Self::EdgeBusy => "edge_busy",
            Self::OriginUnreachable => "origin_unreachable",
            Self::OriginTimeout => "origin_timeout",
            Self::OriginFailed => "origin_failed",
            Self::OriginError => "origin_error",
            Self::NotCached => "not_cached",
            Self::BadRequest => "bad_request",
            Self::HeaderTooLarge => "header_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::MethodRefused => "method_refused",
            Self::VersionRefused => "version_refused",
            Self::ExpectationFailed => "expectation_failed",
            Self::HandedOver => "handed_over",
            Self::NotFound => "not_found",
            Self::ClientGone => "client_gone",
        }
    }

    /// The status of the answer Seawall makes for it; 200 where a copy brings its own.
    pub const fn status(self) -> u16 {
        match self {
            Self::Pass | Self::Hit | Self::Fill | Self::Stale | Self::Snapshot | Self::File | Self::Own => 200,
            // 429 is the visitor's quota, 503 the site's capacity.
            Self::RateLimited | Self::Crowded => 429,
            Self::Queued
            | Self::RoomFull
            | Self::RoomHeld
            | Self::RoomNotOpen
            | Self::RoomSoldOut
            | Self::RoomClosed
            | Self::LevelRefused
            | Self::QueueFull
            | Self::Shed
            | Self::QueueTimeout
            | Self::StreamsFull
            | Self::EdgeBusy
            | Self::OriginError => 503,
            Self::OriginUnreachable | Self::OriginFailed => 502,
            Self::OriginTimeout | Self::NotCached => 504,
            Self::BadRequest => 400,
            Self::HeaderTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::RequestTimeout => 408,
            Self::MethodRefused => 405,
            Self::VersionRefused => 505,
            Self::ExpectationFailed => 417,
            Self::HandedOver => 307,
            Self::NotFound => 404,
            // nginx's number for the log; never sent.
            Self::ClientGone => 499,
        }
    }

    /// The Proxy-Status error type (RFC 9209 §2.3), where the answer is an error of ours.
    pub const fn proxy_error(self) -> Option<&'static str> {
        match self {
            Self::Pass
            | Self::Hit
            | Self::Fill
            | Self::Stale
            | Self::Snapshot
            | Self::File
            | Self::Own
            | Self::HandedOver
            | Self::ClientGone => None,
            Self::RateLimited
            | Self::Crowded
            | Self::Queued
            | Self::RoomFull
            | Self::RoomHeld
            | Self::RoomNotOpen
            | Self::RoomSoldOut
            | Self::RoomClosed
            | Self::LevelRefused => Some("http_request_denied"),
            Self::QueueFull | Self::Shed | Self::QueueTimeout | Self::StreamsFull | Self::EdgeBusy => {
                Some("connection_limit_reached")
            }
            Self::OriginUnreachable | Self::OriginError => Some("destination_unavailable"),
            Self::OriginTimeout => Some("http_response_timeout"),
            Self::OriginFailed => Some("http_response_incomplete"),
            Self::NotCached
            | Self::BadRequest
            | Self::HeaderTooLarge
            | Self::BodyTooLarge
            | Self::RequestTimeout
            | Self::MethodRefused
            | Self::VersionRefused
            | Self::ExpectationFailed
            | Self::NotFound => Some("http_request_error"),
        }
    }

    /// Whether it sends the visitor away for now: over a quota, in line, or no place for them.
    pub const fn is_refusal(self) -> bool {
        matches!(self.status(), 429 | 503)
    }

    /// Whether it was for whom they are, or how many of them wait, that one found no place: another may find one.
    pub const fn is_of_asker(self) -> bool {
        matches!(self, Self::Shed | Self::QueueFull | Self::QueueTimeout)
    }

    /// One sentence for the person who reads the answer.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Pass | Self::Hit | Self::Fill | Self::Stale | Self::Snapshot | Self::File | Self::Own => "",
            Self::RateLimited => "Too many requests; please slow down.",
            Self::Queued => "The site is very busy. You are in the queue and keep your place.",
            Self::RoomFull => "The queue is full. Please come back a little later.",
            Self::RoomHeld => "The site is taking a short break. You keep your place.",
            Self::RoomNotOpen => "It has not opened yet.",
            Self::RoomSoldOut => "Everything is sold out.",
            Self::RoomClosed => "It is closed now.",
            Self::Crowded => "Too many requests at once; please wait for some of them.",
            Self::LevelRefused => "This part of the site is switched off while it is very busy.",
            Self::QueueFull | Self::Shed | Self::QueueTimeout | Self::StreamsFull | Self::EdgeBusy => {
                "The site is very busy. Please try again in a moment."
            }
            Self::OriginUnreachable => "The site can't be reached at the moment. Please try again shortly.",
            Self::OriginTimeout => "The site took too long to answer. Please try again shortly.",
            Self::OriginFailed => "The site's answer broke off. Please try again shortly.",
            Self::OriginError => "The site can't answer this at the moment. Please try again shortly.",
            Self::NotCached => "There is no copy of this at hand.",
            Self::BadRequest => "The request is malformed.",
            Self::HeaderTooLarge => "The request's header is too large. Clearing this site's cookies may help.",
            Self::BodyTooLarge => "What was sent is larger than this site accepts.",
            Self::RequestTimeout => "The request took too long to arrive.",
            Self::MethodRefused => "This method is not available here.",
            Self::VersionRefused => "This version of HTTP is not spoken here.",
            Self::ExpectationFailed => "The request expects something that is not offered here.",
            Self::HandedOver => "Another process has taken over: ask again.",
            Self::NotFound => "There is nothing here.",
            Self::ClientGone => "The client left.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_label_and_a_place_in_all() {
        let labels: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.label()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i, "{reason:?} is listed out of order");
        }
    }

    #[test]
    fn an_error_of_ours_says_so_in_its_status_and_to_the_reader() {
        for reason in Reason::ALL {
            assert_eq!(reason.proxy_error().is_some(), reason.status() >= 400 && reason.status() != 499, "{reason:?}");
            assert_eq!(reason.detail().is_empty(), reason.status() == 200, "{reason:?}");
        }
    }
}

//! English.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "en",
    rtl: false,
    numbers: Numbers { group: ",", grouping: Grouping::Thousands, decimal: ".", range: "–" },
    plural: Plural::Same,
    minutes: Forms::same(" minutes"),
    hours: Forms::same(" hours"),
    said: Sayings {
        before: Said("Not open yet", "You can leave this page open: it takes you further as soon as it opens."),
        draw: Said(
            "You are here in time",
            "When it opens, places are drawn by lot among everyone who is here. Having come earlier makes no difference.",
        ),
        stub: Said("One moment, please", "We are getting you a place in line."),
        drawing: Said(
            "Your place is being drawn",
            "Everyone who was here before the opening has the same chance. Your place will appear here in a moment.",
        ),
        queued: Said(
            "You are in line",
            "Many people are here at once. Everyone comes in by turn, and this page lets you in when it is yours.",
        ),
        paused: Said(
            "The line is paused",
            "Nobody is being let in for a moment. There is nothing you need to do: your place is kept.",
        ),
        sold_out: Said(
            "Sold out",
            "We are sorry: nothing is left. Should something become available again, you will see it here.",
        ),
        full: Said(
            "The line is full",
            "So many people are waiting that no more places can be given out. This page keeps trying for you.",
        ),
        closed: Said("Closed", "We are sorry: nobody else is being let in. Thank you for coming."),
        admitted: Said("It is your turn", "Thank you for waiting. Come on in!"),
        resend: Said("It is your turn", "What you sent before was not received. Please go back and send it again."),
    },
    place: "Your place in line",
    wait: "Estimated wait",
    stock: "Still available",
    reference: "Reference for support",
    opens: "Opens in",
    not_known: "Not known yet",
    moment: "Less than a minute",
    units: ["d", "h", "min", "s"],
    check: "Check now",
    go: "Continue",
    back: "Go back",
    keep: "You can put this page in the background, or close it and come back in this browser: your place is kept.",
    refreshes: "This page refreshes by itself.",
    stop: "Stop refreshing",
    stopped: "This page has stopped refreshing.",
    resume: "Refresh by itself again",
    offline: "No connection at the moment. We keep trying.",
    cookies: "Please allow cookies for this site: your place cannot be kept without them.",
    progress: "Progress in line",
};

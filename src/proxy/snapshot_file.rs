//! Reading a file of the snapshot, for both doors.

use compact_str::ToCompactString;

use crate::cache::range::{self, Partial};
use crate::pipeline::answer::{Answer, Content};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;

/// The answer with its file read, or the parts of it that were asked for; a refusal where it can't be read.
/// Any other answer stays as it is.
pub async fn read(passage: &Passage, answer: Answer) -> Answer {
    let Content::File(file, ranges) = answer.content else { return answer };
    let body = match passage.site.snapshot.read(&file).await {
        Ok(body) => body,
        Err(error) => {
            tracing::warn!(file = ?file.path, %error, "a file of the snapshot can't be read");
            let seconds = passage.spread(super::RETRY_AFTER_FAILURE).to_compact_string();
            let refusal = Answer::of(Reason::LevelRefused, &passage.site.pages, passage.format);
            return refusal.with("retry-after", seconds);
        }
    };
    // By what was read: a plain directory's file may have changed since it was listed.
    let part = ranges.and_then(|line| Partial::of(&range::parse(&line, body.len()), &body, &file.fields, passage.id));
    let content = match part {
        Some(part) => Content::FilePart(file, Box::new(part)),
        None => Content::FileRead(file, body),
    };
    Answer { content, ..answer }
}

//! How far a request's body has come.

use std::io;

use crate::front::chunked::Scanner;
use crate::pipeline::view::BodyKind;

/// How much of a body is in the buffer.
pub(super) struct Progress {
    scanner: Option<Scanner>,
    length: usize,
    /// Bytes of the buffer that belong to this body.
    pub(super) seen: usize,
}

impl Progress {
    pub(super) fn new(body: BodyKind) -> Self {
        let (scanner, length) = match body {
            BodyKind::None => (None, 0),
            BodyKind::Length(n) => (None, usize::try_from(n).unwrap_or(usize::MAX)),
            BodyKind::Stream => (Some(Scanner::default()), 0),
        };
        Self { scanner, length, seen: 0 }
    }

    /// Looks at the whole buffer; whether the body's end is in it.
    pub(super) fn see(&mut self, buffer: &[u8]) -> io::Result<bool> {
        let Some(scanner) = &mut self.scanner else {
            self.seen = buffer.len().min(self.length);
            return Ok(self.seen == self.length);
        };
        let new = buffer.get(self.seen..).unwrap_or_default();
        self.seen += scanner.advance(new).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        Ok(scanner.is_done())
    }
}

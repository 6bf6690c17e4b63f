//! Where a chunked body ends (RFC 9112 §7.1), told without keeping any of it.
//!
//! The front needs this to know where the next request begins and to read a small body before a
//! place at the origin is taken. It is strict: sizes are plain hex, lines end in CRLF.

/// Hex digits of a chunk's size at most: 2^60 bytes are enough.
const MAX_SIZE_DIGITS: u8 = 15;
/// Bytes of one chunk extension, and of all trailers, at most.
const MAX_LINE: u32 = 4096;

/// The chunked coding is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is malformed")]
pub struct BadChunk;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the digits of a size, so many of them read.
    Size(u8),
    /// In an extension, which is skipped.
    Extension,
    SizeLf,
    Data(u64),
    DataCr,
    DataLf,
    /// At the beginning of a trailer line, or of the empty line that ends all.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// Follows a chunked body byte by byte.
#[derive(Clone, Debug)]
pub struct Scanner {
    at: At,
    size: u64,
    /// Bytes of the current extension or of the trailers.
    line: u32,
    /// Payload bytes passed over.
    payload: u64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { at: At::Size(0), size: 0, line: 0, payload: 0 }
    }
}

impl Scanner {
    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.at == At::End
    }

    /// Payload bytes so far: what counts against `max_body_size`.
    pub fn payload(&self) -> u64 {
        self.payload
    }

    /// Takes the next bytes; answers how many of them belong to this body.
    ///
    /// # Errors
    /// [`BadChunk`]: what follows can't be told apart any more.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut used = 0;
        while let Some(byte) = bytes.get(used) {
            match self.at {
                At::End => break,
                At::Data(left) => {
                    let here = (bytes.len() - used).min(usize::try_from(left).unwrap_or(usize::MAX));
                    used += here;
                    self.payload += here as u64;
                    let left = left - here as u64;
                    self.at = if left == 0 { At::DataCr } else { At::Data(left) };
                    continue;
                }
                _ => self.step(*byte)?,
            }
            used += 1;
        }
        Ok(used)
    }

    fn step(&mut self, byte: u8) -> Result<(), BadChunk> {
        self.at = match (self.at, byte) {
            (At::Size(n), _) if byte.is_ascii_hexdigit() => {
                if n >= MAX_SIZE_DIGITS {
                    return Err(BadChunk);
                }
                let digit = char::from(byte).to_digit(16).ok_or(BadChunk)?;
                self.size = self.size * 16 + u64::from(digit);
                At::Size(n + 1)
            }
            (At::Size(1..), b'\r') => At::SizeLf,
            (At::Size(1..), b';') => At::Extension,
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension | At::TrailerStart | At::Trailer, b'\n') => return Err(BadChunk),
            (At::Extension, _) => self.long(At::Extension)?,
            (At::SizeLf, b'\n') => {
                let size = std::mem::take(&mut self.size);
                self.line = 0;
                if size == 0 { At::TrailerStart } else { At::Data(size) }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size(0),
            (At::TrailerStart, b'\r') => At::EndLf,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::TrailerStart | At::Trailer, _) => self.long(At::Trailer)?,
            (At::TrailerLf, b'\n') => At::TrailerStart,
            (At::EndLf, b'\n') => At::End,
            _ => return Err(BadChunk),
        };
        Ok(())
    }

    fn long(&mut self, at: At) -> Result<At, BadChunk> {
        self.line += 1;
        if self.line > MAX_LINE { Err(BadChunk) } else { Ok(at) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &[u8]) -> Result<Option<(usize, u64)>, BadChunk> {
        let mut scanner = Scanner::default();
        let used = scanner.advance(bytes)?;
        Ok(scanner.is_done().then(|| (used, scanner.payload())))
    }

    #[test]
    fn the_end_is_found_and_what_follows_is_left_alone() {
        assert_eq!(whole(b"5\r\nhello\r\n0\r\n\r\nGET /"), Ok(Some((15, 5))));
        assert_eq!(whole(b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"), Ok(Some((25, 5))));
        assert_eq!(whole(b"5\r\nhel"), Ok(None));
    }

    #[test]
    fn broken_chunks_are_refused() {
        for bad in [
            &b"\r\n"[..],
            b"+5\r\n",
            b"0x5\r\n",
            b"5\nhello",
            b"5\r\nhelloX",
            b"5 \r\n",
            b";\r\n",
            b"1000000000000000\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
        ] {
            assert_eq!(whole(bad), Err(BadChunk), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_makes_no_difference(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            cut in 1usize..9,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let end = wire.len();
            wire.extend_from_slice(b"GET / HTTP/1.1\r\n");
            let mut scanner = Scanner::default();
            let mut used = 0;
            for piece in wire.chunks(cut) {
                used += scanner.advance(piece).unwrap();
            }
            prop_assert_eq!(used, end);
            prop_assert!(scanner.is_done());
            prop_assert_eq!(scanner.payload(), chunks.iter().map(|c| c.len() as u64).sum::<u64>());
        }
    }
}

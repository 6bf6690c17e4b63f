//! The body of an answer with a file, a piece at a time.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::Stamp;
use super::beneath::stamp;
use super::disk;
use super::reply::Piece;

/// Bytes read at a time: what a reader who does not take them holds in memory.
const CHUNK: u64 = 64 << 10;

/// Where a file's bytes come from.
#[derive(Clone, Debug)]
pub enum Source {
    Kept(Bytes),
    /// An open file, and what it was when it was opened.
    Disk(Arc<File>, Stamp),
}

/// What is still to be sent.
#[derive(Debug)]
pub struct Body {
    source: Source,
    pieces: std::vec::IntoIter<Piece>,
    part: Range<u64>,
}

impl Body {
    pub fn new(source: Source, pieces: Vec<Piece>) -> Self {
        Self { source, pieces: pieces.into_iter(), part: 0..0 }
    }

    /// The next bytes, never none of them; none at the end.
    ///
    /// # Errors
    /// The disk fails, or the file is no longer what the head said: the rest can't be sent.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while self.part.is_empty() {
            match self.pieces.next() {
                None => return Ok(None),
                Some(Piece::Text(text)) => return Ok(Some(text)),
                Some(Piece::Part(part)) => self.part = part,
            }
        }
        match &self.source {
            Source::Kept(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let piece = bytes.slice(place(self.part.start)..place(self.part.end));
                let whole = piece.len() as u64 == self.part.end - self.part.start;
                self.part = 0..0;
                if whole { Ok(Some(piece)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
            Source::Disk(file, was) => {
                let (file, was) = (file.clone(), *was);
                let chunk = self.part.start..self.part.end.min(self.part.start + CHUNK);
                self.part.start = chunk.end;
                disk::wait(move || read(&file, &was, chunk)).await.map(Some)
            }
        }
    }
}

/// All of a small file.
///
/// # Errors
/// As [`Body::next`].
pub fn read_whole(file: &File, was: &Stamp) -> io::Result<Bytes> {
    read(file, was, 0..was.size)
}

/// Reads exactly these bytes of a file that has not changed.
fn read(file: &File, was: &Stamp, part: Range<u64>) -> io::Result<Bytes> {
    let length = usize::try_from(part.end - part.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, part.start)?;
    // Looked at afterwards, so that nothing read before a change is taken for what it was.
    if stamp(&file.metadata()?) != *was {
        return Err(io::Error::other("the file changed while it was read"));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(mut body: Body) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await? {
            assert!(!piece.is_empty() && piece.len() as u64 <= CHUNK);
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn pieces_come_whole_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        std::fs::write(dir.path().join("f"), &content).unwrap();
        let file = Arc::new(File::open(dir.path().join("f")).unwrap());
        let was = stamp(&file.metadata().unwrap());
        let pieces = || vec![Piece::Part(0..200_000), Piece::Text("-".into()), Piece::Part(10..12), Piece::Part(5..5)];
        let expected = [&content[..], b"-", &content[10..12]].concat();
        assert_eq!(all(Body::new(Source::Disk(file.clone(), was), pieces())).await.unwrap(), expected);
        std::fs::write(dir.path().join("f"), &content[..100_000]).unwrap();
        assert!(all(Body::new(Source::Disk(file, was), pieces())).await.is_err(), "it became shorter");
    }

    #[tokio::test]
    async fn what_is_kept_is_given_as_it_is() {
        let kept = || Source::Kept(Bytes::from_static(b"0123456789"));
        assert_eq!(all(Body::new(kept(), vec![Piece::Part(2..4)])).await.unwrap(), b"23");
        assert!(all(Body::new(kept(), vec![Piece::Part(2..40)])).await.is_err());
        assert_eq!(all(Body::new(kept(), Vec::new())).await.unwrap(), b"");
    }
}

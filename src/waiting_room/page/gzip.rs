//! A page compressed without compressing: what is the same for everyone was compressed once.
//!
//! Deflate (RFC 1951) is a row of blocks, and one that ends with a full flush stands for itself. So
//! the fixed pieces are put in as they were made, and the visitor's own as stored blocks between
//! them; only the checksum (RFC 1952 §2.3.1) is taken over all.

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

use super::layout::{Layout, Piece};
use super::view::View;

/// Magic, deflate, no name and no time, of no system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// An empty stored block that is the last.
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];
/// Before a stored block: its kind, its length, and the length's complement.
const STORED: usize = 5;

/// Blocks that hold `text`, and end with a full flush; none if that is no shorter than storing it.
pub(super) fn deflate(text: &[u8]) -> Option<Box<[u8]>> {
    let mut blocks = Vec::with_capacity(text.len() + 64);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress_vec(text, &mut blocks, FlushCompress::Full).ok()?;
    let whole = compress.total_in() == text.len() as u64 && blocks.ends_with(&LAST[1..]);
    (whole && blocks.len() + STORED < text.len()).then(|| blocks.into_boxed_slice())
}

/// Appends one visitor's page; or nothing, and says so, where the visitor's own is too long.
pub(super) fn put(layout: &Layout, view: &View<'_>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.extend_from_slice(&HEAD);
    let mut sum = Hasher::new();
    let mut length = 0_usize;
    let mut pieces = layout.pieces.iter().peekable();
    while let Some(piece) = pieces.peek() {
        if let Piece::Fixed { text, deflated: Some(blocks) } = piece {
            sum.update(text.as_bytes());
            length += text.len();
            out.extend_from_slice(blocks);
            pieces.next();
            continue;
        }
        let block = out.len();
        out.extend_from_slice(&[0; STORED]);
        while let Some(piece) = pieces.next_if(|p| !matches!(p, Piece::Fixed { deflated: Some(_), .. })) {
            match piece {
                Piece::Fixed { text, .. } => out.extend_from_slice(text.as_bytes()),
                Piece::Hole(hole) => view.put(*hole, out),
            }
        }
        let Some(stored) = close_block(out, block) else {
            out.truncate(start);
            return false;
        };
        sum.update(stored);
        length += stored.len();
    }
    out.extend_from_slice(&LAST);
    out.extend_from_slice(&sum.finalize().to_le_bytes());
    // Modulo 2³², as the format has it.
    out.extend_from_slice(&(length as u32).to_le_bytes());
    true
}

/// Writes the head of the stored block that begins at `block`; its content.
fn close_block(out: &mut [u8], block: usize) -> Option<&[u8]> {
    let (head, content) = out.get_mut(block..)?.split_first_chunk_mut::<STORED>()?;
    let length = u16::try_from(content.len()).ok()?;
    let [a, b] = length.to_le_bytes();
    *head = [0, a, b, !a, !b];
    Some(content)
}

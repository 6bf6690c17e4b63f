//! Buffers that a connection at rest has given back, for the next one that has something to say.

use std::cell::RefCell;

use bytes::BytesMut;

/// Buffers that a thread keeps.
const KEPT: usize = 4;
/// Bytes that a new one has room for: a request's head, or an answer of a page or two.
const SIZE: usize = 2 << 10;
/// The largest of them, in bytes.
const SIZE_MAX: usize = 16 << 10;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer.
pub(super) fn take() -> BytesMut {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| BytesMut::with_capacity(SIZE))
}

/// Takes a buffer back that nobody reads any more.
pub(super) fn give(mut buffer: BytesMut) {
    buffer.clear();
    // What has been read of it counts no more: asked for that much, it would have room again.
    if buffer.capacity() > 0 && buffer.capacity() <= SIZE_MAX {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < KEPT {
                spare.push(buffer);
            }
        });
    }
}

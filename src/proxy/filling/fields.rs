//! What of a head goes on, to readers and to the origin.

use bytes::{Bytes, BytesMut};

use crate::cache::fill_request::nominated;
use crate::cache::{tags, version};
use crate::pipeline::view::Field;
use crate::proxy::forward::is_hop_by_hop;

/// What may be passed on. The length is written anew by whoever sends the body.
pub(super) fn end_to_end(fields: &[Field<'_>]) -> Vec<(String, Vec<u8>)> {
    let nominated = nominated(fields);
    fields
        .iter()
        .filter(|f| !is_hop_by_hop(f.name) && f.name != "content-length" && f.name != "seawall-room")
        .filter(|f| !tags::is_hidden(f.name) && f.name != version::FIELD)
        .filter(|f| !nominated.iter().any(|n| n == f.name))
        .map(|f| (f.name.to_owned(), f.value.to_vec()))
        .collect()
}

/// A request without its conditions.
pub(super) fn unconditional(head: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(head.len());
    for line in head.split_inclusive(|b| *b == b'\n') {
        if !line.starts_with(b"if-none-match:") && !line.starts_with(b"if-modified-since:") {
            out.extend_from_slice(line);
        }
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_the_whole_has_all_but_the_conditions() {
        let asked = "GET / HTTP/1.1\r\nhost: a\r\nif-none-match: \"a\"\r\nif-modified-since: x\r\nx: y\r\n\r\n";
        assert_eq!(unconditional(asked.as_bytes()), "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n");
    }
}

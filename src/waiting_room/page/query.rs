//! The page's own query: whether its reader has stopped it from refreshing, and the link that does.

use super::escape::put_markup;

/// The parameter that stops a page without scripts from refreshing, when its value is `stop`. It is
/// for Seawall alone: no origin needs to see it.
pub const REFRESH: &str = "seawall_refresh";
const STOP: &str = "stop";
/// Bytes of a query that the links keep; the page of a longer one does not refresh.
const QUERY_MAX: usize = 2048;

/// Whether a page of this query refreshes by itself where scripts are off.
pub fn refreshes(query: Option<&str>) -> bool {
    let query = query.unwrap_or_default();
    query.len() <= QUERY_MAX && !query.split('&').any(is_stop)
}

/// A relative URL, ready for an attribute: the page that refreshes, or the one that does not.
pub(super) fn put_link(query: Option<&str>, refreshing: bool, out: &mut Vec<u8>) {
    out.push(b'?');
    let mut first = true;
    let query = query.filter(|query| query.len() <= QUERY_MAX).unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !is_stop(pair)) {
        if !std::mem::take(&mut first) {
            out.extend_from_slice(b"&amp;");
        }
        put_markup(pair, out);
    }
    if !refreshing {
        if !first {
            out.extend_from_slice(b"&amp;");
        }
        for piece in [REFRESH, "=", STOP] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

fn is_stop(pair: &str) -> bool {
    pair.split_once('=') == Some((REFRESH, STOP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(query: Option<&str>, refreshing: bool) -> String {
        let mut out = Vec::new();
        put_link(query, refreshing, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_link_keeps_the_rest_of_the_query() {
        assert_eq!(link(None, false), "?seawall_refresh=stop");
        assert_eq!(link(Some("id=5&q=a%20b"), false), "?id=5&amp;q=a%20b&amp;seawall_refresh=stop");
        assert_eq!(link(Some("id=5&seawall_refresh=stop&q=1"), true), "?id=5&amp;q=1");
        assert_eq!(link(Some("seawall_refresh=stop"), true), "?");
        assert_eq!(link(Some("a=\"><script>"), true), "?a=&quot;&gt;&lt;script&gt;");
    }

    #[test]
    fn it_refreshes_until_it_is_stopped() {
        assert!(refreshes(None) && refreshes(Some("id=5")) && refreshes(Some("seawall_refresh=no")));
        assert!(!refreshes(Some("id=5&seawall_refresh=stop")));
        assert!(!refreshes(Some(&"x".repeat(QUERY_MAX + 1))));
    }
}

//! Text from elsewhere (a name, an operator's message, a query) where it must mean nothing.

/// `text` between tags, or in a double-quoted attribute.
pub(super) fn put_markup(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            byte => out.push(byte),
        }
    }
}

/// `text` as a JSON string that may also stand in a script element: nothing in it ends that.
pub(super) fn put_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 | b'<' | b'>' | b'&' => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str) -> String {
        let mut out = Vec::new();
        put_string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn markup_means_nothing() {
        let mut out = Vec::new();
        put_markup("<a href=\"x\">'&é", &mut out);
        assert_eq!(out, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;é".as_bytes());
    }

    proptest! {
        #[test]
        fn a_string_is_read_back_and_ends_no_script(text in any::<String>()) {
            let written = string(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            prop_assert!(!written.contains(['<', '>', '&']));
        }
    }
}

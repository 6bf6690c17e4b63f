//! What is encoded, and what comes of it, without a connection.

use std::io::Read;

use super::*;
use crate::cache::freshness::Terms;
use crate::clock::{Mono, Now};
use crate::pipeline::view::Field;

fn parts<'a>(fields: &'a [Field<'a>]) -> ResponseParts<'a> {
    ResponseParts { status: 200, fields }
}

fn encodable(fields: &[(&'static str, &'static str)]) -> bool {
    let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
    is_encodable(&parts(&fields))
}

fn accepted(value: &str) -> Encodings {
    let fields = [Field { name: "accept-encoding", value: value.as_bytes() }];
    Encodings::of(&fields)
}

fn page() -> Bytes {
    "the quick brown fox jumps over the lazy dog, again and again; ".repeat(100).into()
}

fn entry(etag: &'static str, body: Bytes) -> Arc<Entry> {
    let fields = [
        Field { name: "Content-Type", value: b"text/html" },
        Field { name: "ETag", value: etag.as_bytes() },
        Field { name: "Accept-Ranges", value: b"bytes" },
    ];
    let terms = Terms { fresh_for: std::time::Duration::from_secs(60), ..Terms::default() };
    Arc::new(Entry::new(&parts(&fields), body, terms, Now::default()).encodable(Arc::default()))
}

fn values(entry: &Entry, name: &str) -> Vec<String> {
    let fields = entry.fields().iter().filter(|(n, _)| n == name);
    fields.map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn only_text_of_some_size_that_may_be_transformed_is_encoded() {
    assert!(encodable(&[("Content-Type", "text/html; charset=utf-8")]));
    assert!(encodable(&[("content-type", "Application/LD+JSON"), ("content-length", "5000")]));
    assert!(encodable(&[("content-type", "image/svg+xml")]));
    for fields in [
        &[("content-type", "image/jpeg")][..],
        &[("content-type", "text/event-stream")],
        &[],
        &[("content-type", "text/html"), ("content-length", "900")],
        &[("content-type", "text/html"), ("content-length", "99999999")],
        &[("content-type", "text/html"), ("content-encoding", "br")],
        &[("content-type", "text/html"), ("cache-control", "max-age=5, No-Transform")],
        &[("content-type", "text/html"), ("vary", "*")],
    ] {
        assert!(!encodable(fields), "{fields:?}");
    }
}

#[test]
fn every_coding_can_be_read_again() {
    let body = page();
    let read = |coding: Coding| {
        let encoded = coding.encode(&body).unwrap();
        assert!(encoded.len() < body.len() / 4, "{coding:?}");
        let mut text = Vec::new();
        match coding {
            Coding::Zstd => text = zstd::bulk::decompress(&encoded, body.len()).unwrap(),
            Coding::Br => drop(brotli::Decompressor::new(&*encoded, 4096).read_to_end(&mut text).unwrap()),
            Coding::Gzip => drop(flate2::read::GzDecoder::new(&*encoded).read_to_end(&mut text).unwrap()),
        }
        text
    };
    for coding in Coding::ALL {
        assert!(read(coding) == body, "{coding:?}");
    }
}

#[test]
fn what_does_not_get_smaller_stays_as_it_is_and_is_tried_once() {
    let noise: Vec<u8> = (0..4000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let noise: Vec<u8> =
        (0..40_u8).flat_map(|round| blake3::hash(&[&[round], &noise[..]].concat()).as_bytes().to_vec()).collect();
    for coding in Coding::ALL {
        assert!(coding.encode(&noise).is_none(), "{coding:?}");
    }
    let (store, entry) = (Store::new(1 << 20), entry("\"v1\"", noise.into()));
    entry.to_be_coded(b"k", accepted("zstd")).unwrap().run(&store);
    assert!(entry.coded_for(accepted("zstd")).is_none());
    assert!(entry.to_be_coded(b"k", accepted("zstd")).is_none());
}

#[test]
fn a_coding_is_made_once_and_by_one() {
    let (store, entry) = (Store::new(1 << 20), entry("\"v1\"", page()));
    assert!(entry.coded_for(accepted("gzip, br, zstd")).is_none(), "not made yet");
    let job = entry.to_be_coded(b"k", accepted("gzip, br, zstd")).unwrap();
    assert!(entry.to_be_coded(b"k", accepted("gzip, br, zstd")).is_none(), "it is being made");
    drop(job);
    entry.to_be_coded(b"k", accepted("gzip, br, zstd")).unwrap().run(&store);
    assert!(entry.to_be_coded(b"k", accepted("gzip, br, zstd")).is_none());
    let zstd = entry.coded_for(accepted("gzip, br, zstd")).unwrap();
    assert_eq!(values(&zstd, "content-encoding"), ["zstd"]);
    assert!(Arc::ptr_eq(&zstd, &entry.coded_for(accepted("zstd")).unwrap()), "its head too");
    assert!(entry.coded_for(accepted("gzip")).is_none());
    assert!(entry.coded_for(accepted("identity")).is_none());
    entry.to_be_coded(b"k", accepted("gzip")).unwrap().run(&store);
    assert_eq!(values(&entry.coded_for(accepted("gzip")).unwrap(), "content-encoding"), ["gzip"]);
}

#[test]
fn a_coding_has_its_own_head() {
    let (store, entry) = (Store::new(1 << 20), entry("\"v1\"", page()));
    entry.to_be_coded(b"k", accepted("br")).unwrap().run(&store);
    let coded = entry.coded_for(accepted("br")).unwrap();
    let head = std::str::from_utf8(coded.head()).unwrap().to_ascii_lowercase();
    assert!(head.contains(&format!("content-length: {}\r\n", coded.body().len())), "{head}");
    assert_eq!(values(&coded, "etag"), ["W/\"v1\""], "two codings share no strong validator");
    assert_eq!(values(&entry, "etag"), ["\"v1\""]);
    assert_eq!(values(&coded, "vary"), ["Accept-Encoding"]);
    assert_eq!(values(&entry, "vary"), ["Accept-Encoding"]);
    assert!(values(&coded, "accept-ranges").is_empty() && values(&coded, "date") == values(&entry, "date"));
    assert_eq!(coded.age_seconds(Now::default().mono), entry.age_seconds(Now::default().mono));
}

#[test]
fn codings_count_against_the_memory() {
    let (store, entry) = (Store::new(1 << 20), entry("\"v1\"", page()));
    store.insert(b"k"[..].into(), entry.clone(), &[], Mono::ZERO);
    let before = entry.weight();
    entry.to_be_coded(b"k", accepted("gzip")).unwrap().run(&store);
    assert!(entry.weight() as usize > before as usize + entry.coded_for(accepted("gzip")).unwrap().body().len());
    assert_eq!(store.weighed(), u64::from(entry.weight()) + 1);
    // One that was replaced meanwhile does not come back.
    let newer = self::entry("\"v2\"", page());
    store.insert(b"k"[..].into(), newer.clone(), &[], Mono::ZERO);
    entry.to_be_coded(b"k", accepted("br")).unwrap().run(&store);
    assert!(Arc::ptr_eq(store.get(b"k").unwrap().select(&[]).unwrap(), &newer));
}

#[test]
fn an_entry_that_replaces_another_with_the_same_body_has_its_codings_too() {
    let (store, entry) = (Store::new(1 << 20), entry("\"v1\"", page()));
    entry.to_be_coded(b"k", accepted("br")).unwrap().run(&store);
    let fields = [Field { name: "ETag", value: b"\"v1\"" }, Field { name: "X-New", value: b"1" }];
    let fresher = Entry::new(&parts(&fields), entry.body().clone(), Terms::default(), Now::default());
    let fresher = Arc::new(fresher.encodable(entry.codings().unwrap().clone()));
    assert!(fresher.to_be_coded(b"k", accepted("br")).is_none(), "it is made");
    let coded = fresher.coded_for(accepted("br")).unwrap();
    assert_eq!((values(&coded, "x-new"), values(&coded, "content-encoding")), (vec!["1".into()], vec!["br".into()]));
}

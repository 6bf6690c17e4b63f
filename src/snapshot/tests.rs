use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};

use super::manifest::{Form, Object, PageTags, Variant};
use super::*;
use crate::pipeline::view::{BodyKind, Field, Scheme, Version, View};

pub(super) fn view<'a>(fields: &'a [Field<'a>]) -> View<'a> {
    View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Http,
        host: "shop.example",
        path: "/",
        raw_path: "/",
        query: None,
        fields,
        client: [127, 0, 0, 1].into(),
        trusted: false,
        body: BodyKind::None,
    }
}

fn wanted<'a>(host: &'a str, path: &'a str, query: Option<&'a str>) -> Wanted<'a> {
    Wanted { host, path, raw_path: path, query, accepts: Accepts::of(&view(&[])) }
}

#[test]
fn a_path_finds_its_file_its_html_or_its_index_and_nothing_outside() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    };
    for name in ["index.html", "about.html", "shop/index.html", "logo.svg", ".secret"] {
        put(name);
    }
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("leak.txt")).unwrap();
    let snapshot = Snapshot::load(dir.path()).unwrap();
    let find = |path: &str| snapshot.find(&wanted("any.example", path, Some("a=b")));
    let root = dir.path().canonicalize().unwrap();
    let name = |path: &str| find(path).map(|f| f.path.as_ref().unwrap().strip_prefix(&root).unwrap().to_owned());
    assert_eq!(name("/"), Some("index.html".into()));
    assert_eq!(name("/about"), Some("about.html".into()));
    assert_eq!(name("/shop"), Some("shop/index.html".into()));
    assert_eq!(name("/shop/"), Some("shop/index.html".into()));
    assert_eq!(name("/logo.svg"), Some("logo.svg".into()));
    for missing in ["/.secret", "/leak.txt", "/../etc/passwd", "/nothing", ""] {
        assert_eq!(name(missing), None, "{missing}");
    }
    let kind = |path: &str| find(path).unwrap().field(&CONTENT_TYPE).unwrap().to_str().unwrap().to_owned();
    assert_eq!(kind("/"), "text/html; charset=utf-8");
    assert_eq!(kind("/logo.svg"), "image/svg+xml");
}

fn page(host: &str, target: &str, variants: &[(Form, u64)]) -> Page {
    let object = |hash: &str, length| Object { hash: hash.repeat(64), length };
    let variant = |(form, length): &(Form, u64)| Variant { form: *form, width: None, object: object("b", *length) };
    Page {
        host: host.to_owned(),
        target: target.to_owned(),
        status: 200,
        fields: vec![("etag".to_owned(), "\"own\"".to_owned()), ("content-type".to_owned(), "image/png".to_owned())],
        object: Some(object("a", 100)),
        date_unix_ms: 1_767_175_200_000,
        asked_unix_ms: None,
        tags: PageTags::default(),
        variants: variants.iter().map(variant).collect(),
        recipe: 0,
    }
}

fn snapshot(pages: Vec<Page>) -> Snapshot {
    Snapshot::of(&Disk::new(Path::new("/s")), &Manifest { pages, ..Manifest::default() })
}

#[test]
fn a_taken_snapshot_answers_by_host_path_and_query_and_by_nothing_less() {
    let snapshot = snapshot(vec![page("a.example", "/x?p=1", &[]), page("", "/y", &[])]);
    let found = |host, path, query| snapshot.find(&wanted(host, path, query)).is_some();
    assert!(found("a.example", "/x", Some("p=1")));
    for (host, path, query) in [
        ("a.example", "/x", None),
        ("a.example", "/x", Some("p=2")),
        ("b.example", "/x", Some("p=1")),
        ("a.example", "/x/", Some("p=1")),
        ("b.example", "/y", Some("")),
    ] {
        assert!(!found(host, path, query), "{host}{path}?{query:?}");
    }
    assert!(found("b.example", "/y", None), "one without a host is for every host");
}

#[test]
fn the_smallest_form_that_is_accepted_answers_with_a_tag_of_its_own() {
    let snapshot = snapshot(vec![page("", "/", &[(Form::Gzip, 50), (Form::Br, 40), (Form::Webp, 30)])]);
    let chosen = |fields: &[Field<'_>]| {
        let accepts = Accepts::of(&view(fields));
        snapshot.find(&Wanted { accepts, ..wanted("h", "/", None) }).unwrap()
    };
    let field = |name, value: &'static str| Field { name, value: value.as_bytes() };
    let text = |file: &File, name| file.field(&name).map(|v| v.to_str().unwrap().to_owned());
    let own = chosen(&[]);
    assert_eq!((text(&own, CONTENT_ENCODING), text(&own, ETAG)), (None, Some("\"own\"".to_owned())));
    let br = chosen(&[field("Accept-Encoding", "gzip, br")]);
    assert_eq!(text(&br, CONTENT_ENCODING).as_deref(), Some("br"));
    assert_ne!(text(&br, ETAG), text(&own, ETAG));
    let parts = chosen(&[field("Accept-Encoding", "br"), field("Range", "bytes=0-")]);
    assert_eq!(text(&parts, CONTENT_ENCODING), None, "parts are of the text as it came");
    let gzip = chosen(&[field("Accept-Encoding", "gzip, br;q=0"), field("Accept", "image/webp;q=0, */*")]);
    assert_eq!(text(&gzip, CONTENT_ENCODING).as_deref(), Some("gzip"));
    let webp = chosen(&[field("Accept", "image/webp,*/*")]);
    assert_eq!(text(&webp, CONTENT_TYPE).as_deref(), Some("image/webp"));
    for file in [own, br, gzip, webp] {
        let vary: Vec<_> = file.fields.iter().filter(|(name, _)| *name == VARY).map(|(_, v)| v.clone()).collect();
        assert_eq!(vary, ["Accept", "Accept-Encoding"]);
    }
}

#[test]
fn the_smallest_width_that_is_wide_enough_answers_who_says_how_wide() {
    let mut picture = page("", "/a.jpg", &[]);
    let object = |length: u64| Object { hash: format!("{length:064x}"), length };
    let variant = |form, width, length| Variant { form, width, object: object(length) };
    picture.variants = vec![
        variant(Form::Webp, None, 90),
        variant(Form::Webp, Some(960), 50),
        variant(Form::Webp, Some(480), 20),
        variant(Form::Avif, Some(960), 40),
    ];
    let mut html = page("", "/", &[]);
    html.fields[1].1 = "text/html; charset=utf-8".to_owned();
    let snapshot = snapshot(vec![picture, html]);
    let field = |name, value: &'static str| Field { name, value: value.as_bytes() };
    let length = |fields: &[Field<'_>]| {
        let found = snapshot.find(&Wanted { accepts: Accepts::of(&view(fields)), ..wanted("h", "/a.jpg", None) });
        let file = found.unwrap();
        let vary: Vec<_> = file.fields.iter().filter(|(name, _)| *name == VARY).map(|(_, v)| v.clone()).collect();
        assert_eq!(vary, ["Accept", "Sec-CH-Width, Width, Save-Data"]);
        let hash = file.path.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        if hash.starts_with('a') { 100 } else { u64::from_str_radix(&hash, 16).unwrap() }
    };
    let (webp, both) = (field("Accept", "image/webp"), field("Accept", "image/avif,image/webp"));
    for (hint, webp_length, both_length) in [
        (field("X", ""), 90, 90),
        (field("Sec-CH-Width", "480"), 20, 20),
        (field("Width", "481"), 50, 40),
        (field("Sec-CH-Width", "961"), 90, 90),
        (field("Sec-CH-Width", "wide"), 90, 90),
        (field("Save-Data", "on"), 50, 40),
        (field("Save-Data", "off"), 90, 90),
    ] {
        assert_eq!(length(&[webp, hint]), webp_length, "{}", hint.name);
        assert_eq!(length(&[both, hint]), both_length, "{}", hint.name);
        assert_eq!(length(&[hint]), 100, "who takes neither gets the origin's own");
    }
    assert_eq!(length(&[webp, field("Save-Data", "on"), field("Sec-CH-Width", "2000")]), 90, "a width says more");
    let asks = |path| snapshot.find(&wanted("h", path, None)).unwrap().field(&"accept-ch".parse().unwrap()).cloned();
    assert_eq!((asks("/").unwrap(), asks("/a.jpg")), (HeaderValue::from_static("Sec-CH-Width, Width"), None));
}

#[test]
fn who_has_it_already_is_told_so_and_who_has_a_part_gets_the_rest() {
    let file = snapshot(vec![page("", "/", &[])]).find(&wanted("h", "/", None)).unwrap();
    let share = |fields: &[(&'static str, &'static str)]| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        file.share_of(&view(&fields))
    };
    let known = |name, value| share(&[(name, value)]) == Share::None;
    assert!(known("If-None-Match", "W/\"own\""));
    assert!(!known("If-None-Match", "\"other\""));
    assert!(known("If-Modified-Since", "Wed, 31 Dec 2025 10:00:00 GMT"));
    let parts = ("Range", "bytes=0-1");
    assert_eq!(share(&[parts]), Share::Parts((*b"bytes=0-1").into()));
    assert_eq!(share(&[parts, ("If-Range", "\"own\"")]), Share::Parts((*b"bytes=0-1").into()));
    assert_eq!(share(&[parts, ("If-Range", "\"other\"")]), Share::Whole);
    assert_eq!(share(&[parts, ("If-None-Match", "\"own\"")]), Share::None);
    assert_eq!(share(&[parts, parts]), Share::Whole, "said twice");
    assert_eq!(file.age_seconds(1_767_175_260_999), Some(60));
}

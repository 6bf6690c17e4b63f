//! Certificates: chosen by the name that the client asks for, and read again on HUP.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use support::{Edge, Origin, eventually, origin, policy};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate for these names, in the directory as `NAME.pem` and `NAME.key`.
fn put(dir: &std::path::Path, name: &str, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

/// Whether a client that trusts this certificate alone is content to talk to `name`; with the
/// protocol that ALPN chose.
fn accepts(edge: &Edge, trusted: &str, name: &'static str, alpn: &[&str]) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        let tcp = tokio::net::TcpStream::connect(edge.tls).await.unwrap();
        let name = ServerName::try_from(name).unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()?;
        Some(String::from_utf8_lossy(tls.get_ref().1.alpn_protocol().unwrap_or_default()).into_owned())
    })
}

#[test]
fn each_name_gets_its_certificate_and_hup_reads_them_again() {
    let place = Origin::plain();
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let one = put(dir.path(), "one", &["one.example"]);
    let two = put(dir.path(), "two", &["two.example", "*.two.example"]);
    let text = policy("", &origin(place.address, 4)).replace(
        "{ cert = \"edge.pem\", key = \"edge.key\" }",
        "{ cert = \"one.pem\", key = \"one.key\" }, { cert = \"two.pem\", key = \"two.key\" }",
    );
    let edge = Edge::start_in(dir.clone(), &text);
    assert_eq!(accepts(&edge, &one, "one.example", &["h2", "http/1.1"]).as_deref(), Some("h2"));
    assert_eq!(accepts(&edge, &two, "two.example", &["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(accepts(&edge, &two, "www.two.example", &[]).as_deref(), Some(""));
    assert_eq!(accepts(&edge, &one, "two.example", &["h2"]), None, "one's certificate is not two's");

    let renewed = put(dir.path(), "one", &["one.example"]);
    assert_eq!(accepts(&edge, &renewed, "one.example", &["h2"]), None, "not yet");
    edge.signal(libc::SIGHUP);
    eventually("the new certificate is used", || accepts(&edge, &renewed, "one.example", &["h2"]).is_some());
}

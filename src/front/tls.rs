//! TLS by rustls: several certificates, chosen by SNI, HTTP/2 and HTTP/1.1 by ALPN.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::policy::{Certificate, Tls};

/// A listener's TLS; replaced whole when certificates are read again.
pub type Shared = Arc<ArcSwap<ServerConfig>>;

/// Why a certificate can't be used.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("can't read {path}: {error}")]
    Read { path: String, error: io::Error },
    #[error("{path} is not PEM: {error}")]
    Pem { path: String, error: rustls_pki_types::pem::Error },
    #[error("{0} holds no certificate")]
    Empty(String),
    #[error("the key {key} does not fit the certificate {cert}: {error}")]
    Mismatch { cert: String, key: String, error: tokio_rustls::rustls::Error },
    #[error("{cert} can't be used: {error}")]
    Unusable { cert: String, error: String },
}

/// Reads the certificates of a `[tls.NAME]`.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn load(policy: &Tls) -> Result<ServerConfig, TlsError> {
    let mut by_name = HashMap::new();
    let mut first = None;
    for certificate in &policy.certificates {
        let key = Arc::new(certified(certificate)?);
        for name in names(&key, certificate)? {
            by_name.entry(name).or_insert_with(|| key.clone());
        }
        first.get_or_insert(key);
    }
    let resolver = BySni { by_name, first };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Unusable { cert: policy.name.clone(), error: error.to_string() })?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Read { path: path.display().to_string(), error })
}

fn certified(files: &Certificate) -> Result<CertifiedKey, TlsError> {
    let (cert, key) = (files.cert.display().to_string(), files.key.display().to_string());
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&read(&files.cert)?).collect();
    let chain = chain.map_err(|error| TlsError::Pem { path: cert.clone(), error })?;
    if chain.is_empty() {
        return Err(TlsError::Empty(cert));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|error| TlsError::Pem { path: key.clone(), error })?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| TlsError::Mismatch {
        cert,
        key,
        error,
    })
}

/// The names a certificate is for, lower case, from its subjectAltName (RFC 6125 §6.4.4).
fn names(key: &CertifiedKey, files: &Certificate) -> Result<Vec<String>, TlsError> {
    let unusable = |error: String| TlsError::Unusable { cert: files.cert.display().to_string(), error };
    let der = key.end_entity_cert().map_err(|e| unusable(e.to_string()))?;
    let parsed = webpki::EndEntityCert::try_from(der).map_err(|e| unusable(e.to_string()))?;
    Ok(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// The certificate of the name that the client asks for: exact, then by wildcard, then the first.
#[derive(Debug)]
struct BySni {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let found = asked.and_then(|name| {
            let wildcard = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
            self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard?))
        });
        found.or(self.first.as_ref()).cloned()
    }
}

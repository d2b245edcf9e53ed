//! What the server proves who it is with, and how that is replaced while it runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// s before its end from which on a certificate is complained about: whoever renews it by itself has done so long before.
const SOON: i64 = 14 * 24 * 3_600;
/// s between two such complaints.
const COMPLAIN_EVERY: i64 = 24 * 3_600;

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then those between it and a root.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// Why a certificate is of no use; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("server.tls: cannot read {path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("server.tls: {path} {problem}")]
    Content {
        /// Which.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The two do not fit.
    #[error("server.tls: the key {key} is not that of the certificate {cert}: {source}")]
    Mismatch {
        /// The certificate's file.
        cert: String,
        /// The key's file.
        key: String,
        /// Why.
        source: rustls::Error,
    },
}

/// A certificate with its key, good to be shown. Cheap to clone.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    /// s since 1970.
    expires: i64,
}

impl fmt::Debug for Certificate {
    /// Never shows a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate(expires {})", self.expires)
    }
}

impl TlsFiles {
    /// Reads both files. One that has expired is read, too: it is better than none, and whoever looks is told.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn read(&self) -> Result<Certificate, CertificateError> {
        let name = |path: &Path| path.display().to_string();
        let bytes =
            |path: &Path| std::fs::read(path).map_err(|source| CertificateError::Read { path: name(path), source });
        let wrong = |path: &Path, problem: String| CertificateError::Content { path: name(path), problem };
        let (cert, key) = (bytes(&self.cert)?, bytes(&self.key)?);
        let chain = CertificateDer::pem_slice_iter(&cert).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| wrong(&self.cert, format!("is not PEM: {error}")))?;
        let Some(first) = chain.first() else {
            return Err(wrong(&self.cert, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".into()));
        };
        let parsed = x509_parser::parse_x509_certificate(first);
        let (_, parsed) = parsed.map_err(|error| wrong(&self.cert, format!("holds no X.509 certificate: {error}")))?;
        let expires = parsed.validity().not_after.timestamp();
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| {
            wrong(&self.key, "holds no private key in PEM that is not encrypted (-----BEGIN PRIVATE KEY-----)".into())
        })?;
        let key = CertifiedKey::from_der(chain.clone(), key, &ring::default_provider())
            .map_err(|source| CertificateError::Mismatch { cert: name(&self.cert), key: name(&self.key), source })?;
        Ok(Certificate { key: Arc::new(key), expires })
    }
}

impl Certificate {
    /// Says what is wrong with its time, if anything is. `now` is in s since 1970.
    fn complaint(&self, now: i64) -> Option<String> {
        let left = self.expires - now;
        match left {
            ..=0 => Some("the TLS certificate has expired: clients refuse to connect".into()),
            1..SOON => Some(format!("the TLS certificate expires in {} hours", left / 3_600)),
            _ => None,
        }
    }
}

/// When the certificate in use expires. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Expiry(Arc<AtomicI64>);

impl Expiry {
    /// Returns s since 1970; `None` without a certificate.
    pub(crate) fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }
}

/// Settings of TLS whose certificate can be replaced: connections that stand keep theirs.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
    expiry: Expiry,
    complained: Arc<AtomicI64>,
}

#[derive(Debug)]
struct Shown(RwLock<Certificate>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).key))
    }
}

impl Tls {
    /// TLS 1.2 and 1.3 with this certificate, for HTTP/1.1.
    ///
    /// # Errors
    /// What rustls says of its own defaults, or the system of random numbers.
    pub(crate) fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let shown = Arc::new(Shown(RwLock::new(certificate.clone())));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Clients that come back are spared a round trip, also on another shard.
        config.ticketer = ring::Ticketer::new()?;
        let tls = Self { config: Arc::new(config), shown, expiry: Expiry::default(), complained: Arc::default() };
        tls.replace(certificate);
        Ok(tls)
    }

    /// Shows another certificate from now on.
    pub(crate) fn replace(&self, certificate: Certificate) {
        self.expiry.0.store(certificate.expires, Ordering::Relaxed);
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certificate;
        self.complained.store(0, Ordering::Relaxed);
        self.look();
    }

    /// Complains once a day about a certificate whose time is over, or nearly.
    pub(crate) fn look(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let certificate = self.shown.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(complaint) = certificate.complaint(now)
            && now - self.complained.load(Ordering::Relaxed) >= COMPLAIN_EVERY
        {
            self.complained.store(now, Ordering::Relaxed);
            tracing::warn!(expires = certificate.expires, "{complaint}");
        }
    }

    /// Returns where to look when the certificate in use expires.
    pub(crate) fn expiry(&self) -> Expiry {
        self.expiry.clone()
    }

    /// Returns what a handshake needs.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cert: &str, key: &str) -> (tempfile::TempDir, TlsFiles) {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        (dir, files)
    }

    #[test]
    fn what_is_of_no_use_is_named_and_no_key_is_shown() {
        let one = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let (cert, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        for (cert, key, said) in [
            ("", key.as_str(), "cert.pem holds no certificate"),
            (key.as_str(), key.as_str(), "cert.pem holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key.as_str(), "no X.509 certificate"),
            (cert.as_str(), "", "key.pem holds no private key"),
            (cert.as_str(), cert.as_str(), "key.pem holds no private key"),
            (cert.as_str(), other.as_str(), "is not that of the certificate"),
        ] {
            let (_dir, files) = written(cert, key);
            let error = files.read().unwrap_err().to_string();
            assert!(error.starts_with("server.tls: ") && error.contains(said), "{error}");
            assert!(!error.contains("MI"), "{error}");
        }
        let (dir, files) = written(&cert, &key);
        assert!(files.read().is_ok());
        drop(dir);
        assert!(files.read().unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn the_end_of_a_certificate_is_announced() {
        let one = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let (_dir, files) = written(&one.cert.pem(), &one.signing_key.serialize_pem());
        let certificate = files.read().unwrap();
        let complaint = |left: i64| certificate.complaint(certificate.expires - left);
        assert_eq!(complaint(SOON), None);
        assert!(complaint(7_200).unwrap().ends_with("expires in 2 hours"));
        assert!(complaint(0).unwrap().contains("has expired"));
    }
}

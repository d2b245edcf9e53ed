use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// Settings of TLS: Mozilla's roots, which are part of this crate, and those that the app adds.
///
/// # Errors
/// `client.certificate` for what is no certificate.
pub(crate) fn config(added: &[Vec<u8>]) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for bytes in added {
        for certificate in read(bytes)? {
            roots.add(certificate).map_err(|error| invalid(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::client("client.tls", error.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// Reads PEM, which may hold several certificates, or DER.
fn read(bytes: &[u8]) -> Result<Vec<CertificateDer<'_>>, Error> {
    const PEM: &[u8] = b"-----BEGIN";
    if !bytes.windows(PEM.len()).any(|window| window == PEM) {
        return Ok(vec![CertificateDer::from(bytes)]);
    }
    let certificates = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(invalid(&"there is none in the PEM text")),
        Err(error) => Err(invalid(&error)),
    }
}

fn invalid(why: &dyn std::fmt::Display) -> Error {
    Error::client("client.certificate", format!("a root certificate is given as PEM or DER: {why}"))
}

//! `moorline-server health`: for containers, which have no `curl`.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};

/// What is asked, where nothing else is said.
pub(crate) const URL: &str = "http://127.0.0.1:8000/readyz";
/// An answer that takes longer is none.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;

/// What is asked, and whom to believe.
#[derive(clap::Args)]
pub(crate) struct Health {
    /// What is asked, http:// or https://; /readyz, or /healthz for one that only has to be alive. At a loopback address
    /// (127.0.0.1, [::1]) any certificate is taken: the server's is for another name.
    #[arg(long, env = "MOORLINE_HEALTH_URL", default_value = URL)]
    url: String,
    /// PEM certificates that are trusted beside those of the web, for https:// elsewhere.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// A URL, taken apart.
#[derive(Debug, PartialEq)]
struct Place<'a> {
    is_secure: bool,
    /// Host and port.
    authority: &'a str,
    host: &'a str,
    path: &'a str,
}

/// Asks a server. Returns the status line of its answer if that is 200.
///
/// # Errors
/// A sentence: the URL is none, a certificate cannot be read, nobody answers, or the answer is not 200.
pub(crate) fn ask(Health { url, ca_file }: &Health) -> Result<String, String> {
    let place = Place::of(url)?;
    let unreachable = |error: std::io::Error| format!("{url} does not answer: {error}");
    let mut stream = connect(place.authority).map_err(unreachable)?;
    stream.set_read_timeout(Some(WITHIN)).map_err(unreachable)?;
    stream.set_write_timeout(Some(WITHIN)).map_err(unreachable)?;
    let answer = if place.is_secure {
        let name = ServerName::try_from(place.host.to_owned()).map_err(|_| wrong(url))?;
        let session = ClientConnection::new(Arc::new(trust(place.host, ca_file.as_deref())?), name);
        let session = session.map_err(|error| format!("TLS cannot be used: {error}"))?;
        exchange(&mut StreamOwned::new(session, stream), &place)
    } else {
        exchange(&mut stream, &place)
    };
    let answer = answer.map_err(unreachable)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(format!("{url}: {status}")),
        Some(_) => Err(format!("{url} says {status}")),
        None => Err(format!("{url} does not speak HTTP")),
    }
}

fn exchange(stream: &mut (impl Read + Write), place: &Place<'_>) -> std::io::Result<Vec<u8>> {
    let Place { authority, path, .. } = place;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    match stream.take(ANSWER).read_to_end(&mut answer) {
        // TLS that ends without saying so.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

impl<'a> Place<'a> {
    fn of(url: &'a str) -> Result<Self, String> {
        let (is_secure, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => return Err(wrong(url)),
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| wrong(url))?;
        let is_plain = !path.contains(|char: char| char.is_whitespace() || char.is_control());
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_good = !host.is_empty() && port.parse::<u16>().is_ok() && is_plain;
        if is_good { Ok(Self { is_secure, authority, host, path }) } else { Err(wrong(url)) }
    }
}

fn wrong(url: &str) -> String {
    format!("`{url}` is not a URL such as {URL}, with its port")
}

fn connect(authority: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::ErrorKind::AddrNotAvailable.into();
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, WITHIN) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns whom to believe that it is the server.
fn trust(host: &str, ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    if host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) && ca_file.is_none() {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let own = Arc::new(ThisMachine(algorithms));
        return Ok(ClientConfig::builder().dangerous().with_custom_certificate_verifier(own).with_no_client_auth());
    }
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = ca_file {
        let bad = |problem: String| format!("{}: {problem}", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
        let certificates: Result<Vec<_>, _> = certificates.collect();
        let (added, _) = roots.add_parsable_certificates(certificates.map_err(|error| bad(error.to_string()))?);
        if added == 0 {
            return Err(bad("there is no certificate in it".to_owned()));
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// Takes any certificate whose key the other side has: whoever answers at a loopback address is on this machine, is told
/// nothing but a path, and is asked whether it answers.
#[derive(Debug)]
struct ThisMachine(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for ThisMachine {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_scheme_host_port_and_path() {
        let place = |is_secure, authority, host, path| Ok(Place { is_secure, authority, host, path });
        assert_eq!(Place::of(URL), place(false, "127.0.0.1:8000", "127.0.0.1", "/readyz"));
        assert_eq!(Place::of("http://[::1]:80"), place(false, "[::1]:80", "::1", "/"));
        assert_eq!(Place::of("https://a.example:443/"), place(true, "a.example:443", "a.example", "/"));
        for wrong in [
            "",
            "127.0.0.1:8000",
            "ftp://a:1/",
            "https://a/",
            "http://a/",
            "http://:1/",
            "http://a:99999/",
            "http://a:1/ b",
        ] {
            assert!(Place::of(wrong).is_err_and(|text| text.contains("is not a URL")), "{wrong}");
        }
    }
}

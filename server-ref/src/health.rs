//! `moorline-server health`: for containers, which have no `curl`.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// What is asked, where nothing else is said.
pub(crate) const URL: &str = "http://127.0.0.1:8000/readyz";
/// An answer that takes longer is none.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;

/// Asks a server by HTTP. Returns the status line of its answer if that is 200.
///
/// # Errors
/// A sentence: the URL is none, nobody answers, or the answer is not 200.
pub(crate) fn ask(url: &str) -> Result<String, String> {
    let (authority, path) = parts(url)?;
    let unreachable = |error: std::io::Error| format!("{url} does not answer: {error}");
    let mut stream = connect(authority).map_err(unreachable)?;
    stream.set_read_timeout(Some(WITHIN)).map_err(unreachable)?;
    stream.set_write_timeout(Some(WITHIN)).map_err(unreachable)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(unreachable)?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).map_err(unreachable)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(format!("{url}: {status}")),
        Some(_) => Err(format!("{url} says {status}")),
        None => Err(format!("{url} does not speak HTTP")),
    }
}

/// Splits a URL into host with port, and path.
fn parts(url: &str) -> Result<(&str, &str), String> {
    let wrong = || format!("`{url}` is not a URL such as {URL}; https is not asked: name the plain listener");
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let is_good =
        authority.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    let is_plain = !path.contains(|char: char| char.is_whitespace() || char.is_control());
    if is_good && is_plain { Ok((authority, path)) } else { Err(wrong()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_host_port_and_path() {
        assert_eq!(parts(URL), Ok(("127.0.0.1:8000", "/readyz")));
        assert_eq!(parts("http://[::1]:80"), Ok(("[::1]:80", "/")));
        for wrong in
            ["", "127.0.0.1:8000", "https://a:1/", "http://a/", "http://:1/", "http://a:99999/", "http://a:1/ b"]
        {
            assert!(parts(wrong).is_err_and(|text| text.contains("is not a URL")), "{wrong}");
        }
    }
}

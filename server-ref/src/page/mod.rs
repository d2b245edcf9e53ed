//! The chat that a server in development mode shows at `/`. `examples/chat-web` is its source.
//! The console's page beside it is shown by [`http`](crate::http).

use crate::ws::Plain;

const PAGE: &[u8] = include_bytes!("chat.html.gz");
/// What the page may do: run itself, and connect to where it comes from.
const POLICY: &str = include_str!("chat.csp");

/// Answers a request for the page; `None` for what asks for something else, or cannot read it.
pub(crate) fn answer(request: &Plain) -> Option<Vec<u8>> {
    if request.path != "/" || !request.takes_gzip {
        return None;
    }
    let tag = tag();
    let common = format!(
        "ETag: {tag}\r\nCache-Control: no-cache\r\nVary: Accept-Encoding\r\nContent-Security-Policy: {}\r\nConnection: close\r\n",
        POLICY.trim_end()
    );
    if request.knows.as_deref().is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return Some(format!("HTTP/1.1 304 Not Modified\r\n{common}\r\n").into_bytes());
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n{common}\r\n",
        PAGE.len()
    );
    let body = if request.is_head { &[] } else { PAGE };
    Some([head.as_bytes(), body].concat())
}

/// The checksum and size that end a gzip file.
fn tag() -> String {
    let end = PAGE.last_chunk::<8>().map_or(0, |end| u64::from_be_bytes(*end));
    format!("\"{end:016x}\"")
}

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moorline_protocol::{AppName, Codec};
use sha1::{Digest, Sha1};

/// Bytes of a request's head.
pub const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that becomes a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The app of its path.
    pub app: AppName,
    /// The codec agreed on.
    pub codec: Codec,
    /// Where the page that opens it comes from, if a browser says so.
    pub origin: Option<String>,
    /// All headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The answer.
    pub response: String,
    /// How many bytes of the input it took.
    pub head: usize,
}

/// A request that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What to do.
    pub text: String,
    /// What was asked for, by a request that was not meant to become a WebSocket.
    pub plain: Option<Plain>,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u64>,
}

/// A request for something else than a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// Its path.
    pub path: String,
    /// Whether it is a `HEAD`: the answer has no body.
    pub is_head: bool,
    /// Whether it takes an answer in gzip.
    pub takes_gzip: bool,
    /// The `ETag`s that it has already.
    pub knows: Option<String>,
}

impl Refusal {
    /// Makes a refusal of its parts.
    pub(crate) fn new(status: u16, text: &str) -> Self {
        Self { status, text: text.into(), plain: None, retry_after: None }
    }

    /// There is too much to do now.
    pub(crate) fn busy(text: &str, wait: Duration) -> Self {
        let retry_after = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        Self { retry_after, ..Self::new(503, text) }
    }

    /// Returns the whole response.
    pub fn response(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            426 => "Upgrade Required",
            431 => "Request Header Fields Too Large",
            505 => "HTTP Version Not Supported",
            _ => "Service Unavailable",
        };
        let extra = match self.status {
            405 => "Allow: GET\r\n",
            426 => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        };
        let retry = self.retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
        format!(
            "HTTP/1.1 {} {reason}\r\n{extra}{retry}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}\n",
            self.status,
            self.text.len() + 1,
            self.text
        )
    }
}

/// Reads a request's head; `None` until it is whole.
///
/// # Errors
/// [`Refusal`]: send its response and close.
pub fn upgrade(bytes: &[u8]) -> Result<Option<Upgrade>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Ok(httparse::Status::Complete(head)) if head <= MAX_HEAD => head,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        // Whole or not: what is too large does not depend on how it is cut.
        Ok(_) => return Err(Refusal::new(431, "the request's head is larger than 8 KiB")),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::new(431, "the request has more than 64 headers")),
        Err(_) => return Err(Refusal::new(400, "this is not an HTTP request")),
    };
    let header = |name: &str| value(request.headers, name);
    let has = |name: &str, token: &str| {
        header(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    };
    let path = request.path.unwrap_or("/").split('?').next().unwrap_or("/");
    let plain = |is_head| {
        let accepted = header("accept-encoding").unwrap_or_default().to_ascii_lowercase();
        let takes_gzip = accepted
            .split(',')
            .map(|coding| coding.replace(' ', ""))
            .any(|coding| coding.split(';').next() == Some("gzip") && !coding.ends_with(";q=0"));
        Plain { path: path.to_owned(), is_head, takes_gzip, knows: header("if-none-match") }
    };
    if request.method != Some("GET") {
        let plain = (request.method == Some("HEAD")).then(|| plain(true));
        return Err(Refusal { plain, ..Refusal::new(405, "only GET is answered here") });
    }
    if request.version != Some(1) {
        return Err(Refusal::new(505, "HTTP/1.1 is needed"));
    }
    let app = match path.strip_prefix("/ws") {
        Some("" | "/") => AppName::default_app(),
        Some(rest) => match rest.strip_prefix('/').map(AppName::new) {
            Some(Ok(app)) => app,
            _ => return Err(Refusal::new(404, "the path of the WebSocket is /ws or /ws/{app}")),
        },
        None => {
            let text = "there is nothing here; the path of the WebSocket is /ws or /ws/{app}";
            return Err(Refusal { plain: Some(plain(false)), ..Refusal::new(404, text) });
        }
    };
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err(Refusal::new(426, "this is the path of a WebSocket; connect with a WebSocket client"));
    }
    if header("sec-websocket-version").as_deref() != Some("13") {
        return Err(Refusal::new(426, "WebSocket version 13 is needed"));
    }
    let key = header("sec-websocket-key").filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let Some(key) = key else {
        return Err(Refusal::new(400, "Sec-WebSocket-Key is missing or not 16 bytes in base64"));
    };
    let (codec, chosen) = codec(header("sec-websocket-protocol").as_deref())?;
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    let protocol = chosen.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    );
    let origin = header("origin");
    let headers = request.headers.iter().map(owned).collect();
    Ok(Some(Upgrade { app, codec, origin, headers, response, head }))
}

/// Returns the lines of a header of a whole head, in their order; `name` in lower case. A line that is not UTF-8 stands
/// for nothing, at its place.
pub fn header_lines(head: &[u8], name: &str) -> Vec<String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if request.parse(head).is_err() {
        return Vec::new();
    }
    let lines = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    lines.map(|header| String::from_utf8_lossy(header.value).into_owned()).collect()
}

/// Returns the path of a request whose first line is whole.
pub fn path(bytes: &[u8]) -> Option<&str> {
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    let target = std::str::from_utf8(line).ok()?.split(' ').nth(1)?;
    target.split('?').next()
}

fn owned(header: &httparse::Header<'_>) -> (String, String) {
    (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
}

/// Returns a header's value. Several lines are one list; bytes that are not UTF-8 fit nothing.
fn value(headers: &[httparse::Header<'_>], name: &str) -> Option<String> {
    let lines = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let lines: Vec<_> = lines.map(|header| String::from_utf8_lossy(header.value)).collect();
    (!lines.is_empty()).then(|| lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(", "))
}

/// Chooses among the subprotocols offered: binary before JSON; JSON where none is offered.
fn codec(offered: Option<&str>) -> Result<(Codec, Option<&'static str>), Refusal> {
    let Some(offered) = offered else { return Ok((Codec::Json, None)) };
    let has = |name| offered.split(',').any(|part| part.trim() == name);
    if has(Codec::BINARY_SUBPROTOCOL) {
        Ok((Codec::Binary, Some(Codec::BINARY_SUBPROTOCOL)))
    } else if has(Codec::JSON_SUBPROTOCOL) {
        Ok((Codec::Json, Some(Codec::JSON_SUBPROTOCOL)))
    } else {
        Err(Refusal::new(400, "the subprotocols of this server are moorline.v1.bin and moorline.v1.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, extra: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
        )
    }

    #[test]
    fn the_example_of_the_standard_is_accepted() {
        let upgrade = upgrade(request("/ws", "").as_bytes()).unwrap().unwrap();
        assert!(upgrade.response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!((upgrade.codec, upgrade.app), (Codec::Json, AppName::default_app()));
    }

    #[test]
    fn binary_wins_and_the_app_is_in_the_path() {
        let offer = "Sec-WebSocket-Protocol: moorline.v1.json, moorline.v1.bin\r\n";
        let upgrade = upgrade(request("/ws/shop?x=1", offer).as_bytes()).unwrap().unwrap();
        assert_eq!((upgrade.codec, upgrade.app.as_str()), (Codec::Binary, "shop"));
    }

    #[test]
    fn refusals_say_what_to_do() {
        let status = |text: &str| upgrade(text.as_bytes()).unwrap_err().status;
        assert_eq!(status("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"), 426);
        assert_eq!(status("POST /ws HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
        assert_eq!(status("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
        assert_eq!(status(&request("/ws/a/b", "")), 404);
        assert_eq!(status(&request("/ws", "Sec-WebSocket-Protocol: mqtt\r\n")), 400);
        assert_eq!(status("\0\0\0\0"), 400);
        assert_eq!(status(&format!("GET /ws HTTP/1.1\r\nA: {}", "x".repeat(MAX_HEAD))), 431);
        assert_eq!(status(&request("/ws", &format!("A: {}\r\n", "x".repeat(MAX_HEAD)))), 431);
        assert!(upgrade(b"GET /ws HTTP/1.1\r\n").unwrap().is_none());
    }
}

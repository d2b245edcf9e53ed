//! A real HTTP receiver, which behaves as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver as Inbox};
use std::time::Duration;

use moorline_server::hooks::{Secret, sign};
use serde_json::Value;

/// Whatever takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a receiver answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Status(u16),
    /// These bytes, and then the end.
    Bytes(String),
    /// Nothing, and the connection stays open.
    Hang,
}

/// What a receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.iter().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub(crate) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["events"].as_array().unwrap().clone()
    }

    /// Tells whether one of the signatures is that of a secret.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let timestamp = self.header("webhook-timestamp").parse().unwrap();
        let expected = sign(&[Secret::parse(secret).unwrap()], self.header("webhook-id"), timestamp, &self.body);
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// See the module's documentation.
pub(crate) struct Receiver {
    address: SocketAddr,
    requests: Inbox<Request>,
}

impl Receiver {
    /// Begins to listen. Each request is answered as `behave` says of it.
    pub(crate) fn start(mut behave: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::channel();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let Some(request) = read(&stream) else { continue };
                let answer = behave(&request);
                if sender.send(request).is_err() {
                    return;
                }
                open.extend(reply(stream, &answer));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// Waits for the next request.
    pub(crate) fn request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }

    /// Returns a request that is there already.
    pub(crate) fn look(&self) -> Option<Request> {
        self.requests.try_recv().ok()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let mut request = Request { head, body: Vec::new() };
    request.body =
        vec![0; Some(request.header("content-length")).filter(|text| !text.is_empty()).unwrap_or("0").parse().ok()?];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn reply(mut stream: TcpStream, answer: &Answer) -> Option<TcpStream> {
    let bytes = match answer {
        Answer::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n"),
        Answer::Bytes(bytes) => bytes.clone(),
        Answer::Hang => return Some(stream),
    };
    // Whoever does not wait for the answer is not served.
    let _ = stream.write_all(bytes.as_bytes());
    None
}

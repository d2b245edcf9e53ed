//! Reads a channel's whole log through the server, without the client: a WebSocket, JSON frames, `history` pages.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use moorline_protocol::{
    ChannelName, ChannelRef, ClientFrame, Codec, DecodeError, Decoded, ErrorFrame, Hello, History, HistoryRange,
    Message, Offset, Page, ServerFrame, limits,
};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite};

use crate::checker::{Entry, Mark, Place};

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The connection failed.
    #[error(transparent)]
    WebSocket(#[from] tungstenite::Error),
    /// The server sent what is not a frame.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The server answered with an error.
    #[error("the server answered {}: {}", .0.code, .0.message.as_str())]
    Refused(Box<ErrorFrame>),
    /// The connection ended before the answer.
    #[error("the server closed the connection")]
    Closed,
    /// A page did not bring the log any further.
    #[error("a page after {0} says that more follows and holds nothing")]
    Stuck(Offset),
}

/// A connection that only reads history.
#[derive(Debug)]
pub struct LogReader {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests: u64,
}

impl LogReader {
    /// Connects, with a token that may read everything.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn connect(url: &str, token: &str) -> Result<Self, ReadError> {
        let mut request = url.into_client_request()?;
        let subprotocol = HeaderValue::from_static(Codec::JSON_SUBPROTOCOL);
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        let (socket, _) = connect_async(request).await?;
        let mut reader = Self { socket, requests: 0 };
        let hello = Hello { v: 1, token: Some(token.into()), ..Hello::default() };
        reader.send(&ClientFrame::Hello(hello)).await?;
        reader.answer(|frame| matches!(frame, ServerFrame::Welcome(_)).then_some(())).await?;
        Ok(reader)
    }

    /// Returns everything that a channel's log holds, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&mut self, channel: &ChannelName) -> Result<Vec<Entry>, ReadError> {
        let mut entries = Vec::new();
        let mut after = Offset::ZERO;
        loop {
            let page = self.page(channel, after).await?;
            let reached = page.messages.last().and_then(|message| message.offset).unwrap_or(after);
            let epoch = Arc::from(page.epoch.as_str());
            entries.extend(page.messages.into_iter().filter_map(|message| entry(&epoch, &message)));
            if !page.more {
                return Ok(entries);
            }
            if reached <= after {
                return Err(ReadError::Stuck(after));
            }
            after = reached;
        }
    }

    async fn page(&mut self, channel: &ChannelName, after: Offset) -> Result<Page, ReadError> {
        self.requests += 1;
        let req = self.requests;
        let history = History {
            req,
            channel: ChannelRef::Name(channel.clone()),
            range: HistoryRange::After(after),
            limit: u32::try_from(limits::PAGE_MESSAGES).ok(),
        };
        self.send(&ClientFrame::History(history)).await?;
        self.answer(|frame| {
            let ServerFrame::Page(page) = frame else { return None };
            (page.req == req).then_some(page)
        })
        .await
    }

    async fn send(&mut self, frame: &ClientFrame) -> Result<(), ReadError> {
        let mut text = Vec::new();
        Codec::Json.encode_client(frame, &mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(self.socket.send(tungstenite::Message::text(text)).await?)
    }

    /// Waits for a frame that `wanted` takes; errors of the server end the wait, pings are answered.
    async fn answer<T>(&mut self, wanted: impl Fn(ServerFrame) -> Option<T>) -> Result<T, ReadError> {
        while let Some(message) = self.socket.next().await {
            let tungstenite::Message::Text(text) = message? else { continue };
            let mut bytes = Bytes::from(text);
            while let Some(frame) = Codec::Json.decode_server(&mut bytes)? {
                match frame {
                    Decoded::Frame(ServerFrame::Error(error)) => return Err(ReadError::Refused(Box::new(error))),
                    Decoded::Frame(ServerFrame::Ping(ping)) => {
                        self.send(&ClientFrame::Pong(moorline_protocol::Pong { n: ping.n })).await?;
                    }
                    Decoded::Frame(frame) => {
                        if let Some(answer) = wanted(frame) {
                            return Ok(answer);
                        }
                    }
                    Decoded::Ignored | Decoded::Unsupported { .. } => {}
                }
            }
        }
        Err(ReadError::Closed)
    }
}

fn entry(epoch: &Arc<str>, message: &Message) -> Option<Entry> {
    let place = Place { epoch: Arc::clone(epoch), offset: message.offset?.0 };
    let mark = std::str::from_utf8(message.payload.bytes()).ok().and_then(Mark::parse);
    Some(Entry { place, mark })
}

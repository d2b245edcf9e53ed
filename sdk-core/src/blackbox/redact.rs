//! What is secret leaves a mark of its kind and length; to run a recording, fillers of that length take its place.

use moorline_protocol::{Bytes, Headers, Member, MembersView, Message, Packed, Payload, ServerFrame, Utf8Bytes};

/// A frame that nobody can read: it stands for all such.
pub(super) const BROKEN: &[u8] = &[1];

/// Returns the frame with marks.
pub(super) fn hide(frame: &ServerFrame) -> ServerFrame {
    change(frame.clone(), &Secrets { payload: mark_payload, text: mark_text, bytes: mark_bytes })
}

/// Returns the frame with fillers for its marks.
pub(super) fn fill(frame: ServerFrame) -> ServerFrame {
    change(frame, &Secrets { payload: fill_payload, text: fill_text, bytes: fill_bytes })
}

pub(super) fn mark_payload(payload: &Payload) -> Payload {
    let mark = mark(payload.bytes().len());
    match payload {
        Payload::Json(_) => Payload::Json(mark.into_bytes().into()),
        Payload::Text(_) => Payload::Text(mark.into()),
        Payload::Binary(_) => Payload::Binary(mark.into_bytes().into()),
    }
}

pub(super) fn fill_payload(payload: &Payload) -> Payload {
    let filler = filler(payload.bytes());
    match payload {
        Payload::Json(mark) => Payload::Json(json(mark)),
        Payload::Text(_) => Payload::Text(filler.into()),
        Payload::Binary(_) => Payload::Binary(filler.into_bytes().into()),
    }
}

pub(super) fn mark_headers(headers: &Headers) -> Headers {
    headers.iter().map(|(name, value)| (name.clone(), mark_text(value))).collect()
}

pub(super) fn fill_headers(headers: &Headers) -> Headers {
    headers.iter().map(|(name, value)| (name.clone(), fill_text(value))).collect()
}

pub(super) fn mark_text(text: &Utf8Bytes) -> Utf8Bytes {
    mark(text.as_bytes().len()).into()
}

pub(super) fn fill_text(text: &Utf8Bytes) -> Utf8Bytes {
    filler(text.as_bytes()).into()
}

pub(super) fn mark_bytes(bytes: &Bytes) -> Bytes {
    mark(bytes.len()).into_bytes().into()
}

/// Of a presence state, which is JSON.
pub(super) fn fill_bytes(bytes: &Bytes) -> Bytes {
    json(bytes)
}

/// Any JSON: a number and white space.
fn json(mark: &[u8]) -> Bytes {
    filler(mark).replacen(' ', "0", 1).into_bytes().into()
}

/// A token of so many bytes.
pub(super) fn token(length: u64) -> String {
    "t".repeat(usize::try_from(length).unwrap_or(0).min(1 << 16))
}

/// A length, in decimal digits.
fn mark(length: usize) -> String {
    length.to_string()
}

/// So many spaces as a mark says.
fn filler(mark: &[u8]) -> String {
    let length = std::str::from_utf8(mark).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0_usize);
    " ".repeat(length.min(1 << 20))
}

/// What is done to each kind of secret.
struct Secrets {
    payload: fn(&Payload) -> Payload,
    text: fn(&Utf8Bytes) -> Utf8Bytes,
    bytes: fn(&Bytes) -> Bytes,
}

fn change(mut frame: ServerFrame, secrets: &Secrets) -> ServerFrame {
    match &mut frame {
        ServerFrame::Deliver(deliver) => secrets.messages(&mut deliver.messages),
        ServerFrame::Page(page) => secrets.messages(&mut page.messages),
        // One that could be unpacked was written down as what it held; what is left fails again.
        ServerFrame::Packed(Packed { data, .. }) => *data = Bytes::new(),
        ServerFrame::Result(result) => result.payload = (secrets.payload)(&result.payload),
        ServerFrame::Subscribed(subscribed) => subscribed.members.iter_mut().for_each(|view| secrets.members(view)),
        ServerFrame::Members(members) => secrets.members(&mut members.view),
        ServerFrame::Presence(changes) => {
            changes.events.iter_mut().for_each(|change| secrets.state(&mut change.state));
        }
        ServerFrame::Welcome(_)
        | ServerFrame::Authed(_)
        | ServerFrame::Unsubscribed(_)
        | ServerFrame::Published(_)
        | ServerFrame::Acked(_)
        | ServerFrame::Reset(_)
        | ServerFrame::Dropped(_)
        | ServerFrame::Statuses(_)
        | ServerFrame::Goaway(_)
        | ServerFrame::Ping(_)
        | ServerFrame::Pong(_)
        | ServerFrame::Error(_) => {}
    }
    frame
}

impl Secrets {
    fn messages(&self, messages: &mut [Message]) {
        for message in messages {
            message.payload = (self.payload)(&message.payload);
            message.headers.iter_mut().for_each(|(_, value)| *value = (self.text)(value));
        }
    }

    fn members(&self, view: &mut MembersView) {
        view.members.iter_mut().for_each(|Member { state, .. }| self.state(state));
    }

    fn state(&self, state: &mut Option<Bytes>) {
        if let Some(state) = state {
            *state = (self.bytes)(state);
        }
    }
}

//! `refused.json`, `accepted.json`, `later.json` and `messages.json`: inputs, and what becomes of them.

use moorline_protocol::{ClientFrame, CloseCode, Codec, DecodeError, Decoded, ErrorCode, ServerFrame};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{check_file, folder};
use crate::inputs::{self, Case, From, Input, Outcome};
use crate::wire::{Wire, hex, unhex};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    cases: Vec<Read<'a>>,
}

/// A case as another implementation reads it.
#[derive(Deserialize)]
struct Read<'a> {
    name: String,
    from: String,
    /// A text message.
    json: Option<String>,
    /// The bytes of a text message that is not UTF-8, in hexadecimal digits.
    text: Option<String>,
    /// A binary message in hexadecimal digits.
    binary: Option<String>,
    #[serde(borrow)]
    frame: Option<&'a RawValue>,
    #[serde(borrow)]
    frames: Option<Vec<Option<&'a RawValue>>>,
    outcome: Option<String>,
    req: Option<u64>,
}

impl Read<'_> {
    fn message(&self) -> (Codec, Vec<u8>) {
        match (&self.json, &self.text, &self.binary) {
            (Some(json), None, None) => (Codec::Json, json.clone().into_bytes()),
            (None, Some(text), None) => (Codec::Json, unhex(text)),
            (None, None, Some(binary)) => (Codec::Binary, unhex(binary)),
            _ => panic!("{}: one of json, text and binary", self.name),
        }
    }

    /// Decodes all frames; the JSON form of each.
    fn decoded(&self) -> Result<Vec<Decoded<String>>, DecodeError> {
        let (codec, message) = self.message();
        match self.from.as_str() {
            "client" => said(ClientFrame::all(codec, message)?),
            "server" => said(ServerFrame::all(codec, message)?),
            other => panic!("{}: {other}", self.name),
        }
    }
}

fn said<F: Wire>(frames: Vec<Decoded<F>>) -> Result<Vec<Decoded<String>>, DecodeError> {
    let said = |frame| match frame {
        Decoded::Frame(frame) => Decoded::Frame(String::from_utf8(F::encoded(&frame, Codec::Json)).unwrap()),
        Decoded::Ignored => Decoded::Ignored,
        Decoded::Unsupported { req } => Decoded::Unsupported { req },
    };
    Ok(frames.into_iter().map(said).collect())
}

/// Writes a file: `head`, and one line for each case, with `more` behind it.
fn file<'a>(head: &str, cases: impl Iterator<Item = (&'a Case, String)>) -> String {
    let cases: Vec<String> = cases
        .map(|(case, more)| {
            let name = serde_json::to_string(&case.name).unwrap();
            let from = match case.from {
                From::Client => "client",
                From::Server => "server",
            };
            let input = match &case.input {
                Input::Json(text) => format!("\"json\": {}", serde_json::to_string(text).unwrap()),
                Input::Text(bytes) => format!("\"text\": \"{}\"", hex(bytes)),
                Input::Binary(bytes) => format!("\"binary\": \"{}\"", hex(bytes)),
            };
            format!("    {{\"name\": {name}, \"from\": \"{from}\", {input}{more}}}")
        })
        .collect();
    format!("{{\n{head}  \"cases\": [\n{}\n  ]\n}}\n", cases.join(",\n"))
}

/// Checks a file, then reads every case of it.
fn each(name: &str, content: &str, check: impl Fn(&Read<'_>)) {
    check_file(name, content);
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let file: File<'_> = serde_json::from_str(&text).unwrap();
    file.cases.iter().for_each(check);
}

#[test]
fn what_is_malformed_is_refused() {
    let (code, close) = (ErrorCode::RequestMalformed, CloseCode::PROTOCOL_ERROR);
    let head = format!("  \"answer\": \"{code}\",\n  \"close\": {},\n", close.0);
    let refused = inputs::refused();
    let why =
        |case: &Case| case.refusal().map_or_else(|| panic!("{} is not refused", case.name), |why| why.to_string());
    let content =
        file(&head, refused.iter().map(|case| (case, format!(", \"why\": {}", serde_json::Value::from(why(case))))));
    each("refused.json", &content, |case| {
        let decoded = case.decoded();
        assert!(decoded.is_err(), "{}: {decoded:?}", case.name);
    });
}

#[test]
fn what_is_unusual_is_accepted() {
    let accepted = inputs::accepted();
    let content = file("", accepted.iter().map(|(case, means)| (case, format!(", \"frame\": {means}"))));
    each("accepted.json", &content, |case| {
        let frame = case.frame.unwrap().get().to_owned();
        assert_eq!(case.decoded(), Ok(vec![Decoded::Frame(frame)]), "{}", case.name);
    });
}

#[test]
fn frames_of_a_later_version_are_told_apart() {
    let later = inputs::later();
    let content = file(
        "",
        later.iter().map(|(case, outcome)| {
            let outcome = match outcome {
                Outcome::Ignored => ", \"outcome\": \"ignored\"".to_owned(),
                Outcome::Unsupported(None) => ", \"outcome\": \"unsupported\"".to_owned(),
                Outcome::Unsupported(Some(req)) => format!(", \"outcome\": \"unsupported\", \"req\": {req}"),
            };
            (case, outcome)
        }),
    );
    each("later.json", &content, |case| {
        let outcome = match case.outcome.as_deref() {
            Some("ignored") => Decoded::Ignored,
            _ => Decoded::Unsupported { req: case.req },
        };
        assert_eq!(case.decoded(), Ok(vec![outcome]), "{}", case.name);
    });
}

#[test]
fn messages_of_several_frames_are_taken_apart() {
    let messages = inputs::messages();
    let content = file(
        "",
        messages.iter().map(|(case, frames)| {
            let frames: Vec<&str> = frames.iter().map(|frame| frame.unwrap_or("null")).collect();
            (case, format!(", \"frames\": [{}]", frames.join(", ")))
        }),
    );
    each("messages.json", &content, |case| {
        let frame =
            |frame: &Option<&RawValue>| frame.map_or(Decoded::Ignored, |frame| Decoded::Frame(frame.get().to_owned()));
        let frames = case.frames.as_ref().unwrap().iter().map(frame).collect();
        assert_eq!(case.decoded(), Ok(frames), "{}", case.name);
    });
}

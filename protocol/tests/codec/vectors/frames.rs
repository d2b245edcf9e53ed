//! `client/*.json` and `server/*.json`: every frame, in both forms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::Bytes;
use moorline_protocol::{ClientFrame, Codec, ServerFrame};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{check_file, folder};
use crate::samples::{self, NUMBER};
use crate::wire::{Wire, hex, unhex};

/// A file of `tests/vectors/client` or `tests/vectors/server`.
#[derive(Deserialize)]
struct File<'a> {
    from: String,
    frame: String,
    r#type: u8,
    #[serde(borrow)]
    vectors: Vec<Vector<'a>>,
}

/// One frame in both forms.
#[derive(Deserialize)]
struct Vector<'a> {
    name: String,
    /// The JSON form, to the byte; `null` for frames that have none.
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    /// The binary form in hexadecimal digits.
    binary: String,
    /// The binary form names the channel by this number.
    number: Option<u32>,
}

/// Writes the file of one type of frame.
fn file<F: Wire>(kind: (u8, &str), samples: &[&(String, F)]) -> String {
    let (number, frame) = kind;
    let mut out =
        format!("{{\n  \"from\": \"{}\",\n  \"frame\": \"{frame}\",\n  \"type\": {number},\n  \"vectors\": [", F::FROM);
    for (index, (name, frame)) in samples.iter().enumerate() {
        let json = frame.named().encoded(Codec::Json);
        let json = if json.is_empty() { "null".into() } else { String::from_utf8(json).unwrap() };
        let binary = hex(&frame.encoded(Codec::Binary));
        let name = serde_json::to_string(name).unwrap();
        let comma = if index == 0 { "" } else { "," };
        write!(
            out,
            "{comma}\n    {{\n      \"name\": {name},\n      \"json\": {json},\n      \"binary\": \"{binary}\""
        )
        .unwrap();
        if frame.is_numbered() {
            write!(out, ",\n      \"number\": {NUMBER}").unwrap();
        }
        out.push_str("\n    }");
    }
    out.push_str("\n  ]\n}\n");
    out
}

fn check_samples<F: Wire>(samples: &[(String, F)]) {
    let mut by_kind: BTreeMap<(u8, &str), Vec<&(String, F)>> = BTreeMap::new();
    for sample in samples {
        by_kind.entry(sample.1.kind()).or_default().push(sample);
    }
    let kinds: Vec<_> = by_kind.keys().copied().collect();
    assert_eq!(kinds, F::KINDS, "every type of frame has vectors");
    for (kind, samples) in by_kind {
        let names: BTreeSet<_> = samples.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), samples.len(), "{kind:?}: names are unique");
        check_file(&format!("{}/{}.json", F::FROM, kind.1), &file(kind, &samples));
    }
}

/// Reads every file as another implementation would, and proves the codecs with it.
fn read_back<F: Wire>() {
    for (number, frame) in F::KINDS {
        let path = folder().join(F::FROM).join(format!("{frame}.json"));
        let text = std::fs::read_to_string(&path).unwrap();
        let file: File<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((file.from.as_str(), file.frame.as_str(), file.r#type), (F::FROM, *frame, *number));
        for vector in file.vectors {
            read_vector::<F>(frame, &vector);
        }
    }
}

fn read_vector<F: Wire>(kind: &str, vector: &Vector<'_>) {
    let about = format!("{kind}, {}", vector.name);
    let bytes = unhex(&vector.binary);
    let from_binary = F::only(Codec::Binary, bytes.clone());
    assert_eq!(from_binary.encoded(Codec::Binary), bytes, "{about}: binary, decoded and encoded again");
    let Some(json) = vector.json else { return };
    let from_json = F::only(Codec::Json, Bytes::from(json.get().to_owned()));
    let again = String::from_utf8(from_json.encoded(Codec::Json)).unwrap();
    assert_eq!(again, json.get(), "{about}: JSON, decoded and encoded again");
    assert_eq!(from_binary.named(), from_json, "{about}: both forms are the same frame");
    let numbered = if vector.number.is_some() { from_json.numbered() } else { from_json };
    assert_eq!(numbered.encoded(Codec::Binary), bytes, "{about}: JSON, decoded and encoded in binary");
}

#[test]
fn the_vectors_are_what_the_codecs_write_and_read() {
    check_samples(&samples::client());
    check_samples(&samples::server());
    read_back::<ClientFrame>();
    read_back::<ServerFrame>();
}

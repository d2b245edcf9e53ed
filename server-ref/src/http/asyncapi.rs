//! The WebSocket side in AsyncAPI 3.0: the JSON form of every frame. A test holds it against the golden frames.

use serde_json::{Map, Value, json};

/// A frame: its name, what it is for, and its fields (`?`: may be absent) with their types.
type Frame = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const REQ: (&str, &str) = ("req", "int");
const CHANNEL: (&str, &str) = ("channel", "text");
const EPOCH: (&str, &str) = ("epoch", "text");

const FROM_CLIENT: &[Frame] = &[
    (
        "hello",
        "Opens the session: the first frame.",
        &[
            ("v", "int"),
            ("token?", "text"),
            ("device?", "text"),
            ("run?", "list"),
            ("sdk?", "text"),
            ("producer?", "text"),
            ("caps?", "list"),
            ("subscribe?", "list"),
        ],
    ),
    ("auth", "Refreshes the token, in band, or one channel's own.", &[REQ, ("token", "text"), ("channel?", "text")]),
    (
        "subscribe",
        "Begins a subscription.",
        &[
            REQ,
            CHANNEL,
            ("since?", "object"),
            ("reset?", "text"),
            ("qos?", "int"),
            ("durable?", "bool"),
            ("presence?", "text"),
            ("state?", "any"),
            ("token?", "text"),
        ],
    ),
    ("unsubscribe", "Ends a subscription.", &[REQ, CHANNEL, ("forget?", "bool")]),
    (
        "publish",
        "Publishes a message, with exactly one of `data`, `text` and `bin`.",
        &[
            CHANNEL,
            ("qos", "int"),
            ("req?", "int"),
            ("id?", "text"),
            ("seq?", "int"),
            ("gen?", "int"),
            ("ttl?", "int"),
            ("headers?", "object"),
            ("data?", "any"),
            ("text?", "text"),
            ("bin?", "text"),
        ],
    ),
    ("ack", "Moves a durable cursor.", &[CHANNEL, EPOCH, ("offset", "int")]),
    (
        "more",
        "Lets deliveries go on, or begins them again.",
        &[CHANNEL, ("epoch?", "text"), ("after", "int"), ("rewind?", "bool")],
    ),
    ("pause", "Stops deliveries.", &[CHANNEL]),
    (
        "history",
        "Reads messages of a channel.",
        &[REQ, CHANNEL, ("after?", "int or object"), ("before?", "int or object"), ("limit?", "int")],
    ),
    (
        "presence",
        "Reads or changes who is present.",
        &[REQ, CHANNEL, ("op", "text"), ("state?", "any"), ("cursor?", "text")],
    ),
    ("status", "Reads, or watches, who is online.", &[REQ, ("users", "list"), ("watch?", "bool")]),
    (
        "call",
        "Calls a method of the app's backend, with exactly one of `data`, `text` and `bin`.",
        &[
            REQ,
            ("id", "text"),
            ("method", "text"),
            ("timeout", "int"),
            ("data?", "any"),
            ("text?", "text"),
            ("bin?", "text"),
        ],
    ),
    ("push", "Registers where the device is reached while its user is away.", &[("handle?", "text")]),
    ("park", "The app goes to the background.", &[("ping?", "int")]),
    ("unpark", "The app is back.", &[]),
    ("ping", "Asks for a sign of life.", &[("n", "int"), ("next?", "int")]),
    ("pong", "Gives one.", &[("n", "int")]),
];

const FROM_SERVER: &[Frame] = &[
    (
        "welcome",
        "The session stands.",
        &[
            ("v", "int"),
            ("session", "text"),
            ("user?", "text"),
            ("device", "text"),
            ("time", "int"),
            ("ping", "int"),
            ("durability", "text"),
            ("producer?", "object"),
            ("expires?", "int"),
            ("caps?", "list"),
            ("limits", "object"),
        ],
    ),
    ("authed", "The token is taken.", &[REQ, ("expires?", "int")]),
    (
        "subscribed",
        "The subscription stands.",
        &[
            REQ,
            CHANNEL,
            ("number", "int"),
            EPOCH,
            ("head", "int"),
            ("from", "int"),
            ("start", "text"),
            ("reason?", "text"),
            ("first?", "int"),
            ("expires?", "int"),
            ("members?", "object"),
        ],
    ),
    ("unsubscribed", "The subscription is over.", &[("req?", "int"), CHANNEL, ("code?", "text")]),
    (
        "published",
        "The message is as durable as `welcome.durability` says.",
        &[REQ, EPOCH, ("offset?", "int"), ("duplicate", "bool")],
    ),
    ("acked", "The cursor is durable.", &[CHANNEL, EPOCH, ("offset", "int")]),
    (
        "deliver",
        "Messages of a subscription, ascending.",
        &[CHANNEL, ("messages", "list"), ("replay?", "bool"), ("more?", "bool"), ("at?", "int")],
    ),
    (
        "reset",
        "The position cannot be honoured any more.",
        &[CHANNEL, EPOCH, ("first", "int"), ("head", "int"), ("from", "int"), ("reason", "text")],
    ),
    ("dropped", "Messages at QoS 0 were dropped under pressure.", &[CHANNEL, ("count", "int")]),
    (
        "page",
        "Messages that `history` asked for.",
        &[REQ, CHANNEL, EPOCH, ("first", "int"), ("head", "int"), ("messages", "list"), ("more", "bool")],
    ),
    (
        "members",
        "The answer to `presence`.",
        &[REQ, CHANNEL, ("version", "object"), ("count", "int"), ("members", "list"), ("cursor?", "text")],
    ),
    ("presence", "Members came or went.", &[CHANNEL, ("version", "object"), ("count", "int"), ("events", "list")]),
    ("statuses", "Who is online, or what of it changed.", &[("req?", "int"), ("users", "object")]),
    (
        "result",
        "What the backend answered to a call: exactly one of `data`, `text` and `bin`.",
        &[REQ, ("data?", "any"), ("text?", "text"), ("bin?", "text")],
    ),
    (
        "goaway",
        "Reconnect at a random moment of [`after`, `after` + `window`] ms.",
        &[("after", "int"), ("window", "int"), ("reason", "text")],
    ),
    ("ping", "Asks for a sign of life.", &[("n", "int"), ("next?", "int")]),
    ("pong", "Gives one.", &[("n", "int")]),
    (
        "error",
        "Something was refused.",
        &[
            ("req?", "int"),
            ("channel?", "text"),
            ("code", "text"),
            ("message", "text"),
            ("retry", "bool"),
            ("after?", "int"),
            ("expected?", "int"),
            ("by?", "text"),
        ],
    ),
];

/// Returns the document.
pub(super) fn document() -> String {
    let (mut messages, mut components) = (Map::new(), Map::new());
    let mut refer = |side: &str, frames: &[Frame]| -> Vec<Value> {
        let of = |frame: &Frame| {
            let name = format!("{side}_{}", frame.0);
            components.insert(name.clone(), message(frame));
            messages.insert(name.clone(), json!({"$ref": format!("#/components/messages/{name}")}));
            json!({"$ref": format!("#/channels/socket/messages/{name}")})
        };
        frames.iter().map(of).collect()
    };
    let (from_client, from_server) = (refer("client", FROM_CLIENT), refer("server", FROM_SERVER));
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Moorline WebSocket protocol",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The JSON form (subprotocol `moorline.v1.json`). A WebSocket message holds one or more frames, \
                            objects separated by a newline. docs/protocol.md is the normative text; the binary form has \
                            the same frames.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {"socket": {
            "address": "/ws/{app}",
            "title": "The connection of a client.",
            "description": "`/ws` is the app `default`.",
            "parameters": {"app": {"description": "The app."}},
            "messages": messages,
            "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
        }},
        "operations": {
            "fromClient": {
                "action": "receive", "channel": {"$ref": "#/channels/socket"}, "messages": from_client,
                "summary": "What the server takes.",
            },
            "fromServer": {
                "action": "send", "channel": {"$ref": "#/channels/socket"}, "messages": from_server,
                "summary": "What the server says.",
            },
        },
        "components": {"messages": components},
    });
    document.to_string()
}

fn message((name, summary, fields): &Frame) -> Value {
    let mut properties = Map::new();
    let mut required = vec![json!("t")];
    properties.insert("t".into(), json!({"const": name}));
    for (field, kind) in *fields {
        let field = field.strip_suffix('?').unwrap_or_else(|| {
            required.push(json!(field));
            field
        });
        properties.insert(field.to_owned(), schema(kind));
    }
    json!({
        "name": name,
        "title": name,
        "summary": summary,
        "payload": {"type": "object", "properties": properties, "required": required},
    })
}

fn schema(kind: &str) -> Value {
    match kind {
        "int" => json!({"type": "integer", "minimum": 0, "maximum": moorline_protocol::limits::MAX_SAFE_INTEGER}),
        "text" => json!({"type": "string"}),
        "bool" => json!({"type": "boolean"}),
        "list" => json!({"type": "array"}),
        "object" => json!({"type": "object"}),
        "int or object" => json!({"type": ["integer", "object"]}),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The golden frames of one side: their names, and the frames in JSON.
    fn golden(side: &str) -> Vec<(String, Vec<Value>)> {
        let folder = format!("{}/../tests/vectors/{side}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        let frames = files.map(|bytes| {
            let file: Value = serde_json::from_slice(&bytes).unwrap();
            let vectors = file["vectors"].as_array().unwrap().iter();
            let frames = vectors.filter_map(|vector| Some(vector["json"].clone()).filter(Value::is_object)).collect();
            (file["frame"].as_str().unwrap().to_owned(), frames)
        });
        frames.collect()
    }

    fn fits(value: &Value, kind: &str) -> bool {
        match kind {
            "int" => value.is_u64(),
            "text" => value.is_string(),
            "bool" => value.is_boolean(),
            "list" => value.is_array(),
            "object" => value.is_object(),
            "int or object" => value.is_u64() || value.is_object(),
            _ => true,
        }
    }

    #[test]
    fn every_golden_frame_is_as_the_document_says_and_none_is_left_out() {
        for (side, frames) in [("client", FROM_CLIENT), ("server", FROM_SERVER)] {
            let golden: Vec<_> = golden(side).into_iter().filter(|(_, vectors)| !vectors.is_empty()).collect();
            assert_eq!(golden.len(), frames.len(), "{side}");
            for (name, vectors) in golden {
                let (_, _, fields) = frames.iter().find(|(known, ..)| *known == name).unwrap();
                for vector in vectors {
                    let vector = vector.as_object().unwrap();
                    for (field, value) in vector.iter().filter(|(field, _)| *field != "t") {
                        let known = fields.iter().find(|(known, _)| known.trim_end_matches('?') == field);
                        assert!(known.is_some_and(|(_, kind)| fits(value, kind)), "{name}: {field} is {value}");
                    }
                    let missing =
                        fields.iter().find(|(field, _)| !field.ends_with('?') && !vector.contains_key(*field));
                    assert_eq!(missing, None, "{name}: {vector:?}");
                }
            }
        }
    }
}

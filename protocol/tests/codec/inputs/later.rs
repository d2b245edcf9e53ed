//! Frames of a later version.

use super::{Case, binary, json, server_binary, server_json};

/// What a reader of this version does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It goes on.
    Ignored,
    /// A server answers `request.unsupported` with this `req`; the connection stays.
    Unsupported(Option<u64>),
}

pub(crate) fn later() -> Vec<(Case, Outcome)> {
    use Outcome::{Ignored, Unsupported};
    vec![
        (json("not critical", r#"{"t":"later","crit":false,"req":7}"#), Ignored),
        (json("critical, with a request", r#"{"t":"later","req":7,"crit":true}"#), Unsupported(Some(7))),
        (json("critical, since nothing else is said", r#"{"t":"later","x":[{"a":1}]}"#), Unsupported(None)),
        (json("critical, with a `req` that is none", r#"{"t":"later","req":"seven"}"#), Unsupported(None)),
        (json("critical, with a `req` of 2^53", r#"{"t":"later","req":9007199254740992}"#), Unsupported(None)),
        (json("a frame that only servers send", r#"{"t":"welcome","req":7}"#), Unsupported(Some(7))),
        (json("`packed` has no JSON form", r#"{"t":"packed","req":7}"#), Unsupported(Some(7))),
        (server_json("not critical, from a server", r#"{"t":"later","crit":false}"#), Ignored),
        (binary("not critical, in binary", 0x80 | 18, &[b"anything"]), Ignored),
        (binary("a known type with the bit that says it may be ignored", 0x80 | 15, &[&[1]]), Ignored),
        (binary("critical, in binary", 18, &[b"anything"]), Unsupported(None)),
        (binary("type 0", 0, &[]), Unsupported(None)),
        (binary("a frame that only servers send, in binary", 65, &[]), Unsupported(None)),
        (server_binary("not critical, from a server, in binary", 0x80 | 82, &[]), Ignored),
        (server_binary("critical, from a server, in binary", 82, &[b"anything"]), Unsupported(None)),
    ]
}

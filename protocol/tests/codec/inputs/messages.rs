//! WebSocket messages of several frames.

use super::{Case, From, Input, case, frame, text};

/// Each with what a reader makes of it: the JSON form of a frame, or `None` for one that is ignored.
pub(crate) fn messages() -> Vec<(Case, Vec<Option<&'static str>>)> {
    let lines = |name: &str, lines: &[&str]| case(name, From::Client, Input::Json(lines.join("\n")));
    let frames = |name: &str, frames: &[Vec<u8>]| case(name, From::Client, Input::Binary(frames.concat()));
    const HELLO: &str = r#"{"t":"hello","v":1,"token":"dev:alice"}"#;
    const PAUSE: &str = r#"{"t":"pause","channel":"a"}"#;
    const PONG: &str = r#"{"t":"pong","n":1}"#;
    let [hello, pause, pong] =
        [frame(1, &[&[1, 1], &text("dev:alice"), &[0, 0]]), frame(8, &[&[0], &text("a")]), frame(15, &[&[1]])];
    let later = frame(0x80 | 17, &[b"x"]);
    let all = vec![Some(HELLO), Some(PAUSE), Some(PONG)];
    let with_later = vec![Some(PAUSE), None, Some(PONG)];
    vec![
        (lines("three frames", &[HELLO, PAUSE, PONG]), all.clone()),
        (lines("three frames, a line break at the end", &[HELLO, PAUSE, PONG, ""]), all.clone()),
        (
            lines("three frames, each with a carriage return", &[&format!("{HELLO}\r"), &format!("{PAUSE}\r"), PONG]),
            all.clone(),
        ),
        (lines("one of a later version", &[PAUSE, r#"{"t":"later","crit":false}"#, PONG]), with_later.clone()),
        (lines("nothing at all", &[""]), Vec::new()),
        (frames("three frames, in binary", &[hello, pause.clone(), pong.clone()]), all),
        (frames("one of a later version, in binary", &[pause, later, pong]), with_later),
        (frames("nothing at all, in binary", &[]), Vec::new()),
    ]
}

//! Pages of others in the browser of somebody who is logged in here.

use serde_json::json;

use crate::apps::{app, secret};
use crate::http::Http;
use crate::support::program::{Program, command, run};
use crate::support::{Wire, upgrade};

#[test]
fn a_page_of_others_gets_nothing_with_the_cookie_of_the_console() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = run(["key", "new", "--console", "--name", "ops"]);
    assert_eq!(code, 0, "{said}");
    let key = said.lines().find_map(|line| line.strip_prefix("#   ")).unwrap();
    let section: String = said.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let config = dir.path().join("moorline.toml");
    let origins = "[server]\norigins = [\"https://chat.example.com\"]\n";
    std::fs::write(&config, format!("{origins}{}{section}", app("default", &secret(1)))).unwrap();
    let run = ["--engine", "memory", "--listen", "127.0.0.1:0", "--config"];
    let program = Program::start(command(run).arg(config));
    let http = Http::new(program.address(), "");
    let login = [("content-type", "application/json"), ("origin", "http://x")];
    let body = json!({ "key": key }).to_string();
    let answer = http.bare("POST", "/console/api/session", &login, Some(body.as_bytes()));
    answer.good();
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();

    // The WebSocket: pages of others are not let in, and a cookie is nobody's name.
    let with = |origin: &str| upgrade("/ws", &format!("Origin: {origin}\r\nCookie: {cookie}\r\n"));
    let refused = Wire::dial(program.address()).request(&with("https://evil.example"));
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    let mut wire = Wire::dial(program.address());
    assert!(wire.request(&with("https://chat.example.com")).starts_with("HTTP/1.1 101 "));
    wire.say(&json!({"t": "hello", "v": 1}));
    wire.expect_end("auth.invalid", 4502);

    // The console: the same, also from another site of the same domain, and from a form, which can say no JSON.
    let own = [("cookie", cookie.as_str()), ("origin", "http://x"), ("content-type", "application/json")];
    let message = json!({"channel": "a", "text": "x"}).to_string();
    let post = |headers: &[(&str, &str)]| {
        http.bare("POST", "/console/api/apps/default/messages", headers, Some(message.as_bytes()))
    };
    for origin in ["https://evil.example", "http://x.evil.example", "http://evil.x", "null", "http://x:1", "file://"] {
        post(&[own[0], ("origin", origin), own[2]]).problem(403, "feature.disabled");
    }
    post(&[own[0], own[2]]).problem(403, "feature.disabled");
    post(&[own[0], own[1], ("content-type", "text/plain")]).problem(415, "request.unsupported");
    post(&[own[0], own[1], own[2], ("sec-fetch-site", "cross-site")]).problem(403, "feature.disabled");
    for site in ["cross-site", "same-site"] {
        let foreign = [own[0], ("sec-fetch-site", site)];
        http.bare("GET", "/console/api/overview", &foreign, None).problem(403, "feature.disabled");
    }
    post(&own).good();

    // No page of others may read an answer, nor ask whether it may.
    for path in ["/console/api/overview", "/v1/apps/default/channels", "/openapi.json"] {
        for method in ["GET", "OPTIONS"] {
            let asked = [own[0], ("origin", "https://evil.example"), ("access-control-request-method", "POST")];
            let answer = http.bare(method, path, &asked, None);
            let tells = answer.headers.iter().find(|(name, _)| name.starts_with("access-control-"));
            assert_eq!(tells, None, "{method} {path}");
        }
    }
    program.stop();
}

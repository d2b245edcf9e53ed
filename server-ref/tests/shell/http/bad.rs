use serde_json::{Value, json};

use super::backend;

const MESSAGES: &str = "/v1/apps/default/messages";

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (_program, http) = backend(dir.path());
    let post = |body: &str| http.send("POST", MESSAGES, &[], Some(body.as_bytes()));
    for (body, says) in [
        ("", "EOF"),
        ("{", "line 1"),
        ("[]", "no message"),
        ("[1]", "invalid type"),
        (r#"{"chanel": "a", "text": "x"}"#, "unknown field `chanel`, expected one of `channel`"),
        (r#"{"text": "x"}"#, "`channel`"),
        (r#"{"channel": "a", "channels": ["b"], "text": "x"}"#, "`channel`"),
        (r#"{"channels": [], "text": "x"}"#, "`channels`"),
        (r#"{"channel": "a"}"#, "exactly one of"),
        (r#"{"channel": "a", "text": "x", "data": 1}"#, "exactly one of"),
        (r#"{"channel": "a", "bin": "?"}"#, "base64"),
        (r#"{"channel": "a", "text": "x", "qos": 3}"#, "`qos`"),
        (r#"{"channel": "a", "text": "x", "ttl": -1}"#, "u32"),
        (r#"{"channel": "a", "text": "x", "id": ""}"#, "`id`"),
        (r#"{"channel": "a", "text": "x", "headers": {"a": "1", "a": "2"}}"#, "`headers`"),
        (r#"{"channel": "a", "text": "x", "headers": []}"#, "an object of names"),
        (r#"{"channel": "a", "data": "\ud800"}"#, "every reader"),
        (r#"[{"channel": "a", "text": "x"}, {"channel": "a"}]"#, "message 1:"),
    ] {
        let detail = post(body).problem(400, "request.malformed");
        assert!(detail.contains(says), "{body}: {detail}");
    }
    post(r#"{"channel": "$hooks", "text": "x"}"#).problem(400, "channel.invalid");
    post(r#"{"channel": "a*", "text": "x"}"#).problem(400, "channel.invalid");
    let large = json!({"channel": "a", "text": "x".repeat(64 * 1024 + 1)});
    http.post(MESSAGES, &large).problem(413, "limit.message");
    let many: Vec<Value> = (0..1_001).map(|_| json!({"channel": "a", "text": "x"})).collect();
    http.post(MESSAGES, &json!(many)).problem(400, "request.malformed");
    let long = "k".repeat(121);
    let detail = http.post_with(MESSAGES, &[("idempotency-key", &long)], &json!({})).problem(400, "request.malformed");
    assert!(detail.contains("Idempotency-Key"));
}

#[test]
fn what_is_no_request_of_the_api_is_refused_before_its_body() {
    let dir = tempfile::tempdir().unwrap();
    let (_program, http) = backend(dir.path());
    let key = ("authorization", "Bearer dev");
    let json = ("content-type", "application/json");
    let bare = |method: &str, path: &str, headers: &[(&str, &str)]| http.bare(method, path, headers, Some(b"{}"));
    bare("POST", MESSAGES, &[json]).problem(401, "auth.invalid");
    bare("POST", MESSAGES, &[("authorization", "Basic ZGV2"), json]).problem(401, "auth.invalid");
    bare("POST", MESSAGES, &[("authorization", "Bearer wrong"), json]).problem(401, "auth.invalid");
    bare("POST", MESSAGES, &[key, ("content-type", "text/plain")]).problem(415, "request.unsupported");
    bare("POST", MESSAGES, &[key, json, ("content-encoding", "gzip")]).problem(415, "request.unsupported");
    bare("POST", "/v1/apps/a%20b/messages", &[key, json]).problem(404, "app.unknown");
    bare("POST", "/v1/nothing", &[key, json]).problem(404, "request.unsupported");
    let refused = bare("DELETE", MESSAGES, &[key]);
    refused.problem(405, "request.unsupported");
    assert_eq!(refused.header("allow"), Some("POST"));
    let head = format!(
        "POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev\r\ncontent-type: application/json\r\n"
    );
    http.raw(format!("{head}content-length: 8388609\r\n\r\n").as_bytes()).problem(413, "limit.message");
    let chunks = format!("800001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x0080_0001));
    let answer = http.raw(format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}").as_bytes());
    answer.problem(413, "limit.message");
}

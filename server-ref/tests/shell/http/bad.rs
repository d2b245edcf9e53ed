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

/// Returns what a reference leads to.
fn followed<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
    name.map_or(schema, |at| document.pointer(at).unwrap())
}

/// Counts the objects in the schema of a body, and checks that each says that it has no other fields.
fn closed(document: &Value, schema: &Value) -> usize {
    let schema = followed(document, schema);
    assert!(schema["allOf"].is_null(), "parts of an object cannot say that the whole has no other fields: {schema}");
    let ways = schema["oneOf"].as_array().into_iter().flatten();
    let inner = ways.chain(schema.get("items")).map(|way| closed(document, way)).sum::<usize>();
    if schema["properties"].is_object() {
        assert_eq!(schema["additionalProperties"], false, "{schema}");
    }
    inner + usize::from(schema["properties"].is_object())
}

#[test]
fn a_field_that_nobody_knows_is_named_and_the_document_says_that_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (_program, http) = backend(dir.path());
    for (path, body) in [
        ("messages", json!({"channel": "a", "text": "x", "prority": 1})),
        ("messages", json!([{"channel": "a", "text": "x"}, {"channel": "a", "text": "x", "prority": 1}])),
        ("users/status", json!({"users": ["alice"], "prority": 1})),
        ("revocations", json!({"jti": "1", "prority": 1})),
        ("revocations", json!({"user": "alice", "prority": 1})),
    ] {
        let detail = http.post(&format!("/v1/apps/default/{path}"), &body).problem(400, "request.malformed");
        assert!(detail.contains("unknown field `prority`, expected"), "{path}: {detail}");
    }
    let page = http.get("/v1/apps/default/channels/a/messages").good();
    assert_eq!(page["messages"], json!([]), "of a list that has such a message nothing is stored");

    let document = http.bare("GET", "/openapi.json", &[], None).json();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let bodies = operations.map(|operation| &operation["requestBody"]["content"]["application/json"]["schema"]);
    let counts: Vec<usize> = bodies.filter(|body| !body.is_null()).map(|body| closed(&document, body)).collect();
    assert_eq!(
        counts.iter().sum::<usize>(),
        15,
        "{counts:?}: six ways to say a message, in a list or not, and three bodies"
    );
}

//! `--store`: what outlives a start.

use serde_json::json;

use crate::program::{command, run, server};

#[test]
fn what_was_not_settled_goes_out_with_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("bob.moor");
    let store = store.to_str().unwrap();
    let publish = |url: &str, text: &str, more: &[&str]| {
        run(&mut command(url, "bob", &[&["pub", "room", text, "--qos", "2", "--store", store], more].concat()))
    };
    let waits = publish("ws://127.0.0.1:1/ws", "first", &["--timeout", "300ms"]);
    assert_eq!((waits.code, &waits.lines[0]["state"]), (Some(1), &json!("queued")), "{}", waits.told);
    let server = server();
    let goes = publish(&server.url(), "second", &[]);
    let settled: Vec<_> = goes.lines.iter().map(|line| (&line["state"], &line["offset"])).collect();
    assert_eq!((goes.code, settled), (Some(0), vec![(&json!("stored"), &json!(1)), (&json!("stored"), &json!(2))]));
    assert_eq!(goes.lines[0]["id"], waits.lines[0]["id"]);
    let history = run(&mut command(&server.url(), "alice", &["history", "room"])).lines;
    assert_eq!(history.iter().map(|line| &line["text"]).collect::<Vec<_>>(), ["first", "second"]);
}

#[test]
fn a_reader_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("alice.moor");
    let server = server();
    let read = |args: &[&str]| {
        let args = [&["sub", "room", "--durable", "--store", store.to_str().unwrap()], args].concat();
        run(&mut command(&server.url(), "alice", &args)).lines
    };
    for text in ["a", "b", "c"] {
        run(&mut command(&server.url(), "bob", &["pub", "room", text]));
    }
    let texts = |lines: Vec<serde_json::Value>| lines.into_iter().map(|line| line["text"].clone()).collect::<Vec<_>>();
    assert_eq!(texts(read(&["--since", "first", "--count", "1"])), ["a"]);
    assert_eq!(texts(read(&["--count", "2"])), ["b", "c"]);
}

#[test]
fn a_store_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("bob.moor");
    let _open = moorline::FileStore::open(&store).unwrap();
    let refused = run(&mut command(&server().url(), "bob", &["pub", "room", "x", "--store", store.to_str().unwrap()]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.told.contains("client.store_locked"), "{}", refused.told);
}

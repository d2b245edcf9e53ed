//! `--blackbox FILE`.

use moorline_core::blackbox::Recording;

use crate::program::{command, run, server};

#[test]
fn what_a_command_was_told_is_written_down_and_can_be_run_again() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("black.box");
    let file = file.to_str().unwrap();
    let publish = ["pub", "room", "\"a secret\"", "--qos", "2", "--blackbox", file];
    assert_eq!(run(&mut command(&server.url(), "alice", &publish)).code, Some(0));
    let bytes = std::fs::read(file).unwrap();
    assert!(!bytes.windows(8).any(|window| window == b"a secret"));
    let recording = Recording::read(&bytes).unwrap();
    assert!(recording.calls().len() >= 5, "{:?}", recording.calls());
    assert_eq!(recording.run(|_| ()).unwrap(), recording.hash());
    // A command that fails writes one, too.
    let refused = ["history", "@bob", "--blackbox", file];
    assert_eq!(run(&mut command(&server.url(), "alice", &refused)).code, Some(1));
    assert_ne!(std::fs::read(file).unwrap(), bytes);
    let nowhere = ["history", "room", "--blackbox", "/no/such/folder/black.box"];
    let ended = run(&mut command(&server.url(), "alice", &nowhere));
    assert!(ended.code == Some(0) && ended.told.contains("cannot write the black box"), "{}", ended.told);
}

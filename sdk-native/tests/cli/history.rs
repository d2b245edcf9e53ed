//! `moorline history`.

use crate::program::{command, run, server};

#[test]
fn a_part_of_the_log_is_printed_in_ascending_order() {
    let server = server();
    let url = server.url();
    for n in 1..=10 {
        run(&mut command(&url, "bob", &["pub", "room", &n.to_string()]));
    }
    let cases: [(&[&str], &[u64], &str); 6] = [
        (&[], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "offsets 1 to 10 are kept\n"),
        (&["--limit", "2"], &[9, 10], "offsets 1 to 10 are kept; there is more\n"),
        (&["--after", "8"], &[9, 10], "offsets 1 to 10 are kept\n"),
        (&["--after", "0", "--limit", "3"], &[1, 2, 3], "there is more"),
        (&["--before", "3"], &[1, 2], "offsets 1 to 10 are kept\n"),
        (&["--before", "9", "--limit", "1"], &[8], "there is more"),
    ];
    for (args, offsets, tells) in cases {
        let ended = run(&mut command(&url, "alice", &[&["history", "room"], args].concat()));
        let found: Vec<u64> = ended.lines.iter().map(|line| line["offset"].as_u64().unwrap()).collect();
        assert_eq!((ended.code, &found[..]), (Some(0), offsets), "{args:?}");
        assert!(ended.told.contains(tells), "{args:?}: {}", ended.told);
        assert!(ended.lines.iter().all(|line| line["data"] == line["offset"] && line["replayed"] == true));
    }
    let empty = run(&mut command(&url, "alice", &["history", "nothing"]));
    assert_eq!((empty.code, empty.lines.len()), (Some(0), 0));
    assert!(empty.told.contains("empty"), "{}", empty.told);
}

#[test]
fn mistakes_end_with_2_and_refusals_with_1() {
    let server = server();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["history"], 2, "<CHANNEL>"),
        (&["history", "room", "--limit", "0"], 2, "1..=256"),
        (&["history", "room", "--limit", "257"], 2, "1..=256"),
        (&["history", "room", "--after", "1", "--before", "2"], 2, "--before"),
        (&["history", "bad*name"], 2, "1 to 128 bytes"),
        (&["history", "@bob"], 1, "channel.denied"),
    ];
    for (args, code, says) in cases {
        let ended = run(&mut command(&server.url(), "alice", args));
        assert_eq!((ended.code, ended.lines.len()), (Some(code), 0), "{args:?}: {}", ended.told);
        assert!(ended.told.contains(says), "{args:?}: {}", ended.told);
    }
}

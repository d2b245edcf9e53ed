//! Yesterday's backup: of a phone's store, and of a server's log.

use moorline::{Client, Event, Messages, Since};
use moorline_server::server::{Options, Server};

use super::{NOWHERE, copy_folder, end, log, online, phone, publish, server};

#[tokio::test]
async fn a_phone_restored_from_a_backup_repeats_nothing_and_loses_nothing_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let (store, backup) = (folder.path().join("alice.moor"), folder.path().join("backup.moor"));
    let server = Server::start(Options::dev()).unwrap();
    let yesterday = online(&server.url(), &store).await;
    for text in ["one", "two"] {
        assert_eq!(end(publish(&yesterday, text)).await, "stored");
    }
    yesterday.close().await;
    let offline = phone(NOWHERE, &store);
    publish(&offline, "waits at the time of the backup").queued().await.unwrap();
    offline.close().await;
    std::fs::copy(&store, &backup).unwrap();
    let today = online(&server.url(), &store).await;
    assert_eq!(end(today.restored().remove(0).receipt).await, "stored");
    for text in ["three", "four"] {
        assert_eq!(end(publish(&today, text)).await, "stored");
    }
    today.close().await;

    std::fs::copy(&backup, &store).unwrap();
    let restored = online(&server.url(), &store).await;
    // It went out in the life that this store does not remember; sent again, it is recognised.
    let again = restored.restored().remove(0).receipt.stored().await.unwrap();
    assert_eq!((again.offset, again.duplicate), (Some(3), true));
    // Its number stands for "three": it is not taken for that, and goes out under a new producer.
    assert_eq!(end(publish(&restored, "five")).await, "stored");
    for text in ["six", "seven"] {
        assert_eq!(end(publish(&restored, text)).await, "stored");
    }
    restored.close().await;
    let expected = ["one", "two", "waits at the time of the backup", "three", "four", "five", "six", "seven"];
    assert_eq!(log(&server.url()).await, expected);
}

#[tokio::test]
async fn a_phones_old_cursor_does_not_take_the_servers_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, backup) = (folder.path().join("alice.moor"), folder.path().join("backup.moor"));
    let server = Server::start(Options::dev()).unwrap();
    let bob = Client::builder(server.url()).token("dev:bob").build().unwrap();
    let read = async |up_to: &str| {
        let alice = online(&server.url(), &store).await;
        let mut messages = alice.channel("room").durable(true).subscribe().await.unwrap();
        assert!(matches!(messages.next_event().await, Some(Event::Subscribed { .. })));
        for text in [up_to, "between"] {
            publish(&bob, text).stored().await.unwrap();
            let message = messages.next().await.unwrap();
            assert_eq!((message.text(), message.redelivered), (Some(text), false));
            messages.ack(&message);
        }
        alice.close().await;
    };
    read("yesterday").await;
    std::fs::copy(&store, &backup).unwrap();
    read("today").await;
    std::fs::copy(&backup, &store).unwrap();
    read("tomorrow").await;
    bob.close().await;
}

/// Reads up to a message with this text; returns what was seen on the way.
async fn read_to(messages: &mut Messages, last: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match messages.next_event().await.unwrap() {
            Event::Message(message) => {
                seen.push(message.text().unwrap().to_owned());
                if message.text() == Some(last) {
                    return seen;
                }
            }
            Event::Reset { reason, from, .. } => seen.push(format!("reset {reason} from {from}")),
            _ => {}
        }
    }
}

/// A server's log is backed up after two messages and restored after five; Alice publishes, Bob reads. Returns the
/// server, and where Bob was.
async fn restored_server(folder: &std::path::Path, is_named: bool) -> (Server, Since) {
    let (data, backup, store) = (folder.join("data"), folder.join("backup"), folder.join("alice.moor"));
    let first = server(&data, false);
    let alice = online(&first.url(), &store).await;
    for text in ["one", "two"] {
        assert_eq!(end(publish(&alice, text)).await, "stored");
    }
    alice.close().await;
    drop(first);
    copy_folder(&data, &backup);
    let second = server(&data, false);
    let alice = online(&second.url(), &store).await;
    let bob = Client::builder(second.url()).token("dev:bob").build().unwrap();
    let mut messages = bob.channel("room").since(Since::First).subscribe().await.unwrap();
    for text in ["three", "four", "five"] {
        assert_eq!(end(publish(&alice, text)).await, "stored");
    }
    assert_eq!(read_to(&mut messages, "five").await, ["one", "two", "three", "four", "five"]);
    let page = bob.channel("room").history(moorline::History::Newest, 1).await.unwrap();
    let since = Since::Position { epoch: page.epoch, offset: page.head };
    alice.close().await;
    bob.close().await;
    drop(second);
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&backup, &data);
    (server(&data, is_named), since)
}

#[tokio::test]
async fn a_server_restored_from_a_backup_tells_everybody() {
    for is_named in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (restored, since) = restored_server(folder.path(), is_named).await;
        let bob = Client::builder(restored.url()).token("dev:bob").build().unwrap();
        // With `--restored` every position is of another life; without it, one beyond the head cannot be of this one.
        let mut messages = bob.channel("room").since(since).subscribe().await.unwrap();
        assert_eq!(read_to(&mut messages, "two").await, ["reset epoch from 0", "one", "two"], "{is_named}");
        // Alice's phone counts on from five, and the server from two: that is noticed, and nothing is stored out of order.
        let alice = online(&restored.url(), &folder.path().join("alice.moor")).await;
        assert_eq!(end(publish(&alice, "six")).await, "publish.uncertain", "{is_named}");
        assert_eq!(end(publish(&alice, "seven")).await, "stored", "{is_named}");
        assert_eq!(read_to(&mut messages, "seven").await, ["seven"]);
        alice.close().await;
        bob.close().await;
        assert_eq!(log(&restored.url()).await, ["one", "two", "seven"], "{is_named}");
    }
}

#[tokio::test]
async fn without_its_flag_a_restored_server_is_not_noticed_once_it_has_passed_a_reader() {
    for is_named in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (restored, since) = restored_server(folder.path(), is_named).await;
        let carol = Client::builder(restored.url()).token("dev:carol").build().unwrap();
        for n in 3..=7 {
            publish(&carol, &format!("another {n}")).stored().await.unwrap();
        }
        carol.close().await;
        let bob = Client::builder(restored.url()).token("dev:bob").build().unwrap();
        let mut messages = bob.channel("room").since(since).subscribe().await.unwrap();
        let seen = read_to(&mut messages, "another 7").await;
        if is_named {
            let all =
                ["reset epoch from 0", "one", "two", "another 3", "another 4", "another 5", "another 6", "another 7"];
            assert_eq!(seen, all);
        } else {
            // What the documentation warns of: the same offsets stand for other messages, and nobody can tell.
            assert_eq!(seen, ["another 6", "another 7"]);
        }
        bob.close().await;
    }
}

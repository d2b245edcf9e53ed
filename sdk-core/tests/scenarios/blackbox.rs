use moorline_core::blackbox::{Call, Recording, RecordingError};
use moorline_core::protocol::{Payload, ProducerState, Qos, ServerFrame, Start, Utf8Bytes};
use moorline_core::{ClientConfig, Input, PublishOptions, SubscribeOptions, TokenSource};

use crate::host::{Host, channel, deliver, message, welcome};

const SECRETS: [&str; 6] = ["tok-fixed", "tok-new", "body-out", "body-in", "head-out", "head-in"];

/// A client with everything secret: tokens, payloads and headers, sent, received and stored.
fn secretive(token: TokenSource) -> Host {
    let config = ClientConfig { token, ..ClientConfig::new("ws://a/?key=url-secret") };
    let mut host = Host::with(config, std::collections::BTreeMap::new());
    host.connect();
    if host.token_asks.len() == 1 {
        host.input(Input::Token(Ok(Some("tok-new".into()))));
    }
    host.open();
    host.send(ServerFrame::Welcome(welcome(ProducerState::New)));
    host.subscribe("room", SubscribeOptions::new());
    host.subscribed("room", 0, 0, Start::Live);
    let mut received = message(1, None);
    received.payload = Payload::Json("\"body-in\"".into());
    received.headers = vec![("name".into(), "head-in".into())];
    host.send(deliver("room", vec![received]));
    let options = PublishOptions::new().qos(Qos::ExactlyOnce).header("name", "head-out");
    let payload = Payload::Text(Utf8Bytes::from("body-out"));
    host.client.publish(&channel("room"), payload, options, host.now()).unwrap();
    host.drain();
    host
}

fn contains(file: &[u8], text: &str) -> bool {
    file.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn no_secret_is_in_it() {
    for token in [TokenSource::Fixed("tok-fixed".into()), TokenSource::Provider] {
        let host = secretive(token);
        // The outbox is part of what the next process finds.
        let next = host.restart();
        let stored = next.disk.values().any(|value| contains(value, "body-out") && contains(value, "head-out"));
        assert!(stored, "the next process finds the message");
        for secret in SECRETS.into_iter().chain(["url-secret"]) {
            assert!(!contains(&next.client.blackbox(), secret), "{secret}");
        }
    }
    let host = secretive(TokenSource::Provider);
    for secret in SECRETS.into_iter().chain(["url-secret"]) {
        assert!(!contains(&host.client.blackbox(), secret), "{secret}");
    }
    assert!(contains(&host.client.blackbox(), "room"), "names stay");
}

#[test]
fn what_happened_can_be_read_and_run_again() {
    let host = secretive(TokenSource::Provider);
    let recording = Recording::read(&host.client.blackbox()).unwrap();
    let mut sent = 0;
    let mut received = Vec::new();
    let hash = recording.run(|step| {
        for output in &step.outputs {
            match output {
                moorline_core::Output::Send { .. } => sent += 1,
                moorline_core::Output::Event(moorline_core::Event::Message { message, .. }) => {
                    received.push((message.message.offset.unwrap().0, message.message.payload.bytes().len()));
                }
                _ => {}
            }
        }
    });
    assert_eq!(hash.unwrap(), recording.hash());
    assert_eq!(received, [(1, "\"body-in\"".len())]);
    assert_eq!(sent, 3, "hello, subscribe, publish");
    let published = recording.calls().iter().find_map(|(_, call)| match call {
        Call::Publish { payload, options, .. } => Some((payload.bytes().len(), options.headers[0].1.as_bytes().len())),
        _ => None,
    });
    assert_eq!(published, Some(("body-out".len(), "head-out".len())));
}

#[test]
fn the_hash_is_of_what_the_client_did() {
    let told = |offset: u64| {
        let mut host = Host::online();
        host.subscribe("room", SubscribeOptions::new());
        host.subscribed("room", offset - 1, offset - 1, Start::Live);
        host.deliver("room", [offset]);
        Recording::read(&host.client.blackbox()).unwrap().hash()
    };
    assert_eq!(told(1), told(1));
    assert_ne!(told(1), told(2));
}

#[test]
fn a_full_one_forgets_the_oldest() {
    let config = ClientConfig { blackbox_bytes: 4 << 10, ..ClientConfig::new("ws://a") };
    let mut host = Host::with(config, std::collections::BTreeMap::new());
    host.go_online();
    for _ in 0..1_000 {
        host.pass(1_000);
        host.raw(vec![2, 0x0f, 7]);
        let id = host.transport();
        host.input(Input::Activity { id });
        assert!(host.client.blackbox().len() <= (4 << 10) + 64);
    }
    let recording = Recording::read(&host.client.blackbox()).unwrap();
    assert!(recording.lost() > 1_000, "{}", recording.lost());
    assert!(recording.calls().len() > 100);
    assert_eq!(recording.calls().last().unwrap().0, host.now(), "times are those of the clocks");
    assert_eq!(recording.run(|_| ()), Err(RecordingError::Beginning(recording.lost())));
}

#[test]
fn it_can_be_switched_off() {
    let config = ClientConfig { blackbox_bytes: 0, ..ClientConfig::new("ws://a") };
    let mut host = Host::with(config, std::collections::BTreeMap::new());
    host.go_online();
    assert!(host.client.blackbox().len() < 64);
}

#[test]
fn what_is_damaged_is_refused_or_does_something_else() {
    let file = secretive(TokenSource::Provider).client.blackbox();
    assert_eq!(Recording::read(b"something else").err(), Some(RecordingError::Unknown));
    for length in 0..file.len() {
        if let Ok(recording) = Recording::read(&file[..length]) {
            drop(recording.run(|_| ()));
        }
    }
    for at in 0..file.len() {
        let mut file = file.clone();
        file[at] ^= 0x41;
        if let Ok(recording) = Recording::read(&file) {
            drop(recording.run(|_| ()));
        }
    }
}

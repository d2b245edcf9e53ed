//! Where the app's backend reaches the device while its user is away.

use moorline_core::protocol::{ClientFrame, ErrorCode, ProducerState, Push, ServerFrame, Utf8Bytes};

use crate::host::{Host, welcome};

/// The server greets, and says whether it has an offline hook.
fn greet(host: &mut Host, has_hook: bool) {
    let mut greeting = welcome(ProducerState::New);
    greeting.caps = has_hook.then(|| Utf8Bytes::from_static(Push::CAP)).into_iter().collect();
    host.send(ServerFrame::Welcome(greeting));
}

fn online(has_hook: bool) -> Host {
    let mut host = Host::new();
    host.connect();
    host.open();
    greet(&mut host, has_hook);
    host.take_frames();
    host
}

fn set(host: &mut Host, handle: Option<&str>) {
    let now = host.now();
    host.client.set_push_handle(handle.map(Into::into), now).unwrap();
    host.drain();
}

/// What the server was told.
fn told(host: &mut Host) -> Vec<Option<String>> {
    let frames = host.take_frames().into_iter();
    let pushes = frames.filter_map(|frame| if let ClientFrame::Push(push) = frame { Some(push.handle) } else { None });
    pushes.map(|handle| handle.map(|handle| handle.to_string())).collect()
}

#[test]
fn a_handle_is_told_at_once_and_with_each_connection() {
    let mut host = online(true);
    set(&mut host, Some("one"));
    assert_eq!(told(&mut host), [Some("one".to_owned())]);
    host.cut(None);
    set(&mut host, Some("two"));
    assert_eq!(told(&mut host), []);
    host.reopen();
    greet(&mut host, true);
    assert_eq!(told(&mut host), [Some("two".to_owned())]);
    set(&mut host, None);
    assert_eq!(told(&mut host), [None]);
}

#[test]
fn a_server_without_a_hook_is_not_told() {
    let mut host = online(false);
    set(&mut host, Some("one"));
    assert_eq!(told(&mut host), []);
    host.client.close(true, host.now());
    host.drain();
    assert_eq!(told(&mut host), []);
}

#[test]
fn a_logout_has_the_server_forget_it_whoever_registered_it() {
    let mut host = online(true);
    host.client.close(true, host.now());
    host.drain();
    assert_eq!(told(&mut host), [None]);
    let mut host = online(true);
    set(&mut host, Some("one"));
    host.client.close(false, host.now());
    host.drain();
    assert_eq!(told(&mut host), [Some("one".to_owned())], "a client that only ends is still to be reached");
}

#[test]
fn a_handle_of_no_use_is_refused() {
    let mut host = online(true);
    let now = host.now();
    for handle in [String::new(), "h".repeat(513)] {
        let refused = host.client.set_push_handle(Some(handle.into()), now).unwrap_err();
        assert_eq!(refused.code, ErrorCode::RequestMalformed);
    }
    host.drain();
    assert_eq!(told(&mut host), []);
    set(&mut host, Some(&"h".repeat(512)));
    host.client.close(false, host.now());
    assert!(host.client.set_push_handle(None, host.now()).is_err());
}

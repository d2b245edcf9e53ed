//! Messages for users who are away.

use moorline_server::engine::hooks::HookKind;
use serde_json::json;

use super::receiver::{Answer, Receiver};
use super::{DEVICE, SECRET, device, follow, park, publish, server};

#[test]
fn a_message_for_a_parked_user_is_told_with_its_handle() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let server = server(&receiver, &[HookKind::MessageOffline]);
    let (mut alice, welcome) = device(server.address(), "alice");
    assert_eq!(welcome["caps"], json!(["push"]));
    alice.say(&json!({"t": "push", "handle": "fcm:alice"}));
    follow(&mut alice, "chat:1");
    let (mut carol, _) = device(server.address(), "carol");
    follow(&mut carol, "chat:1");
    park(&mut alice);
    let (mut bob, _) = device(server.address(), "bob");
    assert_eq!(publish(&mut bob, "chat:1", "a"), 1);
    assert_eq!(publish(&mut bob, "chat:1", "b"), 2);
    let request = receiver.request();
    assert!(request.is_signed_with(SECRET) && !request.is_signed_with("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    let events = request.events();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event["id"], request.id());
    let about = ["type", "user", "channel", "first", "last", "count", "devices"].map(|key| event[key].clone());
    let devices = json!([{"device": DEVICE, "handle": "fcm:alice"}]);
    let expected = [json!("message.offline"), json!("alice"), json!("chat:1"), 1.into(), 2.into(), 2.into(), devices];
    assert_eq!(about, expected);
    // Messages come to a parked connection as before.
    assert_eq!(alice.expect("deliver")["messages"][0]["id"], "a");
}

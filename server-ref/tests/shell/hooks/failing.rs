//! Receivers that fail, hang and lie.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moorline_server::engine::hooks::HookKind;
use moorline_server::hooks::{Hook, Secret, Times};
use moorline_server::server::{Options, Server};

use super::receiver::{Answer, Receiver};
use super::{SECRET, device, hook, publish};

/// Answers so many requests in a way, and then as one should.
fn at_first(count: usize, answer: Answer) -> Receiver {
    let mut left = count;
    Receiver::start(move |_| {
        let bad = left > 0;
        left = left.saturating_sub(1);
        if bad { answer.clone() } else { Answer::Status(204) }
    })
}

fn stored(hook: Hook) -> Server {
    Server::start(Options { hooks: vec![hook], ..Options::dev() }).unwrap()
}

fn impatient(receiver: &Receiver) -> Hook {
    let hook = hook(&receiver.url(), &[HookKind::MessageStored]);
    Hook { times: Times { answer: 1_000, ..hook.times }, ..hook }
}

#[test]
fn what_is_not_taken_comes_again_under_the_same_id() {
    let redirect = |to: &str| Answer::Bytes(format!("HTTP/1.1 307 x\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
    let nowhere = Receiver::start(|_| Answer::Status(200));
    for answer in [
        Answer::Status(500),
        Answer::Status(404),
        Answer::Status(304),
        Answer::Bytes(String::new()),
        Answer::Bytes("220 mail.example.com ESMTP\r\n".into()),
        Answer::Bytes("HTTP/1.1 200".into()),
        Answer::Bytes(format!("HTTP/1.1 200 x\r\nx: {}\r\n\r\n", "y".repeat(100_000))),
        Answer::Hang,
        redirect(&nowhere.url()),
        redirect("http://169.254.169.254/latest/meta-data"),
    ] {
        println!("{answer:?}");
        let hangs = matches!(answer, Answer::Hang);
        let receiver = at_first(2, answer);
        // Only what never answers needs to be given up soon: on a busy machine an answer takes its time.
        let patient = hook(&receiver.url(), &[HookKind::MessageStored]);
        let server = stored(if hangs { impatient(&receiver) } else { patient });
        let (mut bob, _) = device(server.address(), "bob");
        publish(&mut bob, "room", "a");
        let requests = [(); 3].map(|()| receiver.request());
        let ids: BTreeSet<String> = requests.iter().map(super::receiver::Request::id).collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert!(requests.iter().all(|request| request.is_signed_with(SECRET)));
        // It is settled: what comes next is the next one.
        publish(&mut bob, "room", "b");
        let next = receiver.request();
        assert_eq!(next.events()[0]["message"]["id"], "b");
        assert_eq!(next.events().len(), 1);
    }
    assert!(nowhere.look().is_none(), "a redirect was followed");
}

#[test]
fn a_body_that_lies_about_its_length_is_no_concern() {
    for answer in ["HTTP/1.1 200 x\r\ncontent-length: 999999999999\r\n\r\nshort", "HTTP/1.1 200 x\r\n\r\nwhatever"] {
        let receiver = at_first(1, Answer::Bytes(answer.into()));
        let server = stored(impatient(&receiver));
        let (mut bob, _) = device(server.address(), "bob");
        for id in ["a", "b"] {
            publish(&mut bob, "room", id);
            assert_eq!(receiver.request().events()[0]["message"]["id"], id);
        }
    }
}

#[test]
fn a_channel_that_is_never_taken_holds_up_no_other_and_keeps_its_order() {
    let others_done = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&others_done);
    let receiver = Receiver::start(move |request| {
        let is_bad = request.events().iter().any(|event| event["channel"] == "poison");
        if is_bad && !done.load(Ordering::Relaxed) { Answer::Status(500) } else { Answer::Status(200) }
    });
    let server = stored(hook(&receiver.url(), &[HookKind::MessageStored]));
    let (mut bob, _) = device(server.address(), "bob");
    for n in 0..40 {
        publish(&mut bob, "poison", &format!("p{n}"));
        publish(&mut bob, &format!("room{}", n % 4), &format!("m{n}"));
    }
    let taken = |rooms: &[Vec<String>]| rooms.iter().map(Vec::len).sum::<usize>();
    let (mut rooms, mut poison) = (vec![Vec::new(); 4], Vec::new());
    while poison.len() < 40 || taken(&rooms) < 40 {
        let request = receiver.request();
        let has_poison = request.events().iter().any(|event| event["channel"] == "poison");
        if has_poison && !others_done.load(Ordering::Relaxed) {
            continue;
        }
        for event in request.events() {
            let (channel, id) = (event["channel"].as_str().unwrap(), event["message"]["id"].as_str().unwrap());
            let seen = match channel.strip_prefix("room") {
                Some(n) => &mut rooms[n.parse::<usize>().unwrap()],
                None => &mut poison,
            };
            if !seen.contains(&id.to_owned()) {
                seen.push(id.to_owned());
            }
        }
        others_done.store(taken(&rooms) == 40, Ordering::Relaxed);
    }
    let ids = |prefix: &str, of: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..40).filter(|n| of(*n)).map(|n| format!("{prefix}{n}")).collect()
    };
    assert_eq!(poison, ids("p", &|_| true));
    for (room, seen) in rooms.iter().enumerate() {
        assert_eq!(*seen, ids("m", &|n| n % 4 == room));
    }
}

#[test]
fn a_private_address_is_not_connected_to() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let public = Receiver::start(|_| Answer::Status(200));
    let mut guarded = hook(&receiver.url(), &[HookKind::MessageStored]);
    guarded.allow_private = false;
    let by_name = Hook {
        name: "by-name".into(),
        url: format!("http://localhost:{}/", receiver.address().port()).parse().unwrap(),
        ..guarded.clone()
    };
    let mapped = Hook {
        name: "mapped".into(),
        url: format!("http://[::ffff:127.0.0.1]:{}/", receiver.address().port()).parse().unwrap(),
        ..guarded.clone()
    };
    let free = Hook { name: "free".into(), ..hook(&public.url(), &[HookKind::MessageStored]) };
    let options = Options { hooks: vec![guarded, by_name, mapped, free], ..Options::dev() };
    let server = Server::start(options).unwrap();
    let (mut bob, _) = device(server.address(), "bob");
    for n in 0..20 {
        publish(&mut bob, "room", &format!("m{n}"));
        public.request();
    }
    assert!(receiver.look().is_none(), "a private address was connected to");
}

#[test]
fn both_secrets_sign_while_they_are_changed() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut hook = hook(&receiver.url(), &[HookKind::MessageStored]);
    hook.secrets.push(Secret::parse(other).unwrap());
    let server = stored(hook);
    let (mut bob, _) = device(server.address(), "bob");
    publish(&mut bob, "room", "a");
    let request = receiver.request();
    assert!(request.is_signed_with(SECRET) && request.is_signed_with(other));
}

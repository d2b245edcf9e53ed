//! Bytes that break RFC 6455, or the limits of the transport.

use serde_json::json;

use crate::support::{BINARY, CLOSE, CONTINUATION, Heard, PING, TEXT, Wire, World, frame, head};

const HELLO: &str = r#"{"t":"hello","v":1,"token":"dev:alice"}"#;

#[test]
fn frames_that_are_not_allowed_are_closed_with_a_reason() {
    let mut world = World::dev();
    let masked = |fin, opcode, payload: &[u8]| frame(fin, opcode, payload);
    let cases: [(&str, Vec<u8>, u16, &str); 12] = [
        ("unmasked", vec![0x81, 2, b'{', b'}'], 1002, "masked"),
        ("opcode 3", masked(true, 3, b"x"), 1002, "opcode"),
        ("opcode 11", masked(true, 11, b"x"), 1002, "opcode"),
        ("reserved bit", vec![0xa1, 0x80, 0, 0, 0, 0], 1002, "reserved"),
        ("fragmented ping", masked(false, PING, b"x"), 1002, "control"),
        ("long ping", masked(true, PING, &[0; 126]), 1002, "125"),
        ("continuation of nothing", masked(true, CONTINUATION, b"x"), 1002, "continuation"),
        ("message in a message", [masked(false, TEXT, b"a"), masked(true, TEXT, b"b")].concat(), 1002, "inside"),
        ("close of one byte", masked(true, CLOSE, &[3]), 1002, "one byte"),
        ("close code 1005", masked(true, CLOSE, &1005_u16.to_be_bytes()), 1002, "close code"),
        ("not UTF-8", masked(true, TEXT, &[b'"', 0xff, b'"']), 1007, "UTF-8"),
        (
            "not UTF-8 over two fragments",
            [masked(false, TEXT, &[0xe2, 0x82]), masked(true, CONTINUATION, b"x")].concat(),
            1007,
            "UTF-8",
        ),
    ];
    for (name, bytes, code, says) in cases {
        for hello in [false, true] {
            let mut wire = if hello { Wire::hello(world.address(), "dev:bad") } else { Wire::open(world.address()) };
            wire.raw(&bytes);
            let reason = wire.expect_close(code);
            assert!(reason.contains(says), "{name}: {reason}");
            world.is_well();
        }
    }
}

#[test]
fn garbage_after_the_upgrade_is_closed() {
    let mut world = World::dev();
    for (seed, hello) in [(3_u32, false), (17, true), (99, false), (1_000_003, true)] {
        let mut wire = if hello { Wire::hello(world.address(), "dev:bad") } else { Wire::open(world.address()) };
        let mut state = seed;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let bytes: Vec<u8> = (0..100_000).map(|_| noise()).collect();
        wire.try_raw(&bytes);
        loop {
            match wire.hear() {
                Heard::Close(code, reason) => {
                    assert!(matches!(code, 1002 | 1007 | 4506) && !reason.is_empty(), "{code} {reason}");
                    break;
                }
                Heard::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(wire.hear(), Heard::Gone(false));
        world.is_well();
    }
}

#[test]
fn a_cut_frame_harms_nobody() {
    let mut world = World::dev();
    let whole = frame(true, TEXT, HELLO.as_bytes());
    for cut in 1..whole.len() {
        let mut wire = Wire::open(world.address());
        wire.raw(&whole[..cut]);
    }
    world.is_well();
}

#[test]
fn fragments_and_the_control_frames_between_them_are_understood() {
    let mut world = World::dev();
    let mut wire = Wire::open(world.address());
    let (start, rest) = HELLO.split_at(7);
    let (middle, end) = rest.split_at(7);
    wire.raw(&frame(false, TEXT, start.as_bytes()));
    wire.raw(&frame(true, PING, b"are you there?"));
    assert_eq!(wire.hear(), Heard::Pong(b"are you there?".to_vec()));
    wire.raw(&frame(false, CONTINUATION, middle.as_bytes()));
    wire.raw(&frame(true, PING, b""));
    wire.raw(&frame(false, CONTINUATION, b""));
    wire.raw(&frame(true, CONTINUATION, end.as_bytes()));
    assert_eq!(wire.hear(), Heard::Pong(Vec::new()));
    wire.expect("welcome");
    world.is_well();
}

#[test]
fn bytes_one_by_one_are_a_message_too() {
    let mut world = World::dev();
    let mut wire = Wire::open(world.address());
    for byte in frame(true, TEXT, HELLO.as_bytes()) {
        wire.raw(&[byte]);
    }
    wire.expect("welcome");
    world.is_well();
}

#[test]
fn a_message_of_the_wrong_kind_is_told_which_is_right() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    wire.raw(&frame(true, BINARY, b"\x01\x02"));
    let error = wire.expect_error("request.malformed");
    assert!(error["message"].as_str().unwrap().contains("text"), "{error}");
    wire.expect_close(4500);
    world.is_well();
}

#[test]
fn a_message_that_is_too_large_is_refused_by_its_head() {
    let mut world = World::dev();
    for hello in [false, true] {
        let mut wire = if hello { Wire::hello(world.address(), "dev:bad") } else { Wire::open(world.address()) };
        // Nothing but the head: no memory is taken for what is announced.
        wire.raw(&head(true, TEXT, 1 << 50));
        assert!(wire.expect_close(4506).contains("1 MiB"));
        world.is_well();
    }
}

#[test]
fn a_message_that_is_too_large_gets_its_answer_while_it_is_sent() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:bad");
    wire.try_raw(&frame(true, TEXT, &vec![b' '; 5 << 20]));
    assert!(wire.expect_close(4506).contains("1 MiB"));
    world.is_well();
}

#[test]
fn fragments_that_add_up_to_too_much_are_refused() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:bad");
    wire.raw(&frame(false, TEXT, &vec![b' '; 600_000]));
    wire.raw(&frame(false, CONTINUATION, &vec![b' '; 400_000]));
    world.is_well();
    wire.raw(&frame(false, CONTINUATION, &vec![b' '; 100_000]));
    wire.expect_close(4506);
    world.is_well();
}

#[test]
fn the_largest_message_is_taken() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:large");
    let ping = json!({"t": "ping", "n": 7}).to_string();
    let mut message = vec![b' '; (1 << 20) - ping.len()];
    message.extend_from_slice(ping.as_bytes());
    wire.raw(&frame(true, TEXT, &message));
    assert_eq!(wire.expect("pong")["n"], 7);
    world.is_well();
}

#[test]
fn a_goodbye_is_answered_after_everything_before_it() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    let ping = frame(true, TEXT, json!({"t": "ping", "n": 1}).to_string().as_bytes());
    wire.raw(&[ping, frame(true, CLOSE, &1000_u16.to_be_bytes())].concat());
    assert_eq!(wire.expect("pong")["n"], 1);
    wire.expect_close(1000);
    world.is_well();
}

#[test]
fn a_client_that_floods_does_not_starve_the_others() {
    let mut world = World::dev();
    let mut flood = Wire::hello(world.address(), "dev:flood");
    let pongs = frame(true, 10, b"flood").repeat(10_000);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let flooding = std::thread::spawn(move || {
        let mut sent = 0_u64;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            assert!(flood.try_raw(&pongs));
            sent += 1;
        }
        sent
    });
    for _ in 0..20 {
        world.is_well();
    }
    drop(stop);
    assert!(flooding.join().unwrap() > 0);
}

//! Stored once by sequence.

use moorline_protocol::{ErrorCode, ProducerId, ProducerRequest, ProducerState, ReusedBy};
use moorline_server::engine::{Appended, Attach, Attached, Completion, ReadRange};

use crate::rig::{DAY, Device, HERE, MINUTE, Rig, duplicate, each, message, offsets, stored};

fn send(rig: &mut Rig, device: &Device, seq: u64) -> Appended {
    rig.publish(message("room", &format!("m{seq}")).seq(device, seq))
}

#[test]
fn a_resend_is_answered_with_its_offset() {
    each(|rig| {
        let device = rig.device("alice");
        for seq in 1..=3 {
            assert_eq!(stored(&send(rig, &device, seq)), seq);
        }
        assert_eq!(duplicate(&send(rig, &device, 2)), 2);
        rig.middle();
        let device = rig.device("alice");
        for seq in 1..=3 {
            assert_eq!(duplicate(&send(rig, &device, seq)), seq);
        }
        assert_eq!(stored(&send(rig, &device, 4)), 4);
        assert_eq!(offsets(&rig.read("room", ReadRange::Newest)), [1, 2, 3, 4]);
    });
}

#[test]
fn a_window_is_resent_in_one_batch() {
    each(|rig| {
        let device = rig.device("alice");
        let window = |device: &Device| {
            let publish = |seq: u64| message("room", &format!("m{seq}")).seq(device, seq).command();
            (1..=32).map(publish).collect::<Vec<_>>()
        };
        let twice = [window(&device), window(&device)].concat();
        let answers = rig.batch(HERE, twice);
        for (number, answer) in (0..).zip(&answers) {
            let Some(Ok(Completion::Appended(appended))) = answer else { panic!("{answer:?}") };
            let offset = if number < 32 { stored(appended) } else { duplicate(appended) };
            assert_eq!(offset, number % 32 + 1);
        }
        rig.middle();
        let device = rig.device("alice");
        for (number, answer) in (0..).zip(&rig.batch(HERE, window(&device))) {
            let Some(Ok(Completion::Appended(appended))) = answer else { panic!("{answer:?}") };
            assert_eq!(duplicate(appended), number + 1);
        }
    });
}

#[test]
fn a_used_sequence_with_other_content_is_refused() {
    each(|rig| {
        let device = rig.device("alice");
        send(rig, &device, 1);
        rig.middle();
        let device = rig.device("alice");
        let other = message("room", "other").seq(&device, 1);
        assert_eq!(rig.publish(other), Appended::Reused(ReusedBy::Seq));
        let other = message("room", "m1").text("else").seq(&device, 1);
        assert_eq!(rig.publish(other), Appended::Reused(ReusedBy::Seq));
        assert_eq!(stored(&send(rig, &device, 2)), 2);
    });
}

#[test]
fn a_gap_names_what_is_expected_and_consumes_nothing() {
    each(|rig| {
        let device = rig.device("alice");
        assert_eq!(send(rig, &device, 2), Appended::Gap { expected: 1 });
        send(rig, &device, 1);
        rig.middle();
        let device = rig.device("alice");
        assert_eq!(send(rig, &device, 3), Appended::Gap { expected: 2 });
        assert_eq!(stored(&send(rig, &device, 2)), 2);
        assert_eq!(stored(&send(rig, &device, 3)), 3);
    });
}

#[test]
fn sequences_are_per_channel() {
    each(|rig| {
        let device = rig.device("alice");
        assert_eq!(rig.store(message("a", "m").seq(&device, 1)), 1);
        assert_eq!(rig.store(message("b", "m").seq(&device, 1)), 1);
        rig.middle();
        let device = rig.device("alice");
        assert_eq!(rig.store(message("a", "n").seq(&device, 2)), 2);
        assert_eq!(rig.publish(message("b", "n").seq(&device, 3)), Appended::Gap { expected: 2 });
    });
}

#[test]
fn an_older_generation_is_fenced() {
    each(|rig| {
        let old = rig.device("alice");
        send(rig, &old, 1);
        let new = rig.reconnect("alice", old.clone());
        assert!(new.producer.generation > old.producer.generation);
        assert_eq!(send(rig, &old, 2), Appended::Fenced);
        // Even if the sequence was used, or skips one.
        assert_eq!(send(rig, &old, 1), Appended::Fenced);
        assert_eq!(send(rig, &old, 9), Appended::Fenced);
        rig.middle();
        let newest = rig.device("alice");
        assert_eq!(send(rig, &old, 2), Appended::Fenced);
        assert_eq!(stored(&send(rig, &newest, 2)), 2);
        let future = message("room", "f").seq(&newest, 3).generation(newest.producer.generation + 1);
        assert_eq!(rig.publish(future), Appended::Fenced);
    });
}

#[test]
fn generations_grow_over_attachments_and_starts() {
    each(|rig| {
        let first = rig.device("alice");
        let second = rig.reconnect("alice", first.clone());
        rig.middle();
        let third = rig.device("alice");
        let fourth = rig.reconnect("alice", third.clone());
        let generations = [&first, &second, &third, &fourth].map(|device| device.producer.generation);
        assert!(generations.is_sorted_by(|a, b| a <= b), "{generations:?}");
        assert!(generations[3] > generations[2] && generations[1] > generations[0]);
        assert!(generations[3] < 1 << 53);
        assert_eq!(fourth.producer.id, first.producer.id);
        assert_eq!(fourth.producer.state, ProducerState::Resumed);
    });
}

#[test]
fn an_unknown_producer_is_told_so() {
    each(|rig| {
        let device = rig.device("alice");
        let strange = message("room", "m").seq(&device, 1).producer(ProducerId(1));
        assert_eq!(rig.publish(strange), Appended::UnknownProducer);
    });
}

#[test]
fn a_producer_belongs_to_its_device() {
    each(|rig| {
        let alice = rig.device("alice");
        rig.middle();
        for thief in ["bob", "carol"] {
            let request = ProducerRequest::Resume(alice.producer.id);
            let attach = Attach { producer: Some(request), ..rig.hello(&crate::rig::owner(thief)) };
            let Attached::Accepted { producer: Some(grant) } = rig.attach(attach) else { panic!() };
            assert_eq!(grant.state, ProducerState::Expired);
            assert_ne!(grant.id, alice.producer.id);
        }
        let again = rig.reconnect("alice", alice.clone());
        assert_eq!((again.producer.id, again.producer.state), (alice.producer.id, ProducerState::Resumed));
    });
}

#[test]
fn a_refusal_consumes_its_sequence_and_is_repeated() {
    each(|rig| {
        let device = rig.device("alice");
        let refused = |device: &Device, seq: u64| {
            message("room", &format!("m{seq}")).seq(device, seq).refused(ErrorCode::ChannelDenied)
        };
        assert_eq!(rig.publish(refused(&device, 1)), Appended::Refused(ErrorCode::ChannelDenied));
        rig.middle();
        let device = rig.device("alice");
        // A resend gets the same answer, even if it would be allowed by now.
        assert_eq!(send(rig, &device, 1), Appended::Refused(ErrorCode::ChannelDenied));
        assert_eq!(stored(&send(rig, &device, 2)), 1);
        let large = refused(&device, 3).refused(ErrorCode::LimitMessage);
        assert_eq!(rig.publish(large), Appended::Refused(ErrorCode::LimitMessage));
        assert_eq!(stored(&send(rig, &device, 4)), 2);
    });
}

#[test]
fn a_refusal_without_sequence_leaves_nothing() {
    each(|rig| {
        let refused = message("room", "m").refused(ErrorCode::ChannelDenied);
        assert_eq!(rig.publish(refused), Appended::Refused(ErrorCode::ChannelDenied));
        rig.middle();
        assert_eq!(rig.store(message("room", "m")), 1);
    });
}

#[test]
fn a_reused_id_consumes_its_sequence() {
    each(|rig| {
        let device = rig.device("alice");
        rig.store(message("room", "a").text("one").scope("alice"));
        let reused = message("room", "a").text("two").seq(&device, 1);
        assert_eq!(rig.publish(reused), Appended::Reused(ReusedBy::Id));
        rig.middle();
        let device = rig.device("alice");
        let reused = message("room", "a").text("two").seq(&device, 1);
        assert_eq!(rig.publish(reused), Appended::Reused(ReusedBy::Id));
        assert_eq!(stored(&send(rig, &device, 2)), 2);
    });
}

#[test]
fn a_known_id_consumes_its_sequence_and_is_a_duplicate() {
    each(|rig| {
        let device = rig.device("alice");
        rig.store(message("room", "x"));
        rig.store(message("room", "a").scope("alice"));
        assert_eq!(duplicate(&rig.publish(message("room", "a").seq(&device, 1))), 2);
        rig.middle();
        let device = rig.device("alice");
        assert_eq!(duplicate(&rig.publish(message("room", "a").seq(&device, 1))), 2);
        assert_eq!(stored(&send(rig, &device, 2)), 3);
    });
}

#[test]
fn checks_come_in_order() {
    each(|rig| {
        let device = rig.device("alice");
        rig.store(message("room", "known").text("one").scope("alice"));
        send(rig, &device, 1);
        rig.middle();
        let device = rig.device("alice");
        let worst = |device: &Device, seq: u64| {
            message("room", "known").text("two").seq(device, seq).refused(ErrorCode::ChannelDenied)
        };
        // Generation before all, then the sequence, then the grant, then the id.
        let old = worst(&device, 9).generation(1);
        assert_eq!(rig.publish(old), Appended::Fenced);
        assert_eq!(rig.publish(worst(&device, 9)), Appended::Gap { expected: 2 });
        assert_eq!(rig.publish(worst(&device, 1)), Appended::Reused(ReusedBy::Seq));
        assert_eq!(rig.publish(worst(&device, 2)), Appended::Refused(ErrorCode::ChannelDenied));
        let reused = message("room", "known").text("two").seq(&device, 3);
        assert_eq!(rig.publish(reused), Appended::Reused(ReusedBy::Id));
    });
}

#[test]
fn a_producer_writes_to_256_channels() {
    each(|rig| {
        let device = rig.device("alice");
        // What never was stored takes no place.
        for n in 0..300 {
            let gap = message(&format!("gap{n}"), "m").seq(&device, 2);
            assert_eq!(rig.publish(gap), Appended::Gap { expected: 1 });
        }
        let commands = (0..256).map(|n| message(&format!("room{n}"), "m").seq(&device, 1).command());
        for answer in rig.batch(HERE, commands) {
            assert!(matches!(answer, Some(Ok(Completion::Appended(Appended::Stored(_))))), "{answer:?}");
        }
        rig.middle();
        let device = rig.device("alice");
        let one_more = message("one-more", "m").seq(&device, 1);
        assert_eq!(rig.publish(one_more.clone()), Appended::TooManyChannels);
        // Temporary: it consumes nothing. The order of checks holds.
        assert_eq!(rig.publish(message("one-more", "m").seq(&device, 2)), Appended::Gap { expected: 1 });
        assert_eq!(rig.publish(one_more.generation(1)), Appended::Fenced);
        assert_eq!(rig.store(message("room7", "n").seq(&device, 2)), 2);
    });
}

#[test]
fn sixty_four_verdicts_are_kept() {
    each(|rig| {
        let device = rig.device("alice");
        for seq in 1..=65 {
            send(rig, &device, seq);
        }
        rig.middle();
        let device = rig.device("alice");
        assert_eq!(send(rig, &device, 1), Appended::Reused(ReusedBy::Seq));
        assert_eq!(duplicate(&send(rig, &device, 2)), 2);
        assert_eq!(duplicate(&send(rig, &device, 65)), 65);
    });
}

#[test]
fn thirty_two_verdicts_are_kept_after_ten_minutes() {
    each(|rig| {
        let device = rig.device("alice");
        for seq in 1..=64 {
            send(rig, &device, seq);
        }
        rig.pass(10 * MINUTE);
        assert_eq!(duplicate(&send(rig, &device, 1)), 1);
        rig.pass(10 * MINUTE + 1);
        rig.middle();
        rig.pass(6_000);
        let device = rig.device("alice");
        assert_eq!(send(rig, &device, 32), Appended::Reused(ReusedBy::Seq));
        assert_eq!(duplicate(&send(rig, &device, 33)), 33);
        assert_eq!(duplicate(&send(rig, &device, 64)), 64);
        assert_eq!(stored(&send(rig, &device, 65)), 65);
    });
}

#[test]
fn a_producer_lives_7_days_unused() {
    each(|rig| {
        let device = rig.device("alice");
        send(rig, &device, 1);
        let gone = rig.disconnect("alice");
        rig.pass(7 * DAY);
        let device = rig.reconnect("alice", gone);
        assert_eq!(device.producer.state, ProducerState::Resumed);
        assert_eq!(duplicate(&send(rig, &device, 1)), 1);
        rig.middle();
        let gone = rig.disconnect("alice");
        rig.pass(7 * DAY + 1);
        let new = rig.reconnect("alice", gone.clone());
        assert_eq!(new.producer.state, ProducerState::Expired);
        assert_ne!(new.producer.id, gone.producer.id);
        let late = message("room", "late").seq(&gone, 2);
        assert_eq!(rig.publish(late), Appended::UnknownProducer);
    });
}

#[test]
fn an_attached_producer_never_expires() {
    each(|rig| {
        let device = rig.device("alice");
        send(rig, &device, 1);
        for _ in 0..5 {
            rig.pass(3 * DAY);
        }
        // The last use was when everything stopped, though nothing was published.
        rig.middle_after(5 * DAY);
        let device = rig.device("alice");
        let device = rig.reconnect("alice", device);
        assert_eq!(device.producer.state, ProducerState::Resumed);
        assert_eq!(stored(&send(rig, &device, 2)), 2);
        // A detachment is a use.
        rig.pass(8 * DAY);
        let gone = rig.disconnect("alice");
        rig.pass(6 * DAY);
        assert_eq!(rig.reconnect("alice", gone).producer.state, ProducerState::Resumed);
    });
}

#[test]
fn restarts_do_not_keep_an_unused_producer_alive() {
    each(|rig| {
        let device = rig.device("alice");
        send(rig, &device, 1);
        let gone = rig.disconnect("alice");
        for _ in 0..5 {
            rig.pass(2 * DAY);
            rig.middle();
        }
        rig.pass(6_000);
        assert_eq!(rig.reconnect("alice", gone).producer.state, ProducerState::Expired);
    });
}

use super::*;

const TIMES: Times =
    Times { answer: 15_000, first_retry: 1_000, last_retry: 3_600_000, pause: 30_000, max_age: 86_400_000 };

const REFUSED: Outcome = Outcome::Refused { retry_after: None };

fn queue() -> Queue {
    Queue::new(TIMES, 1, Offset::ZERO, [7; 32])
}

fn event(offset: u64, time: u64, bytes: usize) -> Queued {
    Queued { offset: Offset(offset), time, id: format!("e{offset}"), json: vec![b'x'; bytes].into() }
}

fn push(queue: &mut Queue, key: &str, offset: u64) {
    queue.push((true, key.into()), event(offset, 0, 10));
}

fn offsets(batch: &Batch) -> Vec<u64> {
    batch.events.iter().map(|event| event.offset.0).collect()
}

fn send(queue: &mut Queue, now: u64) -> Batch {
    match queue.next(now) {
        Next::Send(batch) => batch,
        other @ (Next::Wait(_) | Next::Idle) => panic!("{other:?}"),
    }
}

/// Lets time pass until something goes.
fn send_when_due(queue: &mut Queue, now: &mut u64) -> Batch {
    loop {
        match queue.next(*now) {
            Next::Send(batch) => return batch,
            Next::Wait(at) => *now = at,
            Next::Idle => panic!("something is left"),
        }
    }
}

#[test]
fn a_batch_takes_all_keys_in_the_order_of_the_log() {
    let mut queue = queue();
    [("a", 1), ("b", 2), ("a", 3)].into_iter().for_each(|(key, offset)| push(&mut queue, key, offset));
    queue.reach(Offset(7));
    let batch = send(&mut queue, 0);
    assert_eq!((offsets(&batch), queue.settled()), (vec![1, 2, 3], Offset::ZERO));
    queue.done(&batch, Outcome::Taken, 0);
    assert_eq!((queue.next(0), queue.settled()), (Next::Idle, Offset(7)));
}

#[test]
fn a_batch_has_a_hundred_events_and_so_many_bytes() {
    let mut queue = queue();
    (1..=150).for_each(|offset| push(&mut queue, "a", offset));
    assert_eq!(offsets(&send(&mut queue, 0)), (1..=100).collect::<Vec<_>>());
    let mut large = Queue::new(TIMES, 1, Offset::ZERO, [7; 32]);
    for offset in 1..=4 {
        large.push((true, "a".into()), event(offset, 0, if offset == 1 { 300_000 } else { 100_000 }));
    }
    for expected in [vec![1], vec![2, 3], vec![4]] {
        let batch = send(&mut large, 0);
        assert_eq!(offsets(&batch), expected);
        large.done(&batch, Outcome::Taken, 0);
    }
}

#[test]
fn after_a_failure_each_key_goes_alone_and_others_together() {
    let mut queue = queue();
    [("bad", 1), ("good", 2), ("bad", 3)].into_iter().for_each(|(key, offset)| push(&mut queue, key, offset));
    let batch = send(&mut queue, 0);
    queue.done(&batch, REFUSED, 0);
    let Next::Wait(at) = queue.next(0) else { panic!("no pause") };
    assert!((500..=1_000).contains(&at), "{at}");
    push(&mut queue, "new", 4);
    let mut refused = 0;
    let (mut now, mut taken) = (at, Vec::new());
    while taken.len() < 2 {
        match queue.next(now) {
            Next::Wait(at) => now = at,
            Next::Idle => panic!("something is left"),
            Next::Send(batch) => {
                let is_bad = offsets(&batch).contains(&1);
                assert!(!is_bad || offsets(&batch) == [1], "{batch:?}");
                refused += u32::from(is_bad);
                taken.extend(offsets(&batch).into_iter().filter(|_| !is_bad));
                queue.done(&batch, if is_bad { REFUSED } else { Outcome::Taken }, now);
            }
        }
    }
    taken.sort_unstable();
    assert_eq!(taken, [2, 4], "3 stands behind 1");
    assert!(refused <= 2);
    assert_eq!(queue.settled(), Offset::ZERO);
    // What is new goes at once, however long the bad one waits.
    (0..12).for_each(|_| {
        let batch = send_when_due(&mut queue, &mut now);
        queue.done(&batch, REFUSED, now);
    });
    let Next::Wait(at) = queue.next(now) else { panic!("no pause") };
    now = at;
    push(&mut queue, "new", 5);
    while let Next::Wait(at) = queue.next(now) {
        assert!(at <= now + TIMES.pause);
        now = at;
    }
}

#[test]
fn a_key_waits_twice_as_long_each_time_up_to_an_hour() {
    let mut queue = queue();
    push(&mut queue, "bad", 1);
    let mut now = 0;
    let mut batch = send(&mut queue, now);
    for n in 0..20 {
        queue.done(&batch, REFUSED, now);
        let begin = now;
        batch = send_when_due(&mut queue, &mut now);
        let most = (1_000 << n).min(3_600_000);
        assert!((most / 2..=most).contains(&(now - begin)), "{n}: {}", now - begin);
    }
    queue.done(&batch, Outcome::Taken, now);
    assert_eq!(queue.settled(), Offset(1));
}

#[test]
fn what_is_too_old_is_given_up_and_counted() {
    let mut queue = queue();
    queue.push((true, "a".into()), event(1, 1_000, 1));
    queue.push((true, "a".into()), event(2, 2_000, 1));
    queue.push((true, "b".into()), event(3, 1_000, 1));
    let batch = send(&mut queue, 1_000);
    queue.done(&batch, REFUSED, 1_000);
    assert_eq!(queue.give_up(1_000 + TIMES.max_age), []);
    let letters = queue.give_up(1_001 + TIMES.max_age);
    assert_eq!(
        letters.iter().map(|letter| (letter.event.offset.0, letter.attempts)).collect::<Vec<_>>(),
        [(1, 1), (3, 1)]
    );
    assert_eq!((queue.given_up(), queue.settled()), (2, Offset(1)));
    assert_eq!(queue.give_up(2_001 + TIMES.max_age).len(), 1);
    assert_eq!((queue.next(u64::MAX), queue.settled()), (Next::Idle, Offset(3)));
}

#[test]
fn a_dead_receiver_fills_the_window_and_loses_nothing() {
    let mut queue = queue();
    let mut now = 0;
    for offset in 1.. {
        if !queue.has_room() {
            assert_eq!(offset, 1_001);
            break;
        }
        push(&mut queue, &format!("key{}", offset % 7), offset);
    }
    for _ in 0..200 {
        match queue.next(now) {
            Next::Send(batch) => queue.done(&batch, REFUSED, now),
            Next::Wait(at) => now = at,
            Next::Idle => panic!("something is left"),
        }
        if now < TIMES.max_age {
            assert_eq!(queue.give_up(now), []);
        }
    }
    let mut bytes = Queue::new(TIMES, 1, Offset::ZERO, [7; 32]);
    bytes.push((true, "a".into()), event(1, 0, WINDOW_BYTES));
    assert!(!bytes.has_room());
}

#[test]
fn a_key_that_fills_the_window_alone_loses_its_oldest() {
    let mut queue = queue();
    (1..=1_000).for_each(|offset| push(&mut queue, "bad", offset));
    let mut now = 0;
    for _ in 0..3 {
        let batch = send_when_due(&mut queue, &mut now);
        queue.done(&batch, REFUSED, now);
    }
    assert_eq!(queue.give_up(now), [], "nobody has taken anything: it may be the receiver");
    // Somebody else gets through.
    push(&mut queue, "good", 1_001);
    let batch = send_when_due(&mut queue, &mut now);
    assert_eq!(offsets(&batch), [1_001]);
    queue.done(&batch, Outcome::Taken, now);
    let lost = queue.give_up(now);
    assert_eq!(lost.iter().map(|letter| letter.event.offset.0).collect::<Vec<_>>(), [1]);
    assert!(queue.has_room() && queue.given_up() == 1);
}

#[test]
fn several_batches_are_on_their_way_and_never_two_of_a_key() {
    let mut queue = Queue::new(TIMES, 3, Offset::ZERO, [7; 32]);
    (1..=150).for_each(|offset| push(&mut queue, "busy", offset));
    [("b", 151), ("c", 152)].into_iter().for_each(|(key, offset)| push(&mut queue, key, offset));
    let first = send(&mut queue, 0);
    assert_eq!(offsets(&first), (1..=100).collect::<Vec<_>>());
    let second = send(&mut queue, 0);
    assert_eq!(offsets(&second), [151, 152]);
    // There would be room for a third, but all of it is behind the first.
    assert_eq!(queue.next(0), Next::Idle);
    push(&mut queue, "d", 153);
    let third = send(&mut queue, 0);
    push(&mut queue, "e", 154);
    assert_eq!(queue.next(0), Next::Idle, "three are on their way");
    queue.done(&second, Outcome::Taken, 0);
    assert_eq!(queue.settled(), Offset::ZERO, "a start would begin with what is on its way");
    let fourth = send(&mut queue, 0);
    assert_eq!(offsets(&fourth), [154]);
    queue.done(&first, Outcome::Taken, 0);
    assert_eq!((offsets(&send(&mut queue, 0)), queue.settled()), ((101..=150).collect(), Offset(100)));
    for batch in [third, fourth] {
        queue.done(&batch, Outcome::Taken, 0);
    }
}

#[test]
fn a_receiver_that_fails_is_asked_by_one_request_at_a_time() {
    let mut queue = Queue::new(TIMES, 4, Offset::ZERO, [7; 32]);
    let batches = ["a", "b", "c"].map(|key| {
        push(&mut queue, key, u64::from(key.as_bytes()[0]));
        send(&mut queue, 0)
    });
    batches.iter().for_each(|batch| queue.done(batch, REFUSED, 0));
    let Next::Wait(at) = queue.next(0) else { panic!("no pause") };
    let probe = send(&mut queue, at + TIMES.pause);
    assert_eq!(queue.next(at + TIMES.pause), Next::Idle);
    queue.done(&probe, Outcome::Taken, at + TIMES.pause);
    send(&mut queue, at + TIMES.pause);
    send(&mut queue, at + TIMES.pause);
}

#[test]
fn a_receiver_is_left_alone_for_as_long_as_it_says_but_for_no_more_than_an_hour() {
    let mut queue = Queue::new(TIMES, 2, Offset::ZERO, [7; 32]);
    push(&mut queue, "a", 1);
    push(&mut queue, "b", 2);
    let (batch, wait) = (send(&mut queue, 0), |ms| Outcome::Refused { retry_after: Some(ms) });
    push(&mut queue, "c", 3);
    let other = send(&mut queue, 0);
    queue.done(&batch, wait(120_000), 0);
    // What another request brings does not shorten it.
    queue.done(&other, Outcome::Taken, 1_000);
    assert_eq!(queue.next(1_000), Next::Wait(120_000));
    assert_eq!(offsets(&send(&mut queue, 120_000)), [1, 2], "it was not these events' fault");
    queue.done(&batch, wait(u64::MAX / 2), 120_000);
    assert_eq!(queue.next(120_000), Next::Wait(120_000 + TIMES.last_retry));
    // Less than its own pause is its own pause.
    let now = 120_000 + TIMES.last_retry;
    let batch = send(&mut queue, now);
    queue.done(&batch, wait(0), now);
    assert!(matches!(queue.next(now), Next::Wait(at) if at >= now + TIMES.first_retry / 2));
}

#[test]
fn what_several_under_way_say_of_having_no_time_counts_once() {
    let mut queue = Queue::new(TIMES, 3, Offset::ZERO, [7; 32]);
    let batches = [("a", 1), ("b", 2), ("c", 3)].map(|(key, offset)| {
        push(&mut queue, key, offset);
        send(&mut queue, 0)
    });
    let busy = Outcome::Refused { retry_after: Some(120_000) };
    batches.iter().for_each(|batch| queue.done(batch, busy, 0));
    // None of them failed: they go together, as before.
    let batch = send(&mut queue, 120_000);
    assert_eq!(offsets(&batch), [1, 2, 3]);
    // It was asked when it said it had time: now it may be these events, and each key goes alone.
    queue.done(&batch, busy, 120_000);
    let mut now = 120_000;
    assert_eq!(offsets(&send_when_due(&mut queue, &mut now)).len(), 1);
}

#[test]
fn what_is_on_its_way_is_not_given_up() {
    let mut queue = queue();
    push(&mut queue, "a", 1);
    push(&mut queue, "b", 2);
    let batch = send(&mut queue, 0);
    assert_eq!((queue.backlog(), queue.oldest()), (2, Some(0)));
    assert_eq!(queue.give_up(TIMES.max_age + 1), []);
    queue.done(&batch, REFUSED, TIMES.max_age + 1);
    assert_eq!(queue.give_up(TIMES.max_age + 1).len(), 2);
    assert_eq!((queue.backlog(), queue.oldest()), (0, None));
}

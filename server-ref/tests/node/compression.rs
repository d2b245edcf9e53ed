//! Who is sent compressed messages, and against what: never against a message that the connection was not sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use moorline_protocol::binary::decode_deliver_body;
use moorline_protocol::{
    AppName, ChannelName, ChannelRef, ClientFrame, Codec, Decoded, Deliver, Epoch, Hello, More, Offset, Packed, Pause,
    Payload, Position, Publish, Qos, Reset, ServerFrame, Since, Subscribe, Subscribed, Unsubscribe, Utf8Bytes,
};
use moorline_server::engine::{ChannelKey, Event, Reply};
use moorline_server::node::{CompressionRules, Pressure};
use proptest::prelude::*;

use crate::bench::{Bench, everything};

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Live,
    /// Live, deflated against so many messages.
    Packed(u8),
    Page,
    PackedPage,
}
use Form::{Live, PackedPage, Page};

/// A client that speaks binary and checks everything it is sent.
struct Reader {
    conn: u32,
    epoch: Epoch,
    /// The payloads that this connection was sent since `subscribed`, `reset` or its last rewind.
    held: BTreeMap<u64, Bytes>,
}

impl Reader {
    fn open(bench: &mut Bench, conn: u32, caps: &[&'static str]) -> Self {
        let name = format!("reader-{conn}");
        bench.token(&name, everything(&name));
        bench.open(conn, Codec::Binary);
        let caps = caps.iter().map(|cap| Utf8Bytes::from_static(cap)).collect();
        let reader = Self { conn, epoch: Epoch::default(), held: BTreeMap::new() };
        reader.say(
            bench,
            ClientFrame::Hello(Hello {
                v: 1,
                token: Some(name.into()),
                device: None,
                run: None,
                sdk: None,
                producer: None,
                caps,
                subscribe: Vec::new(),
            }),
        );
        reader
    }

    /// Opens a connection that can inflate, and reads `room` from now on.
    fn live(bench: &mut Bench, conn: u32) -> Self {
        let reader = Self::open(bench, conn, &[Packed::CAP]);
        reader.subscribe(bench, Since::Now, Qos::AtLeastOnce);
        reader
    }

    fn say(&self, bench: &mut Bench, frame: ClientFrame) {
        let mut bytes = Vec::new();
        Codec::Binary.encode_client(&frame, &mut bytes);
        bench.bytes(self.conn, bytes.into());
    }

    fn subscribe(&self, bench: &mut Bench, since: Since, qos: Qos) {
        self.say(bench, ClientFrame::Subscribe(Subscribe { since, qos, ..Subscribe::new(1, room()) }));
    }

    fn channel(&self) -> ChannelRef {
        ChannelRef::Name(room())
    }

    fn pause(&self, bench: &mut Bench) {
        self.say(bench, ClientFrame::Pause(Pause { channel: self.channel() }));
    }

    fn more(&mut self, bench: &mut Bench, after: u64, rewind: bool) {
        if rewind {
            self.held.clear();
        }
        self.say(bench, ClientFrame::More(More { channel: self.channel(), epoch: None, after: Offset(after), rewind }));
    }

    fn publish(&self, bench: &mut Bench, qos: Qos, text: &str, ttl: Option<u32>) {
        let id = Utf8Bytes::from(format!("{}-{}", self.conn, text.len()) + text.get(..8).unwrap_or(text));
        self.publish_as(bench, qos, id, Payload::Text(text.into()), ttl);
    }

    fn publish_as(&self, bench: &mut Bench, qos: Qos, id: Utf8Bytes, payload: Payload, ttl: Option<u32>) {
        let (channel, req) = (ChannelRef::Name(room()), (qos > Qos::AtMostOnce).then_some(9));
        let (seq, generation, headers) = (None, None, Vec::new());
        self.say(
            bench,
            ClientFrame::Publish(Publish { channel, qos, req, id: Some(id), seq, generation, ttl, headers, payload }),
        );
    }

    /// Returns the messages since the last call, with how they came.
    fn hear(&mut self, bench: &mut Bench) -> Vec<(u64, Form)> {
        let mut heard = Vec::new();
        for message in bench.hear(self.conn) {
            let crate::bench::Heard::Binary(mut bytes) = message else { panic!("{message:?}") };
            while let Some(Decoded::Frame(frame)) = Codec::Binary.decode_server(&mut bytes).unwrap() {
                match frame {
                    ServerFrame::Subscribed(Subscribed { epoch, .. }) | ServerFrame::Reset(Reset { epoch, .. }) => {
                        self.epoch = epoch;
                        self.held.clear();
                    }
                    ServerFrame::Deliver(deliver) => {
                        let form = if deliver.replay { Page } else { Live };
                        self.note(deliver, form, &mut heard);
                    }
                    ServerFrame::Packed(packed) => {
                        let deliver = self.inflate(&packed);
                        let form = match packed.dictionary {
                            Some(of) => Form::Packed(of.count),
                            None if deliver.replay => PackedPage,
                            None => Form::Packed(0),
                        };
                        self.note(deliver, form, &mut heard);
                    }
                    _ => {}
                }
            }
        }
        heard
    }

    fn note(&mut self, deliver: Deliver, form: Form, heard: &mut Vec<(u64, Form)>) {
        for message in deliver.messages {
            let offset = message.offset.map_or(0, |offset| offset.0);
            if offset > 0 {
                self.held.insert(offset, message.payload.bytes().clone());
            }
            heard.push((offset, form));
        }
    }

    /// Inflates against what this connection was sent, and nothing else.
    fn inflate(&self, packed: &Packed) -> Deliver {
        let mut room = Vec::new();
        if let Some(of) = packed.dictionary {
            assert!((1..=16).contains(&of.count), "{of:?}");
            for offset in of.oldest.0..of.oldest.0 + u64::from(of.count) {
                let held = self.held.get(&offset);
                room.extend_from_slice(held.unwrap_or_else(|| panic!("{offset} is in a dictionary and was not sent")));
            }
            assert!(room.len() <= 32_000);
        }
        let start = room.len();
        room.resize(start + packed.length as usize, 0);
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let result = decompress(&mut DecompressorOxide::new(), &packed.data, &mut room, start, flags);
        assert_eq!(result, (TINFLStatus::Done, packed.data.len(), packed.length as usize));
        let mut body = Bytes::from(room.split_off(start));
        assert_eq!(crc32c::crc32c(&body), packed.crc);
        let deliver = decode_deliver_body(packed.channel.clone(), &mut body).unwrap();
        let first = deliver.messages.first().and_then(|message| message.offset);
        let next = packed.dictionary.map(|of| Offset(of.oldest.0 + u64::from(of.count)));
        assert!(next.is_none() || first == next, "{first:?} does not follow on {:?}", packed.dictionary);
        deliver
    }
}

fn room() -> ChannelName {
    ChannelName::new("room").unwrap()
}

/// Something a chat would say, with `n` in it.
fn chat(n: u64) -> String {
    format!("{n:08} is what Alice wrote to everybody who was in the room at that time, and nobody has ever answered")
}

fn say(bench: &mut Bench, by: &Reader, numbers: std::ops::RangeInclusive<u64>) {
    numbers.for_each(|n| by.publish(bench, Qos::AtLeastOnce, &chat(n), None));
}

/// A bench, somebody who only publishes, and somebody who has read everything.
fn begin(messages: u64) -> (Bench, Reader, Reader) {
    let mut bench = Bench::new();
    let author = Reader::open(&mut bench, 1, &[]);
    let mut old = Reader::live(&mut bench, 2);
    old.hear(&mut bench);
    say(&mut bench, &author, 1..=messages);
    old.hear(&mut bench);
    (bench, author, old)
}

fn each(offsets: std::ops::RangeInclusive<u64>, form: Form) -> Vec<(u64, Form)> {
    offsets.map(|offset| (offset, form)).collect()
}

#[test]
fn the_dictionary_grows_to_16_messages() {
    let (mut bench, author, mut old) = begin(0);
    say(&mut bench, &author, 1..=20);
    let heard = old.hear(&mut bench);
    assert_eq!(heard[1..3], [(2, Form::Packed(1)), (3, Form::Packed(2))]);
    assert_eq!(heard[16..], each(17..=20, Form::Packed(16)));
}

#[test]
fn who_comes_later_waits_until_it_was_sent_all_of_them() {
    let (mut bench, author, mut old) = begin(20);
    let mut new = Reader::live(&mut bench, 3);
    say(&mut bench, &author, 21..=40);
    assert_eq!(old.hear(&mut bench), each(21..=40, Form::Packed(16)));
    let heard = new.hear(&mut bench);
    assert_eq!((&heard[..16], &heard[16..]), (&each(21..=36, Live)[..], &each(37..=40, Form::Packed(16))[..]));
}

#[test]
fn a_dictionary_of_large_messages_is_shorter_and_a_message_beyond_it_empties_it() {
    let (mut bench, author, mut old) = begin(20);
    let mut new = Reader::live(&mut bench, 3);
    for n in 21..=26 {
        author.publish(&mut bench, Qos::AtLeastOnce, &chat(n).repeat(100), None);
    }
    let heard = new.hear(&mut bench);
    assert_eq!((&heard[..4], &heard[4..]), (&each(21..=24, Live)[..], &each(25..=26, Form::Packed(3))[..]));
    old.hear(&mut bench);
    author.publish(&mut bench, Qos::AtLeastOnce, &chat(27).repeat(400), None);
    say(&mut bench, &author, 28..=29);
    assert_eq!(old.hear(&mut bench)[1].0, 28);
    assert!(old.held.len() > 27);
}

#[test]
fn pages_are_one_stream_and_make_up_for_what_was_not_heard_live() {
    let (mut bench, author, _old) = begin(20);
    let mut new = Reader::open(&mut bench, 3, &[Packed::CAP]);
    new.subscribe(&mut bench, Since::First, Qos::AtLeastOnce);
    say(&mut bench, &author, 21..=22);
    let heard = new.hear(&mut bench);
    assert_eq!((&heard[..20], &heard[20..]), (&each(1..=20, PackedPage)[..], &each(21..=22, Form::Packed(16))[..]));
}

#[test]
fn a_pause_or_pressure_ends_it_and_what_was_missed_brings_it_back() {
    let (mut bench, author, mut old) = begin(20);
    let _other = Reader::live(&mut bench, 3);
    old.pause(&mut bench);
    say(&mut bench, &author, 21..=22);
    assert_eq!(old.hear(&mut bench), []);
    old.more(&mut bench, 20, false);
    say(&mut bench, &author, 23..=23);
    assert_eq!(old.hear(&mut bench), [each(21..=22, PackedPage), each(23..=23, Form::Packed(16))].concat());
    bench.pressure(2, Pressure::High);
    say(&mut bench, &author, 24..=24);
    bench.pressure(2, Pressure::Low);
    say(&mut bench, &author, 25..=25);
    let forms: Vec<_> = old.hear(&mut bench).iter().map(|(_, form)| *form).collect();
    // A page of one message is too short for a stream of its own.
    assert!(matches!(forms[..], [Page | PackedPage, Form::Packed(16)]), "{forms:?}");
}

#[test]
fn after_a_rewind_comes_everything_as_it_is() {
    let (mut bench, author, mut old) = begin(20);
    let mut other = Reader::live(&mut bench, 3);
    old.more(&mut bench, 10, true);
    say(&mut bench, &author, 21..=40);
    let heard = old.hear(&mut bench);
    assert_eq!(heard[..10], each(11..=20, Page));
    // What it was sent again from 11 on counts: it holds 16 from 26 on.
    assert_eq!(heard[10..], [each(21..=26, Live), each(27..=40, Form::Packed(16))].concat());
    other.hear(&mut bench);
}

#[test]
fn a_new_subscription_holds_nothing() {
    let (mut bench, author, mut old) = begin(20);
    let _other = Reader::live(&mut bench, 3);
    let unsubscribe = Unsubscribe { req: 2, channel: old.channel(), forget: false };
    old.say(&mut bench, ClientFrame::Unsubscribe(unsubscribe));
    old.subscribe(&mut bench, Since::Now, Qos::AtLeastOnce);
    say(&mut bench, &author, 21..=21);
    assert_eq!(old.hear(&mut bench), each(21..=21, Live));
}

#[test]
fn a_new_epoch_begins_a_new_dictionary() {
    let (mut bench, author, mut old) = begin(20);
    let mut waiting = Reader::live(&mut bench, 3);
    let mut paused = Reader::live(&mut bench, 4);
    paused.hear(&mut bench);
    paused.pause(&mut bench);
    let (channel, epoch) = (ChannelKey { app: AppName::default_app(), name: room() }, Epoch::new("other").unwrap());
    bench.reply(Reply::Event(Event::NewEpoch { channel, epoch, head: Offset(20) }));
    say(&mut bench, &author, 21..=22);
    for reader in [&mut old, &mut waiting] {
        assert_eq!(reader.hear(&mut bench).last(), Some(&(22, Form::Packed(1))));
    }
    assert_eq!(paused.hear(&mut bench), []);
}

#[test]
fn what_expired_before_it_was_sent_is_no_dictionary() {
    let (mut bench, author, mut old) = begin(10);
    author.publish(&mut bench, Qos::AtLeastOnce, &chat(11), Some(1));
    say(&mut bench, &author, 12..=14);
    bench.pass(2_000);
    let mut new = Reader::open(&mut bench, 3, &[Packed::CAP]);
    new.subscribe(&mut bench, Since::First, Qos::AtLeastOnce);
    say(&mut bench, &author, 15..=40);
    let heard = new.hear(&mut bench);
    assert_eq!(heard[..13], [each(1..=10, PackedPage), each(12..=14, PackedPage)].concat());
    assert_eq!(heard[13..], [each(15..=27, Live), each(28..=40, Form::Packed(16))].concat());
    // To who was there, it is a message like any other.
    assert!(old.hear(&mut bench).iter().all(|(_, form)| matches!(form, Form::Packed(_))));
}

#[test]
fn ephemeral_messages_and_their_readers_have_no_part_in_it() {
    let (mut bench, author, mut old) = begin(20);
    let mut lossy = Reader::open(&mut bench, 3, &[Packed::CAP]);
    lossy.subscribe(&mut bench, Since::Now, Qos::AtMostOnce);
    for n in 21..=22 {
        author.publish(&mut bench, Qos::AtMostOnce, &chat(100 + n), None);
        say(&mut bench, &author, n..=n);
    }
    assert_eq!(old.hear(&mut bench), [(0, Live), (21, Form::Packed(16)), (0, Live), (22, Form::Packed(16))]);
    assert_eq!(lossy.hear(&mut bench), [(0, Live), (21, Live), (0, Live), (22, Live)]);
}

#[test]
fn only_who_asks_for_it_gets_it_and_only_where_it_is_allowed() {
    let (mut bench, author, mut old) = begin(20);
    let mut plain = Reader::open(&mut bench, 3, &["later"]);
    plain.subscribe(&mut bench, Since::First, Qos::AtLeastOnce);
    say(&mut bench, &author, 21..=40);
    assert_eq!(plain.hear(&mut bench), [each(1..=20, Page), each(21..=40, Live)].concat());
    assert_eq!(old.hear(&mut bench).len(), 20);

    let rules = CompressionRules::new(vec![("".into(), false), ("rooms".into(), true)]);
    let mut bench = Bench::with(|config| config.compression = rules);
    let author = Reader::open(&mut bench, 1, &[]);
    let mut live = Reader::live(&mut bench, 2);
    say(&mut bench, &author, 1..=3);
    let mut late = Reader::open(&mut bench, 3, &[Packed::CAP]);
    late.subscribe(&mut bench, Since::First, Qos::AtLeastOnce);
    assert_eq!((live.hear(&mut bench), late.hear(&mut bench)), (each(1..=3, Live), each(1..=3, Page)));
}

#[test]
fn what_is_short_or_does_not_shrink_goes_as_it_is() {
    let (mut bench, author, mut old) = begin(0);
    author.publish(&mut bench, Qos::AtLeastOnce, "short", None);
    let noise = |bench: &mut Bench, id: &'static str, seed: u64| {
        author.publish_as(bench, Qos::AtLeastOnce, Utf8Bytes::from_static(id), noise(seed, 500), None);
    };
    noise(&mut bench, "one", 1);
    noise(&mut bench, "two", 2);
    assert_eq!(old.hear(&mut bench), each(1..=3, Live));
    // They are part of the dictionary all the same.
    noise(&mut bench, "three", 2);
    assert_eq!(old.hear(&mut bench), [(4, Form::Packed(3))]);
}

/// Bytes that look random.
fn noise(seed: u64, length: usize) -> Payload {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u8
    };
    Payload::Binary((0..length).map(|_| next()).collect())
}

#[test]
fn many_messages_that_do_not_shrink_leave_nothing_behind() {
    let (mut bench, author, mut old) = begin(0);
    for n in 1..=400 {
        let id = Utf8Bytes::from(format!("noise-{n}"));
        author.publish_as(&mut bench, Qos::AtLeastOnce, id, noise(n, 300 + n as usize), None);
    }
    assert_eq!(old.hear(&mut bench), each(1..=400, Live));
    say(&mut bench, &author, 401..=420);
    assert_eq!(old.hear(&mut bench).last(), Some(&(420, Form::Packed(16))));
}

#[test]
fn a_message_is_deflated_once_for_all() {
    let (mut bench, author, _old) = begin(0);
    let before = bench.node.stats().packed.frames;
    let _others: Vec<_> = (10..30).map(|conn| Reader::live(&mut bench, conn)).collect();
    say(&mut bench, &author, 1..=5);
    let stats = bench.node.stats().packed;
    assert_eq!(stats.frames - before, 5);
    assert!(stats.after * 2 < stats.before, "{stats:?}");
}

/// What happens in a room, with four readers.
#[derive(Clone, Debug)]
enum Step {
    Publish { count: u64, length: usize, ttl: Option<u32> },
    Ephemeral,
    Join { reader: usize, back: u64 },
    Leave(usize),
    Pause(usize),
    More(usize),
    Rewind { reader: usize, back: u64 },
    Pressure(usize, bool),
    NewEpoch(usize),
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    let reader = || 0..4_usize;
    prop_oneof![
        6 => (1..6_u64, 1..20_usize, proptest::option::weighted(0.2, 1..3_u32))
            .prop_map(|(count, length, ttl)| Step::Publish { count, length, ttl }),
        1 => Just(Step::Ephemeral),
        3 => (reader(), 0..40_u64).prop_map(|(reader, back)| Step::Join { reader, back }),
        1 => reader().prop_map(Step::Leave),
        1 => reader().prop_map(Step::Pause),
        2 => reader().prop_map(Step::More),
        1 => (reader(), 0..20_u64).prop_map(|(reader, back)| Step::Rewind { reader, back }),
        2 => (reader(), any::<bool>()).prop_map(|(reader, full)| Step::Pressure(reader, full)),
        1 => reader().prop_map(Step::NewEpoch),
        1 => Just(Step::Pass),
    ]
}

/// Plays steps; every frame is checked on the way. Returns how every message came to every reader.
fn play(steps: &[Step]) -> Vec<Vec<(u64, Form)>> {
    let mut bench = Bench::new();
    let author = Reader::open(&mut bench, 1, &[]);
    let mut readers: Vec<_> = (2..6).map(|conn| Reader::open(&mut bench, conn, &[Packed::CAP])).collect();
    let mut heard = vec![Vec::new(); 4];
    let mut said = 0_u64;
    for step in steps {
        match step.clone() {
            Step::Publish { count, length, ttl } => {
                for _ in 0..count {
                    said += 1;
                    author.publish(&mut bench, Qos::AtLeastOnce, &chat(said).repeat(length), ttl);
                }
            }
            Step::Ephemeral => author.publish(&mut bench, Qos::AtMostOnce, &chat(said), None),
            Step::Join { reader, back } => {
                let epoch = Epoch::new("none").unwrap();
                let since = match back {
                    0 => Since::Now,
                    1 => Since::Position(Position { epoch, offset: Offset(1) }),
                    back => Since::Last(back as u32),
                };
                readers[reader].subscribe(&mut bench, since, Qos::AtLeastOnce);
            }
            Step::Leave(reader) => {
                let channel = readers[reader].channel();
                readers[reader]
                    .say(&mut bench, ClientFrame::Unsubscribe(Unsubscribe { req: 3, channel, forget: false }));
            }
            Step::Pause(reader) => readers[reader].pause(&mut bench),
            Step::More(reader) => readers[reader].more(&mut bench, said, false),
            Step::Rewind { reader, back } => {
                heard[reader].extend(readers[reader].hear(&mut bench));
                let at = readers[reader].held.keys().next_back().copied().unwrap_or(0);
                readers[reader].more(&mut bench, at.saturating_sub(back), true);
            }
            Step::Pressure(reader, full) => {
                let pressure = if full { Pressure::High } else { Pressure::Low };
                bench.pressure(readers[reader].conn, pressure);
            }
            Step::NewEpoch(reader) => {
                // A position beyond the head: the log has lost something.
                let since = Since::Position(Position { epoch: readers[reader].epoch, offset: Offset(said + 1_000) });
                readers[reader].subscribe(&mut bench, since, Qos::AtLeastOnce);
            }
            Step::Pass => bench.pass(1_500),
        }
        for (reader, heard) in readers.iter_mut().zip(&mut heard) {
            heard.extend(reader.hear(&mut bench));
        }
    }
    heard
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_a_dictionary_is_made_of_what_was_sent(steps in proptest::collection::vec(step(), 1..60)) {
        let heard = play(&steps);
        // The same inputs make the same bytes.
        prop_assert_eq!(heard, play(&steps));
    }
}

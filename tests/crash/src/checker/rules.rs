//! The rules, one function per account.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use super::{Channel, Mark, Order, Place, Publisher, Report, Seen, Subscriber, Told, Violation};

pub(super) fn judge(name: &str, channel: &Channel) -> Report {
    let mut report = Report { channel: name.to_owned(), ..Report::default() };
    report.tally.published = channel.published();
    report.tally.stored = channel.log.len();
    let places = judge_log(channel, &mut report);
    for (publisher, account) in &channel.published {
        judge_publisher(*publisher, account, &places, &mut report);
    }
    for (name, subscriber) in &channel.seen {
        judge_subscriber(name, subscriber, channel, &mut report);
    }
    report
}

/// Checks the log by itself and returns where each message is.
fn judge_log(channel: &Channel, report: &mut Report) -> BTreeMap<Mark, Place> {
    let mut places = BTreeMap::new();
    let mut newest = BTreeMap::new();
    let mut previous: Option<Place> = None;
    for entry in &channel.log {
        let place = &entry.place;
        let after = previous.replace(place.clone()).unwrap_or_else(|| Place { offset: 0, ..place.clone() });
        if after.epoch != place.epoch || after.offset.checked_add(1) != Some(place.offset) {
            report.add(Violation::LogHole { after, next: place.clone() });
        }
        let known = |mark: &Mark| {
            let account = channel.published.get(&mark.publisher);
            account.filter(|account| (1..=account.told.len() as u64).contains(&mark.number))
        };
        let Some((mark, account)) = entry.mark.and_then(|mark| Some((mark, known(&mark)?))) else {
            report.add(Violation::Foreign { place: place.clone() });
            continue;
        };
        match places.entry(mark) {
            Slot::Occupied(first) => {
                let first: &Place = first.get();
                report.add(Violation::StoredTwice { mark, offsets: [first.offset, place.offset] });
                continue;
            }
            Slot::Vacant(slot) => drop(slot.insert(place.clone())),
        }
        let newest = newest.entry(mark.publisher).or_insert(0);
        if mark.number < *newest && account.order == Order::Kept {
            report.add(Violation::ProducerOrder { mark, place: place.clone() });
        }
        *newest = mark.number.max(*newest);
    }
    places
}

/// Compares what a publisher was told with the log.
fn judge_publisher(publisher: u32, account: &Publisher, places: &BTreeMap<Mark, Place>, report: &mut Report) {
    for (number, told) in (1..).zip(&account.told) {
        let mark = Mark { publisher, number };
        let stored = places.get(&mark);
        match (told, stored) {
            (Some(Told::Stored(told)), stored) => {
                report.tally.acknowledged += 1;
                match (told, stored) {
                    (_, None) => report.add(Violation::LostInLog { mark }),
                    (Some(told), Some(stored)) if told != stored => {
                        report.add(Violation::WrongPlace { mark, told: told.clone(), stored: stored.clone() });
                    }
                    (_, Some(_)) => {}
                }
            }
            (Some(Told::Refused), stored) => report.add(Violation::Refused { mark, stored: stored.is_some() }),
            (Some(Told::Uncertain), _) => report.add(Violation::Uncertain { mark }),
            (None, _) => report.add(Violation::Unsettled { mark }),
        }
    }
}

/// Compares what a subscriber's app was handed with the log.
fn judge_subscriber(name: &str, account: &Subscriber, channel: &Channel, report: &mut Report) {
    let log: BTreeMap<&Place, Option<Mark>> = channel.log.iter().map(|entry| (&entry.place, entry.mark)).collect();
    let subscriber = || name.to_owned();
    let mut handed = BTreeSet::new();
    // The last message of this life of the app.
    let mut last: Option<&Place> = None;
    for seen in &account.seen {
        let (place, mark, redelivered) = match seen {
            Seen::Message { place, mark, redelivered } => (place, *mark, *redelivered),
            Seen::Reset => {
                report.add(Violation::Reset { subscriber: subscriber() });
                continue;
            }
            Seen::Restarted => {
                last = None;
                continue;
            }
        };
        if log.get(place) != Some(&mark) {
            report.add(Violation::SeenWrong { subscriber: subscriber(), place: place.clone() });
        }
        let again = !handed.insert(place);
        let in_order = last.is_none_or(|last| last.epoch != place.epoch || last.offset < place.offset);
        match (again, in_order) {
            // An earlier process of the app had it, and the client says so.
            (true, true) if redelivered => report.tally.redelivered += 1,
            (true, _) => report.add(Violation::SeenTwice { subscriber: subscriber(), place: place.clone() }),
            (false, false) => report.add(Violation::SeenLate { subscriber: subscriber(), place: place.clone() }),
            (false, true) => report.tally.received += 1,
        }
        last = Some(place);
    }
    for (place, _) in log.iter().filter(|(place, _)| place.offset > account.from && !handed.contains(*place)) {
        report.add(Violation::Missed { subscriber: subscriber(), place: (*place).clone() });
    }
}

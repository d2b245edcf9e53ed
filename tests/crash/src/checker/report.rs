use std::fmt;

use super::{Mark, Place};

/// One way in which the accounts contradict each other or the promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A publisher was told "stored", and the log does not hold the message.
    LostInLog {
        /// Which.
        mark: Mark,
    },
    /// A publisher was never told anything.
    Unsettled {
        /// Which.
        mark: Mark,
    },
    /// A publisher was told that nobody can know, though its store was intact.
    Uncertain {
        /// Which.
        mark: Mark,
    },
    /// A publisher was told "refused".
    Refused {
        /// Which.
        mark: Mark,
        /// Whether the log holds it nevertheless.
        stored: bool,
    },
    /// A publisher was told one place, and the message is at another.
    WrongPlace {
        /// Which.
        mark: Mark,
        /// What was told.
        told: Place,
        /// Where it is.
        stored: Place,
    },
    /// The log holds a message twice.
    StoredTwice {
        /// Which.
        mark: Mark,
        /// Its offsets.
        offsets: [u64; 2],
    },
    /// The log holds something that nobody published.
    Foreign {
        /// Where.
        place: Place,
    },
    /// Two neighbours of the log are not neighbours by their offsets, or the log began a new life.
    LogHole {
        /// The earlier one.
        after: Place,
        /// The later one.
        next: Place,
    },
    /// The log holds a message behind a later one of the same publisher.
    ProducerOrder {
        /// Which.
        mark: Mark,
        /// Where.
        place: Place,
    },
    /// A subscriber was not handed a message of the log.
    Missed {
        /// Who.
        subscriber: String,
        /// Where it is.
        place: Place,
    },
    /// A subscriber was handed a message twice.
    SeenTwice {
        /// Who.
        subscriber: String,
        /// Where it is.
        place: Place,
    },
    /// A subscriber was handed a message after a later one.
    SeenLate {
        /// Who.
        subscriber: String,
        /// Where it is.
        place: Place,
    },
    /// A subscriber was handed something that the log does not hold at this place.
    SeenWrong {
        /// Who.
        subscriber: String,
        /// Where it should be.
        place: Place,
    },
    /// A subscriber was told that continuity is broken, in a run that gave no reason for it.
    Reset {
        /// Who.
        subscriber: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostInLog { mark } => write!(f, "{mark} was acknowledged and is not in the log"),
            Self::Unsettled { mark } => write!(f, "{mark} was never answered"),
            Self::Uncertain { mark } => write!(f, "{mark} was settled as uncertain"),
            Self::Refused { mark, stored: true } => write!(f, "{mark} was refused and is in the log"),
            Self::Refused { mark, stored: false } => write!(f, "{mark} was refused"),
            Self::WrongPlace { mark, told, stored } => write!(f, "{mark} was said to be at {told} and is at {stored}"),
            Self::StoredTwice { mark, offsets: [first, second] } => {
                write!(f, "{mark} is in the log twice, at {first} and {second}")
            }
            Self::Foreign { place } => write!(f, "{place} holds what nobody published"),
            Self::LogHole { after, next } => write!(f, "the log goes from {after} to {next}"),
            Self::ProducerOrder { mark, place } => write!(f, "{mark} stands at {place}, behind a later message"),
            Self::Missed { subscriber, place } => write!(f, "{subscriber} was never handed {place}"),
            Self::SeenTwice { subscriber, place } => write!(f, "{subscriber} was handed {place} twice"),
            Self::SeenLate { subscriber, place } => write!(f, "{subscriber} was handed {place} after a later message"),
            Self::SeenWrong { subscriber, place } => {
                write!(f, "{subscriber} was handed at {place} what the log does not hold there")
            }
            Self::Reset { subscriber } => write!(f, "{subscriber} was reset without a reason"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.offset)
    }
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages handed to clients.
    pub published: usize,
    /// Messages that publishers were told are stored.
    pub acknowledged: usize,
    /// Messages in the log.
    pub stored: usize,
    /// Messages handed to subscribers, redeliveries after a restart not counted.
    pub received: usize,
    /// Messages handed to a restarted subscriber again, and marked so.
    pub redelivered: usize,
    /// Messages in the log twice, or handed to a subscriber twice.
    pub duplicates: usize,
    /// Messages acknowledged or stored that did not get where they should, or were never answered.
    pub lost: usize,
    /// Messages against the order of the log or of their publisher, and holes in the log.
    pub out_of_order: usize,
    /// Every other contradiction.
    pub wrong: usize,
}

impl Tally {
    /// Adds another channel's counts.
    pub fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.acknowledged += other.acknowledged;
        self.stored += other.stored;
        self.received += other.received;
        self.redelivered += other.redelivered;
        self.duplicates += other.duplicates;
        self.lost += other.lost;
        self.out_of_order += other.out_of_order;
        self.wrong += other.wrong;
    }

    /// Tells whether nothing was lost, doubled, out of order or wrong.
    pub fn is_clean(&self) -> bool {
        self.duplicates + self.lost + self.out_of_order + self.wrong == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { published, acknowledged, stored, received, redelivered, .. } = self;
        let Self { duplicates, lost, out_of_order, wrong, .. } = self;
        writeln!(
            f,
            "{published} published, {acknowledged} acknowledged, {stored} stored, {received} received, \
             {redelivered} redelivered after a restart"
        )?;
        write!(f, "{duplicates} duplicates, {lost} lost, {out_of_order} out of order, {wrong} wrong")
    }
}

/// What comparing the accounts of a channel has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The channel.
    pub channel: String,
    /// The counts.
    pub tally: Tally,
    /// Every contradiction.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Notes a contradiction and counts it where it belongs.
    pub(super) fn add(&mut self, violation: Violation) {
        let counter = match violation {
            Violation::LostInLog { .. } | Violation::Unsettled { .. } | Violation::Missed { .. } => {
                &mut self.tally.lost
            }
            Violation::StoredTwice { .. } | Violation::SeenTwice { .. } => &mut self.tally.duplicates,
            Violation::LogHole { .. } | Violation::ProducerOrder { .. } | Violation::SeenLate { .. } => {
                &mut self.tally.out_of_order
            }
            Violation::Uncertain { .. }
            | Violation::Refused { .. }
            | Violation::WrongPlace { .. }
            | Violation::Foreign { .. }
            | Violation::SeenWrong { .. }
            | Violation::Reset { .. } => &mut self.tally.wrong,
        };
        *counter += 1;
        self.violations.push(violation);
    }
}

impl fmt::Display for Report {
    /// Lists the first contradictions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "  {}: {violation}", self.channel)?;
        }
        match self.violations.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => writeln!(f, "  {}: and {more} more", self.channel),
            _ => Ok(()),
        }
    }
}

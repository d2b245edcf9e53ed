//! Payloads as apps send them: the same ones in each run.

use std::fmt::Write as _;

/// What an app sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Ticker,
    Game,
    Random,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Chat, Self::Ticker, Self::Game, Self::Random];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::Ticker => "Ticker",
            Self::Game => "Game state",
            Self::Random => "Random bytes",
        }
    }

    /// Returns so many payloads, in the order in which they are sent.
    pub(super) fn payloads(self, count: usize) -> Vec<Vec<u8>> {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ self as u64);
        match self {
            Self::Chat => (0..count).map(|n| chat(n, &mut dice)).collect(),
            Self::Ticker => {
                let mut price = 43_250.0;
                (0..count).map(|n| ticker(n, &mut price, &mut dice)).collect()
            }
            Self::Game => {
                let mut players = (0..4).map(|_| [dice.below(10_000), dice.below(10_000), 100]).collect::<Vec<_>>();
                (0..count).map(|n| game(n, &mut players, &mut dice)).collect()
            }
            Self::Random => (0..count).map(|_| (0..300).map(|_| dice.next() as u8).collect()).collect(),
        }
    }
}

/// Numbers that look random (xorshift).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 24
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all.get(self.below(all.len() as u64) as usize).copied().unwrap_or_default()
    }

    /// Returns so many characters of an alphabet of 32.
    pub(super) fn name(&mut self, len: usize) -> String {
        const ALPHABET: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        (0..len).filter_map(|_| ALPHABET.get(self.below(32) as usize)).map(|byte| char::from(*byte)).collect()
    }
}

const NAMES: [&str; 10] = [
    "Alice Smith",
    "Bob Garcia",
    "Chen Wang",
    "Dmitri Ivanov",
    "Elena Rossi",
    "Fatima Okafor",
    "Goran Kim",
    "Hana Tanaka",
    "Ivan Mueller",
    "Jun Silva",
];
const WORDS: [&str; 64] = [
    "the", "a", "to", "and", "of", "in", "is", "it", "you", "that", "for", "on", "we", "with", "this", "have", "not",
    "be", "at", "are", "meeting", "tomorrow", "deploy", "server", "release", "branch", "thanks", "please", "look",
    "again", "broken", "fixed", "review", "question", "answer", "later", "today", "customer", "invoice", "draft",
    "picture", "weekend", "lunch", "train", "late", "early", "morning", "already", "nobody", "somebody", "really",
    "maybe", "sorry", "agree", "idea", "works", "failed", "window", "keyboard", "coffee", "project", "number",
    "second", "version",
];

/// A message of a chat: some of it the same each time, some of it new each time, and a text.
fn chat(n: usize, dice: &mut Dice) -> Vec<u8> {
    let who = dice.below(NAMES.len() as u64) as usize;
    let name = NAMES.get(who).copied().unwrap_or_default();
    let mut text = String::new();
    for _ in 0..4 + dice.below(12) {
        // Frequent words are more frequent.
        let end = 1 + dice.below(WORDS.len() as u64);
        let word = WORDS.get(dice.below(end) as usize).copied().unwrap_or_default();
        let _ = write!(text, "{word} ");
    }
    let (id, client_id) = (dice.name(26), dice.name(32).to_lowercase());
    let time = 1_767_225_600_000 + n as u64 * 1_700 + dice.below(1_500);
    format!(
        r#"{{"id":"{id}","type":"message","room":"room:0048","user":{{"id":"u_{who:06}","name":"{name}","avatar":"https://cdn.example.com/avatars/u_{who:06}/64.png"}},"text":"{}","ts":{time},"client_msg_id":"{client_id}","mentions":[]}}"#,
        text.trim_end()
    )
    .into_bytes()
}

/// A quote: the same keys each time, and numbers that move a little.
fn ticker(n: usize, price: &mut f64, dice: &mut Dice) -> Vec<u8> {
    *price += dice.below(2_000) as f64 / 100.0 - 10.0;
    let size = |dice: &mut Dice| dice.below(200_000) as f64 / 10_000.0;
    format!(
        r#"{{"type":"ticker","symbol":"BTC-USDT","price":"{price:.2}","bid":"{:.2}","ask":"{:.2}","bid_size":"{:.4}","ask_size":"{:.4}","last_size":"{:.4}","volume_24h":"{:.4}","high_24h":"44100.00","low_24h":"42650.50","open_24h":"43010.25","trade_id":{},"ts":"2026-01-15T10:{:02}:{:02}.{:06}Z"}}"#,
        *price - 0.5,
        *price + 0.5,
        size(dice),
        size(dice),
        size(dice),
        18_000.0 + n as f64 * 0.37,
        88_120_000 + n * 3,
        n / 60 % 60,
        n % 60,
        dice.below(1_000_000),
    )
    .into_bytes()
}

/// The state of a small game: four players that move, in binary.
fn game(n: usize, players: &mut [[u64; 3]], dice: &mut Dice) -> Vec<u8> {
    let mut out = b"GS1\0".to_vec();
    out.extend_from_slice(&(n as u32).to_le_bytes());
    for (id, player) in (1_001_u32..).zip(players) {
        let [x, y, health] = player;
        (*x, *y) = (*x + dice.below(9), *y + dice.below(5));
        if dice.below(20) == 0 {
            *health = health.saturating_sub(5);
        }
        out.extend_from_slice(&id.to_le_bytes());
        for value in [*x as f32, *y as f32, 0.0, 1.0] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&(*health as u16).to_le_bytes());
        out.extend_from_slice(dice.pick(&["idle\0\0\0\0", "running\0", "jumping\0", "firing\0\0"]).as_bytes());
        out.extend_from_slice(&[0; 24]);
    }
    out
}

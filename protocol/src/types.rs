use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::Bytes;
use crate::limits;

/// The place of a message in its channel's log: 1 to 2^53−1; 0 is "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

impl Offset {
    /// Before the first message.
    pub const ZERO: Self = Self(0);

    /// Returns the offset after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the offset before this one; zero stays zero.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a publish of one producer in one channel: 1 to 2^53−1.
pub type Sequence = u64;
/// The number of an attachment of a producer; only grows.
pub type Generation = u64;

/// The name of one life of a channel's log: 1–16 visible ASCII characters, compared for equality only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch {
    len: u8,
    bytes: [u8; limits::EPOCH],
}

impl Epoch {
    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// [`NameError`] unless it is 1–16 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > limits::EPOCH || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(NameError::Epoch);
        }
        let mut bytes = [0; limits::EPOCH];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Ok(Self { len: text.len() as u8, bytes })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }
}

impl Default for Epoch {
    /// The epoch `0`, which no server mints.
    fn default() -> Self {
        let mut bytes = [0; limits::EPOCH];
        bytes[0] = b'0';
        Self { len: 1, bytes }
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({})", self.as_str())
    }
}

/// A place in a channel that stays meaningful over restarts: never an offset without its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the log.
    pub epoch: Epoch,
    /// The place in it.
    pub offset: Offset,
}

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// Not a channel name.
    Channel,
    /// Not a user name.
    User,
    /// Not a device id.
    Device,
    /// Not an app name.
    App,
    /// Not an epoch.
    Epoch,
    /// Not a producer id.
    Producer,
}

impl NameError {
    /// Returns the rule that was broken, in one sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Channel => "a channel name is 1 to 128 bytes of UTF-8 without control characters and without '*'",
            Self::User => "a user name is 1 to 128 bytes of UTF-8 without control characters and without '*'",
            Self::Device => "a device id is 16 to 64 characters of A-Z, a-z, 0-9, '_' and '-'",
            Self::App => "an app name is 1 to 64 characters of A-Z, a-z, 0-9, '_', '-' and '.'",
            Self::Epoch => "an epoch is 1 to 16 visible ASCII characters",
            Self::Producer => "a producer id is 32 hexadecimal digits",
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for NameError {}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $error:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl Clone for $type {
            // Small where size counts: names are cloned in many places.
            #[cfg_attr(target_arch = "wasm32", inline(never))]
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }

        impl $type {
            /// Checks and wraps `text`.
            ///
            /// # Errors
            /// [`NameError`] if the text breaks the rule of this type.
            pub fn new(text: &str) -> Result<Self, NameError> {
                Self::check(text).map(|()| Self::checked(text.into()))
            }

            /// Tells which rule of this type a text breaks, if any.
            pub(crate) fn check(text: &str) -> Result<(), NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(()) } else { Err(NameError::$error) }
            }

            /// Wraps a text that was checked.
            pub(crate) fn checked(text: Arc<str>) -> Self {
                Self(text)
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

fn is_name(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && !text.contains(|c: char| c.is_control() || c == '*')
}

name!(
    /// The name of a channel: 1–128 bytes of UTF-8, no control characters, no `*`.
    ///
    /// `@me` is the caller's own inbox, `@<user>` the inbox of a user by its canonical name.
    ChannelName, Channel, |text| is_name(text, limits::CHANNEL_NAME)
);
name!(
    /// The name of a user, from the token: 1–128 bytes of UTF-8, no control characters, no `*`.
    UserName, User, |text| is_name(text, limits::USER_NAME)
);
name!(
    /// A device of a user: 16–64 of `[A-Za-z0-9_-]`, random, kept in the client's store.
    DeviceId, Device, |text| {
        (limits::DEVICE_ID.0..=limits::DEVICE_ID.1).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }
);
name!(
    /// The name of an app: 1–64 of `[A-Za-z0-9_.-]`.
    AppName, App, |text| {
        !text.is_empty() && text.len() <= limits::APP_NAME
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    }
);

impl AppName {
    /// Returns the app that `/ws` without a name means: `default`.
    pub fn default_app() -> Self {
        Self("default".into())
    }
}

/// A channel's number in binary frames, assigned by the node, never used again while the node runs; at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelNumber(pub u32);

/// A producer's identity: 128 bits, issued by the server, bound to (app, user, device). 32 hex digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(pub u128);

impl ProducerId {
    /// Reads 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`NameError::Producer`] for anything else.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NameError::Producer);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| NameError::Producer)
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProducerId({self})")
    }
}

/// How hard a message is delivered; the effective level is the lower of publish and subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Qos {
    /// 0: at most once, live only, not stored.
    AtMostOnce,
    /// 1: stored; at least once.
    AtLeastOnce,
    /// 2: stored once; each offset handed to the app once per cursor.
    ExactlyOnce,
}

impl Qos {
    /// Returns 0, 1 or 2.
    pub fn level(self) -> u8 {
        self as u8
    }

    /// Returns the level with this number.
    pub fn from_level(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// Bytes that are valid UTF-8, shared without a copy.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Utf8Bytes(Bytes);

impl Utf8Bytes {
    /// Checks and wraps `bytes`.
    ///
    /// # Errors
    /// The standard library's error if they are not UTF-8.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }

    /// Wraps a text that lives for ever.
    pub fn from_static(text: &'static str) -> Self {
        Self(Bytes::from(text))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        // Checked at construction; the check is repeated because this crate has no unsafe code.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Deref for Utf8Bytes {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for Utf8Bytes {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&str> for Utf8Bytes {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Debug for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

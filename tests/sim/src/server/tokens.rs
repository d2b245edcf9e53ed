use std::collections::{BTreeMap, BTreeSet};

use moorline_core::protocol::{AppName, ChannelName, ErrorCode, UserName};
use moorline_server::engine::{Command, Revocation};
use moorline_server::node::{AuthFailure, Authenticator, Claims, Grant, Permissions};

use crate::world::channel;

/// Channels that a token can name.
const CHANNELS: usize = 4;

/// Checks the tokens of the world: `name|issued s|expires ms|denied channels`.
pub(super) struct Tokens;

impl Authenticator for Tokens {
    fn verify(
        &self,
        _app: &AppName,
        token: Option<&str>,
        _channel: Option<&ChannelName>,
        now: u64,
    ) -> Result<Claims, AuthFailure> {
        let invalid = AuthFailure { code: ErrorCode::AuthInvalid, message: "not a token of this world" };
        let Some(token) = token.and_then(Token::parse) else { return Err(invalid) };
        let is_anonymous = token.user.is_empty();
        let user = if is_anonymous { None } else { Some(UserName::new(token.user).map_err(|_| invalid.clone())?) };
        if token.expires.is_some_and(|expires| expires + 5_000 <= now) {
            return Err(AuthFailure { code: ErrorCode::AuthExpired, message: "expired" });
        }
        let grant = |pattern: &str| Grant { pattern: pattern.into(), can: Permissions::ALL };
        let grants = if token.denied.is_empty() {
            vec![grant("*")]
        } else {
            let allowed = (0..CHANNELS).filter(|index| !token.denied.contains(index));
            allowed.map(|index| grant(channel(index).as_str())).collect()
        };
        Ok(Claims { user, expires: token.expires, issued: token.issued, id: None, grants })
    }

    fn has_app(&self, _app: &AppName) -> bool {
        true
    }
}

/// What a token of the world says.
pub(crate) struct Token<'a> {
    pub(crate) user: &'a str,
    issued: Option<u64>,
    /// ms since 1970.
    pub(crate) expires: Option<u64>,
    pub(crate) denied: BTreeSet<usize>,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('|');
        let (user, issued, expires, denied) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            user,
            issued: issued.parse().ok(),
            expires: expires.parse().ok().filter(|expires| *expires > 0),
            denied: denied.split(',').filter_map(|index| index.parse().ok()).collect(),
        })
    }
}

/// Where tokens are issued, and what is known of their users.
#[derive(Default)]
pub(crate) struct Desk {
    revoked: BTreeSet<String>,
    denied: BTreeMap<String, BTreeSet<usize>>,
    /// Users whose tokens ever denied a channel.
    restricted: BTreeSet<String>,
}

impl Desk {
    pub(crate) fn issue(&self, user: &str, ttl_s: Option<u64>, now: u64) -> String {
        let expires = ttl_s.map_or(0, |ttl| now + ttl * 1000);
        let denied = self.denied.get(user).into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
        format!("{user}|{}|{expires}|{}", now / 1000, denied.join(","))
    }

    /// Tokens issued from now on grant a channel, or do not.
    pub(crate) fn grant(&mut self, user: &str, channel: usize, allowed: bool) {
        self.restricted.insert(user.to_owned());
        let denied = self.denied.entry(user.to_owned()).or_default();
        if allowed {
            denied.remove(&channel)
        } else {
            denied.insert(channel)
        };
    }

    /// Tokens issued from now on grant everything.
    pub(crate) fn grant_all(&mut self) {
        self.denied.clear();
    }

    /// Whether tokens of this user ever denied a channel.
    pub(crate) fn denies(&self, user: &str) -> bool {
        self.restricted.contains(user)
    }

    /// Returns the command that revokes all of a user's tokens for ever: whoever is revoked in this world stays so.
    pub(crate) fn revoke(&mut self, user: &str) -> Option<Command> {
        self.revoked.insert(user.to_owned());
        let (app, user) = (AppName::default_app(), UserName::new(user).ok()?);
        Some(Command::Revoke(Revocation::User { app, user, issued_before: u64::MAX >> 12 }))
    }

    /// Whether anybody asked for the revocation of this user.
    pub(crate) fn is_revoked(&self, user: &str) -> bool {
        self.revoked.contains(user)
    }
}

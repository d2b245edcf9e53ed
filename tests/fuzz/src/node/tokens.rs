use moorline_protocol::{AppName, ChannelName, ErrorCode, UserName};
use moorline_server::node::{AuthFailure, Authenticator, Claims, Grant, Permissions};

/// The world's tokens: `alice` and `bob` are users with every grant on the channels `room…`; `room` is anonymous,
/// with the same grants; `witness` is the connection that behaves.
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
        let token = token.unwrap_or("room");
        let user = match token {
            "alice" | "bob" | "witness" => UserName::new(token).ok(),
            "room" => None,
            _ => return Err(invalid),
        };
        let grant = |pattern: &str| Grant { pattern: pattern.into(), can: Permissions::ALL };
        let grants = if token == "witness" { vec![grant("*")] } else { vec![grant("room*")] };
        let expires = (token == "bob").then_some(now.saturating_add(60_000));
        Ok(Claims { user, expires, issued: Some(now / 1_000), id: Some(token.into()), grants })
    }

    fn has_app(&self, _app: &AppName) -> bool {
        true
    }
}

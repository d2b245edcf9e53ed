//! Whose request it is: looked at before anything else of it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use moorline_protocol::{AppName, ErrorCode, ErrorFrame};

use super::console::Session;
use super::problem::{Problem, malformed};
use super::{Api, Caller, Rights, lock};

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, api).await;
        let params = params.map_err(|_| malformed("the path is not UTF-8 with what has to be percent-encoded"))?;
        let app = params.iter().find(|(name, _)| *name == "app");
        // Whoever is logged in to the console may ask for every app.
        if let Some(session) = parts.extensions.get::<Session>() {
            let named = app.and_then(|(_, app)| AppName::new(app).ok()).filter(|app| api.live().keys.has_app(app));
            let app = named.ok_or_else(|| Problem::new(&ErrorCode::AppUnknown, "this server has no such app"))?;
            return Ok(Self { app, key: session.key(), rights: Rights::all() });
        }
        let shown = parts.headers.get(AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
        let caller = api.live().keys.verify(app.map_or("", |(_, app)| app), shown, api.unix());
        let caller = caller.map_err(|(code, text)| Problem::new(&code, text))?;
        api.take(&caller, 1)?;
        Ok(caller)
    }
}

impl Api {
    /// Counts so many requests or messages of a key.
    pub(super) fn take(&self, caller: &Caller, count: u32) -> Result<(), Problem> {
        let rate = self.live().rate(&caller.app);
        let taken = lock(&self.rates).take((&caller.app, &caller.key), rate, count, self.now());
        taken.map_err(|error| Problem::from(*error))
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

impl From<ErrorFrame> for Problem {
    fn from(error: ErrorFrame) -> Self {
        let problem = Self::new(&error.code, error.message.as_str());
        match error.after {
            Some(ms) => problem.after(ms),
            None => problem,
        }
    }
}

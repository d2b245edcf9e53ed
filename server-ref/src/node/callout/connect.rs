//! Connections that the app decides about: whether they are let in, as whom, and with which grants.

use moorline_protocol::time::Now;
use moorline_protocol::{Auth, CloseCode, ErrorCode, ErrorFrame, Hello, ServerFrame};

use super::super::config::Claims;
use super::super::connect::refused;
use super::super::io::ConnId;
use super::super::session::{State, Unread};
use super::super::{Ending, Node};
use super::body::{self, Ask};
use super::{CalloutKind, Facts, OnFailure, QuestionId, Terms, What, unavailable};
use crate::engine::SessionId;

/// A connection that said `hello`, and that the app decides about.
#[derive(Debug)]
pub(in crate::node) struct Asking {
    pub(in crate::node) question: QuestionId,
    pub(in crate::node) waiting: Unread,
    hello: Hello,
    /// What its token says, where that was verified.
    claims: Option<Claims>,
}

/// An open connection with a new token that the app decides about.
#[derive(Debug)]
pub(super) struct Refreshing {
    session: SessionId,
    req: u64,
    claims: Option<Claims>,
}

impl Node {
    /// Asks the app about a `hello`.
    pub(in crate::node) fn ask_connect(&mut self, conn: ConnId, hello: Hello, terms: Terms, now: Now) {
        let Some(entry) = self.conns.get(&conn) else { return };
        let app = entry.app.clone();
        if !self.auth.has_app(&app) {
            let error =
                ErrorFrame::new(ErrorCode::AppUnknown, "this server has no such app; check the path of the URL");
            return self.end(conn, Ending(Some(error), CloseCode::UNKNOWN_APP), now);
        }
        let verified = hello.token.as_deref().filter(|_| terms.verifies);
        let verified = verified.map(|token| self.auth.verify(&app, Some(token), None, now.unix)).transpose();
        let claims = match verified {
            Ok(claims) => claims,
            Err(failure) => return self.end(conn, refused(failure), now),
        };
        let user = claims.as_ref().and_then(|claims| claims.user.as_ref());
        let none = Facts::default();
        let body = Ask::connect(&app, &hello, user, entry.facts.as_deref().unwrap_or(&none)).body();
        let question = self.question(conn, CalloutKind::Connect, terms, What::Connect, body, now);
        if let Some(entry) = self.conns.get_mut(&conn) {
            let asking = Asking { question, waiting: Unread::default(), hello, claims };
            entry.state = State::Asking(Box::new(asking));
        }
    }

    pub(super) fn connect_answered(
        &mut self,
        conn: ConnId,
        id: QuestionId,
        on_failure: OnFailure,
        answer: Option<&[u8]>,
        now: Now,
    ) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let fresh = State::AwaitingHello { deadline: now.mono };
        let Asking { question, waiting, hello, claims } = match std::mem::replace(&mut entry.state, fresh) {
            State::Asking(asking) => *asking,
            other @ (State::AwaitingHello { .. } | State::Attaching(_) | State::Open(_)) => {
                entry.state = other;
                return;
            }
        };
        debug_assert_eq!(question, id, "a connection asks once");
        match self.decided(conn, claims, on_failure, answer, now) {
            Ok(claims) => self.attach(conn, hello, claims, waiting, now),
            Err(error) => {
                let code = close_code(&error.code);
                self.end(conn, Ending(Some(error), code), now);
            }
        }
    }

    /// Returns who a connection is by what its token and its app say.
    fn decided(
        &mut self,
        conn: ConnId,
        claims: Option<Claims>,
        on_failure: OnFailure,
        answer: Option<&[u8]>,
        now: Now,
    ) -> Result<Claims, ErrorFrame> {
        let token = claims.clone().unwrap_or_default();
        let meaning = answer.and_then(|body| body::connect(body, &token, now.unix));
        if answer.is_some() && meaning.is_none() {
            self.senseless(conn, CalloutKind::Connect);
        }
        match (meaning, claims, on_failure) {
            (Some(Ok(claims)), ..) | (None, Some(claims), OnFailure::Allow) => Ok(claims),
            (Some(Err(no)), ..) => Err(ErrorFrame::new(no.code, no.reason)),
            // Without a verified token nobody else can say who this is.
            (None, ..) => Err(unavailable()),
        }
    }

    /// Asks the app about a new token of a connection.
    pub(in crate::node) fn ask_refresh(
        &mut self,
        conn: ConnId,
        auth: &Auth,
        claims: Option<Claims>,
        terms: Terms,
        now: Now,
    ) {
        if let Err(error) = self.may_refresh(conn, now) {
            return self.send(conn, &ServerFrame::Error(ErrorFrame { req: Some(auth.req), ..error }));
        }
        let Some(entry) = self.conns.get(&conn) else { return };
        let State::Open(session) = &entry.state else { return };
        let none = Facts::default();
        let (app, facts) = (entry.app.clone(), entry.facts.as_deref().unwrap_or(&none));
        let device = session.owner.as_ref().map(|owner| owner.device.clone());
        let hello = Hello { token: Some(auth.token.clone()), device, ..Hello::default() };
        let user = claims.as_ref().and_then(|claims| claims.user.as_ref());
        let body = Ask::connect(&app, &hello, user, facts).body();
        let refreshing = Refreshing { session: session.id, req: auth.req, claims };
        self.question(conn, CalloutKind::Connect, terms, What::Refresh(refreshing), body, now);
    }

    /// One new token at a time is looked at.
    fn may_refresh(&mut self, conn: ConnId, now: Now) -> Result<(), ErrorFrame> {
        if self.session(conn).is_some_and(|session| session.refreshing) {
            let error = ErrorFrame::new(ErrorCode::LimitRate, "another token of this connection is being looked at");
            return Err(ErrorFrame { after: Some(super::RETRY_MS), ..error });
        }
        self.take_question(conn, now)?;
        self.session(conn).into_iter().for_each(|session| session.refreshing = true);
        Ok(())
    }

    pub(super) fn refresh_answered(
        &mut self,
        conn: ConnId,
        refreshing: Refreshing,
        on_failure: OnFailure,
        answer: Option<&[u8]>,
        now: Now,
    ) {
        let Refreshing { session, req, claims } = refreshing;
        let Some(open) = self.session_if(conn, session) else { return };
        open.refreshing = false;
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
        match self.decided(conn, claims, on_failure, answer, now) {
            // It was revoked while the app was asked.
            Ok(claims) if self.is_revoked(&app, &claims) => {
                self.error(conn, Some(req), ErrorCode::AuthRevoked, "this token was revoked");
            }
            Ok(claims) => self.refresh_with(conn, req, claims, now),
            Err(error) => self.send(conn, &ServerFrame::Error(ErrorFrame { req: Some(req), ..error })),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other code means a token that is of no use")]
fn close_code(code: &ErrorCode) -> CloseCode {
    match code {
        ErrorCode::AuthExpired => CloseCode::TOKEN_EXPIRED,
        ErrorCode::AuthRevoked => CloseCode::REVOKED,
        ErrorCode::AppUnavailable => CloseCode::OVERLOADED,
        _ => CloseCode::TOKEN_INVALID,
    }
}

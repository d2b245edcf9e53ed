use moorline::{Channel, Event, Member, MemberChange, Messages, Presence, PresenceState};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::Failed;
use crate::options::PresenceOptions;
use crate::output::{print, tell};
use crate::session::{Session, misused, refused};

/// A member, or what happened to one, as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

/// Prints the members of a channel, and what happens to them.
pub(crate) async fn run(options: PresenceOptions) -> Result<(), Failed> {
    let session = Session::start(&options.server, None)?;
    let mut channel = session.client.channel(&options.channel);
    let result = match (&options.enter, options.watch) {
        (None, false) => tokio::select! {
            result = list(&channel) => result,
            failed = session.hopeless() => Err(failed),
            () = session.stop.wanted() => Err(Failed::Error("interrupted before the answer".into())),
        },
        (state, _) => {
            channel = channel.presence(Presence::Watch);
            if let Some(state) = state {
                channel = channel.presence_state(&value(state))?;
            }
            match channel.subscribe().await {
                Ok(messages) => follow(&session, messages).await,
                Err(error) => Err(misused(&session.client, error).await),
            }
        }
    };
    // A member leaves at once, not after its grace.
    session.client.close().await;
    result
}

/// JSON where it is JSON, otherwise a text.
fn value(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

async fn list(channel: &Channel) -> Result<(), Failed> {
    let members = channel.members();
    let mut cursor = None;
    loop {
        let page = members.page(cursor.as_deref()).await?;
        page.members.iter().try_for_each(show)?;
        if page.cursor.is_none() {
            tell(format_args!("{} present in {}", page.count, channel.name()));
            return Ok(());
        }
        cursor = page.cursor;
    }
}

async fn follow(session: &Session, mut messages: Messages) -> Result<(), Failed> {
    let mut answered = false;
    loop {
        let event = tokio::select! {
            event = messages.next_event() => event,
            failed = refused(&session.client) => return Err(failed),
            failed = session.overdue(), if !answered => return Err(failed),
            () = session.stop.wanted() => return Ok(()),
        };
        match event {
            Some(Event::Presence { count, changes, .. }) => {
                if !answered || changes.is_empty() {
                    tell(format_args!("{count} present"));
                }
                answered = true;
                changes.iter().try_for_each(show_change)?;
            }
            Some(Event::Ended(error)) => return Err(Failed::Error(error.to_string())),
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

fn show(member: &Member) -> Result<(), Failed> {
    let state = raw(member.state.as_ref())?;
    line(&Line { event: None, user: &member.user, state, since: Some(member.since) })
}

fn show_change(change: &MemberChange) -> Result<(), Failed> {
    line(&Line {
        event: Some(change.event.name()),
        user: &change.user,
        state: raw(change.state.as_ref())?,
        since: None,
    })
}

fn raw(state: Option<&PresenceState>) -> Result<Option<Box<RawValue>>, Failed> {
    Ok(state.map(PresenceState::json).transpose().map_err(std::io::Error::from)?)
}

fn line(line: &Line<'_>) -> Result<(), Failed> {
    print(&serde_json::to_string(line).map_err(std::io::Error::from)?)
}

use moorline::Status;
use serde::Serialize;

use crate::Failed;
use crate::options::StatusOptions;
use crate::output::print;
use crate::session::{Session, refused};

/// A user as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    user: &'a str,
    online: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

/// Prints which users are online, and who comes and goes.
pub(crate) async fn run(options: StatusOptions) -> Result<(), Failed> {
    let session = Session::start(&options.server, None)?;
    let result =
        if options.watch { follow(&session, &options.users).await } else { ask(&session, &options.users).await };
    session.client.close().await;
    result
}

async fn ask(session: &Session, users: &[String]) -> Result<(), Failed> {
    let statuses = tokio::select! {
        statuses = session.client.status(users) => statuses?,
        failed = session.hopeless() => return Err(failed),
        () = session.stop.wanted() => return Err(Failed::Error("interrupted before the answer".into())),
    };
    statuses.iter().try_for_each(|(user, status)| show(user, *status))
}

async fn follow(session: &Session, users: &[String]) -> Result<(), Failed> {
    let mut feed = session.client.watch_status(users)?;
    let mut answered = false;
    loop {
        let next = tokio::select! {
            next = feed.next() => next,
            failed = refused(&session.client) => return Err(failed),
            failed = session.overdue(), if !answered => return Err(failed),
            () = session.stop.wanted() => return Ok(()),
        };
        let Some(next) = next else { return Ok(()) };
        let (user, status) = next?;
        answered = true;
        show(&user, status)?;
    }
}

fn show(user: &str, status: Status) -> Result<(), Failed> {
    let line = Line { user, online: status.online, since: status.since };
    print(&serde_json::to_string(&line).map_err(std::io::Error::from)?)
}

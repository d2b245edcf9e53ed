use moorline::{Channel, Event, Messages, Origin};

use crate::Failed;
use crate::options::Sub;
use crate::output::{print, tell};
use crate::payload;
use crate::session::{Session, misused, refused};

/// Prints the messages of a channel as they come.
pub(crate) async fn run(options: Sub) -> Result<(), Failed> {
    let session = Session::start(&options.server, options.store.as_deref())?;
    let mut channel = session.client.channel(&options.channel).durable(options.durable).since(options.since);
    if let Some(qos) = options.qos {
        channel = channel.qos(qos);
    }
    if let Some(handle) = &options.push
        && let Err(error) = session.client.set_push_handle(Some(handle))
    {
        return Err(misused(&session.client, error).await);
    }
    let messages = match channel.subscribe().await {
        Ok(messages) => messages,
        Err(error) => return Err(misused(&session.client, error).await),
    };
    let result = read(&session, &channel, messages, options.durable, options.count).await;
    // Sends what is acknowledged, and waits for the answer.
    session.client.close().await;
    result
}

async fn read(
    session: &Session,
    channel: &Channel,
    mut messages: Messages,
    durable: bool,
    count: Option<u64>,
) -> Result<(), Failed> {
    let mut left = count.unwrap_or(u64::MAX);
    let mut answered = false;
    while left > 0 {
        let event = tokio::select! {
            event = messages.next_event() => event,
            failed = refused(&session.client) => return Err(failed),
            failed = session.overdue(), if !answered => return Err(failed),
            () = session.stop.wanted() => return Ok(()),
        };
        match event {
            Some(Event::Message(message)) => {
                print(&payload::line(&message).map_err(std::io::Error::from)?)?;
                if durable {
                    messages.ack(&message);
                }
                left -= 1;
            }
            Some(Event::Subscribed { from, head, replay, .. }) => {
                answered = true;
                let begin = if replay { format!("after offset {from}") } else { "from now".to_owned() };
                tell(format_args!("reading {} {begin}; the newest offset is {head}", channel.name()));
            }
            Some(Event::Reset { reason, first, from, .. }) => {
                tell(format_args!("reset ({reason}): the log begins at {first}; going on after {from}"));
            }
            Some(Event::Dropped(count)) => tell(format_args!("{count} messages at QoS 0 were dropped")),
            Some(Event::Ended(error)) if error.origin() == Origin::Client => return Err(error.into()),
            Some(Event::Ended(error)) => return Err(Failed::Error(error.to_string())),
            Some(_) => {}
            None => return Ok(()),
        }
    }
    Ok(())
}

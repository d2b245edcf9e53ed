use moorline::{History, Page};

use crate::Failed;
use crate::options::HistoryOptions;
use crate::output::{print, tell};
use crate::payload;
use crate::session::Session;

/// Prints a part of a channel's log.
pub(crate) async fn run(options: HistoryOptions) -> Result<(), Failed> {
    let session = Session::start(&options.server)?;
    let range = match (options.after, options.before) {
        (Some(offset), _) => History::After(offset),
        (None, Some(offset)) => History::Before(offset),
        (None, None) => History::Newest,
    };
    let channel = session.client.channel(options.channel);
    let result = tokio::select! {
        page = channel.history(range, options.limit) => page.map_err(Failed::from).and_then(|page| show(&page)),
        failed = session.hopeless() => Err(failed),
        () = session.stop.wanted() => Err(Failed::Error("interrupted before the answer".into())),
    };
    session.client.close().await;
    result
}

fn show(page: &Page) -> Result<(), Failed> {
    for message in &page.messages {
        print(&payload::line(message).map_err(std::io::Error::from)?)?;
    }
    if page.head < page.first {
        tell("the log of this channel is empty");
    } else {
        let more = if page.more { "; there is more" } else { "" };
        tell(format_args!("offsets {} to {} are kept{more}", page.first, page.head));
    }
    Ok(())
}

use crate::Failed;
use crate::options::CallCommand;
use crate::output::print;
use crate::payload;
use crate::session::Session;

/// Calls a method of the app's backend and prints the answer.
pub(crate) async fn run(options: CallCommand) -> Result<(), Failed> {
    let session = Session::start(&options.server, None)?;
    let data = options.data.as_deref().map_or_else(|| payload::parse("null"), payload::parse);
    let mut call = session.client.call(options.method, data);
    if let Some(within) = options.within {
        call = call.timeout(within);
    }
    if let Some(id) = options.id {
        call = call.id(id);
    }
    let result = tokio::select! {
        answer = call.send() => match answer {
            Ok(answer) => payload::answer(&answer).map_err(std::io::Error::from).map_err(Failed::from).and_then(|line| print(&line)),
            Err(error) => Err(error.into()),
        },
        failed = session.hopeless() => Err(failed),
        () = session.stop.wanted() => Err(Failed::Error("interrupted: the call may have been carried out".into())),
    };
    session.client.close().await;
    result
}

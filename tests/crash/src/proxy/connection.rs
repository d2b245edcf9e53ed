//! One connection through the proxy.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio::time::sleep;

use super::{Cut, Direction, Shared, Weather, pipe};

/// Carries bytes between `client` and the server until one of them ends it, or a cut does.
pub(super) async fn run(mut client: TcpStream, mut cuts: broadcast::Receiver<Cut>, shared: Arc<Shared>) {
    // A cut wins over everything: what is dropped must not get through on the way out.
    let server = tokio::select! {
        biased;
        cut = next(&mut cuts) => return end(client, cut).await,
        server = connect(&shared) => server,
    };
    let Ok(mut server) = server else { return end(client, Cut::Reset).await };
    let outcome = tokio::select! {
        biased;
        cut = next(&mut cuts) => Err(cut),
        outcome = carry(&mut client, &mut server, &shared) => outcome.map_err(|_| Cut::Reset),
    };
    match outcome {
        Ok(()) => {}
        Err(Cut::Linger(span)) => {
            end(server, Cut::Finish).await;
            sleep(span).await;
            end(client, Cut::Finish).await;
        }
        Err(cut) => drop(tokio::join!(end(client, cut), end(server, cut))),
    }
}

/// Connects to the server, once the weather allows it.
async fn connect(shared: &Shared) -> io::Result<TcpStream> {
    let mut weather = shared.weather.subscribe();
    let now = weather.wait_for(|weather| *weather != Weather::BlackHole).await.map(|weather| *weather);
    if !now.is_ok_and(|weather| weather != Weather::Refuse) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let upstream = *shared.upstream.borrow();
    let server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    Ok(server)
}

async fn carry(client: &mut TcpStream, server: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pipe::pump(from_client, to_server, Direction::Upstream, shared),
        pipe::pump(from_server, to_client, Direction::Downstream, shared),
    )?;
    Ok(())
}

async fn next(cuts: &mut broadcast::Receiver<Cut>) -> Cut {
    // Lagging means that there were cuts, closing that the proxy is gone.
    cuts.recv().await.unwrap_or(Cut::Reset)
}

async fn end(mut stream: TcpStream, cut: Cut) {
    // Errors say that the connection has ended already.
    match cut {
        Cut::Reset => drop(stream.set_zero_linger()),
        Cut::Finish | Cut::Linger(_) => drop(stream.shutdown().await),
    }
}

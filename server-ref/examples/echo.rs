//! A server whose app `echo` sends every message back, until its input ends: `cargo xtask conformance` drives it.

#![expect(clippy::print_stdout, reason = "the address is what it is started for")]

use moorline_server::server::{Options, Server, StartError};

fn main() -> Result<(), StartError> {
    let server = Server::start(Options::dev())?;
    println!("ws://{}/ws/echo", server.address());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

//! Centrifuge's Protobuf commands, by hand: each is a length and a few fields.

use std::net::SocketAddr;

use crate::error::{Error, Result};
use crate::ws::{self, Connection, Message, Opcode};

const CHANNEL: &[u8] = b"bench";
/// `Command { id: 1, connect: {} }`
const CONNECT: &[u8] = &[4, 0x08, 1, 0x22, 0];
/// Field numbers with their wire types.
const ID: u8 = 0x08;
const SUBSCRIBE: u8 = 0x2a;
const PUBLISH: u8 = 0x3a;
const FIRST: u8 = 0x0a;
const SECOND: u8 = 0x12;

pub(super) fn open(address: SocketAddr, subscribed: bool, peer: &'static str) -> Result<Connection> {
    let mut connection = Connection::open(address, "/connection/websocket?format=protobuf", None, peer)?;
    ask(&mut connection, CONNECT, 1, peer)?;
    if subscribed {
        let subscribe = command(2, SUBSCRIBE, &field(FIRST, CHANNEL));
        ask(&mut connection, &subscribe, 2, peer)?;
    }
    Ok(connection)
}

pub(super) fn publish(payload: &[u8]) -> Vec<u8> {
    let mut request = field(FIRST, CHANNEL);
    request.extend(field(SECOND, payload));
    command(3, PUBLISH, &request)
}

/// A ping is an empty reply and wants an empty command.
pub(super) fn answer(message: &Message, out: &mut Vec<u8>) {
    if message.payload == [0] {
        ws::encode(Opcode::Binary, &[0], out);
    }
}

/// Sends a command and waits for the reply with its id and without an error (field 2).
fn ask(connection: &mut Connection, command: &[u8], id: u8, peer: &'static str) -> Result {
    connection.send(Opcode::Binary, command)?;
    loop {
        let reply = connection.receive(peer)?.payload;
        let length = reply.iter().take_while(|byte| **byte >= 0x80).count() + 1;
        match reply.get(length..) {
            Some([ID, answered, SECOND, ..]) if *answered == id => return Err(Error::Answer(peer, "subscribing")),
            Some([ID, answered, ..]) if *answered == id => return Ok(()),
            _ => {}
        }
    }
}

fn command(id: u8, request: u8, body: &[u8]) -> Vec<u8> {
    let mut command = vec![ID, id];
    command.extend(field(request, body));
    let mut framed = Vec::new();
    varint(command.len(), &mut framed);
    framed.extend(command);
    framed
}

fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![tag];
    varint(bytes.len(), &mut field);
    field.extend_from_slice(bytes);
    field
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

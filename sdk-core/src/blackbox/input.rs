//! The bytes of an input.

use moorline_protocol::binary::{decode_server, encode_server};
use moorline_protocol::{Bytes, CloseCode, Decoded, ErrorCode};

use super::bytes::{Reader, Writer};
use super::recording::RecordingError;
use super::redact;
use crate::error::StoreError;
use crate::event::{Failure, Origin};
use crate::io::{HostSignal, Input, Ticket, TransportId};

pub(super) fn write_input(input: &Input, out: &mut Vec<u8>) {
    match input {
        Input::TransportOpened { id } => {
            out.write_u64(20);
            out.write_u64(id.0);
        }
        // Its frames follow as they are read.
        Input::Message { id, .. } => {
            out.write_u64(21);
            out.write_u64(id.0);
        }
        Input::Activity { id } => {
            out.write_u64(22);
            out.write_u64(id.0);
        }
        Input::Buffered { id, bytes } => {
            out.write_u64(23);
            out.write_u64(id.0);
            out.write_u64(*bytes as u64);
        }
        Input::TransportClosed { id, code } => {
            out.write_u64(24);
            out.write_u64(id.0);
            out.write_option(code.map(|code| u64::from(code.0)));
        }
        Input::TransportFailed { id, failure } => {
            out.write_u64(25);
            out.write_u64(id.0);
            write_failure(failure, out);
        }
        Input::Token(result) => write_token(result, out),
        Input::Persisted { ticket, result } => {
            out.write_u64(27);
            out.write_u64(ticket.0);
            out.write_u64(match result {
                Ok(()) => 0,
                Err(StoreError::Full) => 1,
                Err(StoreError::Locked) => 2,
                Err(StoreError::Corrupt(_)) => 3,
                Err(StoreError::NewerSchema { .. }) => 4,
                Err(StoreError::Uncertain(_)) => 5,
                Err(StoreError::Io(_)) => 6,
            });
        }
        Input::Host(signal) => {
            out.write_u64(28);
            out.write_u64(match signal {
                HostSignal::Online => 0,
                HostSignal::Offline => 1,
                HostSignal::Foreground => 2,
                HostSignal::Background => 3,
                HostSignal::Wake => 4,
                HostSignal::Network(_) => 5,
            });
            if let HostSignal::Network(id) = signal {
                out.write_u64(*id);
            }
        }
    }
}

pub(super) fn read_input(kind: u64, reader: &mut Reader) -> Result<Input, RecordingError> {
    Ok(match kind {
        20 => Input::TransportOpened { id: TransportId(reader.u64()?) },
        21 => Input::Message { id: TransportId(reader.u64()?), bytes: read_frames(&mut reader.0) },
        22 => Input::Activity { id: TransportId(reader.u64()?) },
        23 => Input::Buffered { id: TransportId(reader.u64()?), bytes: reader.usize()? },
        24 => {
            let id = TransportId(reader.u64()?);
            let code = reader.option()?.map(|code| u16::try_from(code).map_err(|_| RecordingError::Damaged));
            Input::TransportClosed { id, code: code.transpose()?.map(CloseCode) }
        }
        25 => Input::TransportFailed { id: TransportId(reader.u64()?), failure: read_failure(reader)? },
        26 => Input::Token(match reader.flag()? {
            false => Ok(reader.option()?.map(redact::token)),
            true => Err(read_failure(reader)?),
        }),
        27 => Input::Persisted {
            ticket: Ticket(reader.u64()?),
            result: match reader.u64()? {
                0 => Ok(()),
                1 => Err(StoreError::Full),
                2 => Err(StoreError::Locked),
                3 => Err(StoreError::Corrupt("as recorded")),
                4 => Err(StoreError::NewerSchema { found: u32::MAX, known: 0 }),
                5 => Err(StoreError::Uncertain("as recorded".into())),
                _ => Err(StoreError::Io("as recorded".into())),
            },
        },
        28 => Input::Host(match reader.u64()? {
            0 => HostSignal::Online,
            1 => HostSignal::Offline,
            2 => HostSignal::Foreground,
            3 => HostSignal::Background,
            4 => HostSignal::Wake,
            5 => HostSignal::Network(reader.u64()?),
            _ => return Err(RecordingError::Damaged),
        }),
        _ => return Err(RecordingError::Damaged),
    })
}

/// Reads the rest as a message of frames with fillers; a frame that cannot be read ends it as such.
fn read_frames(rest: &mut Bytes) -> Bytes {
    let mut message = Vec::new();
    loop {
        match decode_server(rest) {
            Ok(Some(Decoded::Frame(frame))) => encode_server(&redact::fill(frame), &mut message),
            Ok(Some(Decoded::Ignored | Decoded::Unsupported { .. })) => {}
            Ok(None) => return message.into(),
            Err(_) => {
                message.extend_from_slice(redact::BROKEN);
                rest.clear();
                return message.into();
            }
        }
    }
}

fn write_token(result: &Result<Option<String>, Failure>, out: &mut Vec<u8>) {
    out.write_u64(26);
    out.write_flag(result.is_err());
    match result {
        Ok(token) => out.write_option(token.as_ref().map(|token| token.len() as u64)),
        Err(failure) => write_failure(failure, out),
    }
}

fn write_failure(failure: &Failure, out: &mut Vec<u8>) {
    out.write_text(failure.code.name());
    out.write_text(&failure.message);
    out.write_u64(match failure.origin {
        Origin::Client => 0,
        Origin::Server => 1,
        Origin::Transport => 2,
    });
}

fn read_failure(reader: &mut Reader) -> Result<Failure, RecordingError> {
    let code = ErrorCode::from_name(&reader.text()?);
    let message = reader.text()?;
    let origin = match reader.u64()? {
        0 => Origin::Client,
        1 => Origin::Server,
        _ => Origin::Transport,
    };
    Ok(Failure::new(code, message.as_str(), origin))
}

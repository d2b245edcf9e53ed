//! The PROXY protocol, versions 1 and 2: what a load balancer says of a connection before the connection itself begins.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Bytes of a header of version 1, by the specification.
const LONGEST_V1: usize = 107;
/// Bytes of a header of version 2: far more than addresses and what load balancers add.
const LONGEST_V2: usize = 4_096;
/// Bytes of a header of version 2 before its addresses.
const FIXED_V2: usize = 16;
const PREFIX_V1: &[u8] = b"PROXY ";

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// They begin with something else.
    #[error("it does not begin with a header of the PROXY protocol")]
    Missing,
    /// They go on for too long.
    #[error("the header of the PROXY protocol is too long")]
    TooLong,
    /// They begin so, and go on otherwise.
    #[error("the header of the PROXY protocol is malformed")]
    Malformed,
    /// It is about datagrams.
    #[error("the header of the PROXY protocol is not about a TCP connection")]
    NotTcp,
}

/// Returns how many of the first bytes of a connection are its header, as soon as that is known: all of them may not have
/// come yet. Whatever is returned for some bytes is returned for more of them, too.
///
/// # Errors
/// [`ProxyError`], as soon as no further byte could make it a header.
pub fn header_length(bytes: &[u8]) -> Result<Option<usize>, ProxyError> {
    let begins = |prefix: &[u8]| bytes.iter().zip(prefix).all(|(one, other)| one == other);
    if begins(v2::PROTOCOL_PREFIX) {
        let [.., high, low] = bytes.get(..FIXED_V2).unwrap_or_default() else { return Ok(None) };
        let length = FIXED_V2 + usize::from(u16::from_be_bytes([*high, *low]));
        return if length <= LONGEST_V2 { Ok(Some(length)) } else { Err(ProxyError::TooLong) };
    }
    if !begins(PREFIX_V1) {
        return Err(ProxyError::Missing);
    }
    match bytes.iter().take(LONGEST_V1).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(end + 1)),
        None if bytes.len() < LONGEST_V1 => Ok(None),
        None => Err(ProxyError::TooLong),
    }
}

/// Reads a whole header: where the connection comes from. `None` if it is the proxy's own (`LOCAL`), or if the proxy does
/// not know (`UNKNOWN`, other address families). What stands behind the addresses is ignored.
///
/// # Errors
/// [`ProxyError`].
pub fn source(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        let read = v2::Header::try_from(header).map_err(|_| ProxyError::Malformed)?;
        return match (read.command, read.protocol, &read.addresses) {
            (v2::Command::Local, ..) => Ok(None),
            (_, v2::Protocol::Datagram, _) => Err(ProxyError::NotTcp),
            (_, _, v2::Addresses::IPv4(ip)) => Ok(Some((ip.source_address, ip.source_port).into())),
            (_, _, v2::Addresses::IPv6(ip)) => Ok(Some((canonical(ip.source_address.into()), ip.source_port).into())),
            (_, _, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => Ok(None),
        };
    }
    let read = v1::Header::try_from(header).map_err(|_| ProxyError::Malformed)?;
    Ok(match read.addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((canonical(ip.source_address.into()), ip.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyFailure {
    #[error(transparent)]
    Bad(#[from] ProxyError),
    #[error("the connection ended: {0}")]
    Gone(#[from] io::Error),
}

/// Takes the header from the beginning of a connection, and not a byte more.
///
/// # Errors
/// [`ProxyFailure`]: the connection is of no use then.
pub(crate) async fn take_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyFailure> {
    let mut header = Vec::new();
    let mut buffer = [0; LONGEST_V1];
    loop {
        let seen = stream.peek(&mut buffer).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let have = header.len();
        header.extend_from_slice(buffer.get(..seen).unwrap_or_default());
        let length = header_length(&header)?;
        // As long as the end is not known, all of it is header.
        let belongs = length.map_or(seen, |length| length.saturating_sub(have).min(seen));
        header.truncate(have + belongs);
        stream.read_exact(buffer.get_mut(..belongs).unwrap_or_default()).await?;
        if length == Some(header.len()) {
            return Ok(source(&header)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of version 2.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length, rest].concat()
    }

    const FOUR: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 1, 187];

    #[test]
    fn both_versions_name_the_client() {
        let six: std::net::Ipv6Addr = "2001:db8::7".parse().unwrap();
        let six = [&six.octets()[..], &six.octets()[..], &[0x30, 0x39, 1, 187]].concat();
        let tlvs = [FOUR, &[4, 0, 3, 1, 2, 3]].concat();
        for (header, address) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 443\r\n".to_vec(), Some("192.0.2.7:12345")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n".to_vec(), Some("[2001:db8::7]:12345")),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 12345 443\r\n".to_vec(), Some("192.0.2.7:12345")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ff::1 ff::2 1 2\r\n".to_vec(), None),
            (v2(1, 0x11, FOUR), Some("192.0.2.7:12345")),
            (v2(1, 0x11, &tlvs), Some("192.0.2.7:12345")),
            (v2(1, 0x21, &six), Some("[2001:db8::7]:12345")),
            (v2(0, 0x11, FOUR), None),
            (v2(0, 0x00, &[]), None),
            (v2(1, 0x00, &[]), None),
            (v2(1, 0x31, &[b'x'; 216]), None),
        ] {
            let more = [&header[..], b"\x16\x03\x01"].concat();
            assert_eq!(header_length(&more), Ok(Some(header.len())), "{header:?}");
            assert_eq!(source(&header), Ok(address.map(|text| text.parse().unwrap())), "{header:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (bytes, error) in [
            (&b"GET / HTTP/1.1\r\n"[..], ProxyError::Missing),
            (b"\x16\x03\x01\x02\x00", ProxyError::Missing),
            (b"PROXZ", ProxyError::Missing),
            (b"proxy TCP4 192.0.2.7", ProxyError::Missing),
            (b"\r\n\r\n\0\r\nQUIX", ProxyError::Missing),
            (&[PREFIX_V1, &[b'x'; 200]].concat(), ProxyError::TooLong),
            (&[v2::PROTOCOL_PREFIX, &[0x21, 0x11, 0xff, 0xff]].concat(), ProxyError::TooLong),
        ] {
            assert_eq!(header_length(bytes), Err(error), "{bytes:?}");
        }
        for (header, error) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n".to_vec(), ProxyError::Malformed),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 65536\r\n".to_vec(), ProxyError::Malformed),
            (b"PROXY TCP4 192.0.2.777 10.0.0.1 12345 443\r\n".to_vec(), ProxyError::Malformed),
            (b"PROXY TCP4 2001:db8::7 10.0.0.1 12345 443\r\n".to_vec(), ProxyError::Malformed),
            (b"PROXY TCP5 192.0.2.7 10.0.0.1 12345 443\r\n".to_vec(), ProxyError::Malformed),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 443\n".to_vec(), ProxyError::Malformed),
            (v2(2, 0x11, FOUR), ProxyError::Malformed),
            (v2(1, 0x41, FOUR), ProxyError::Malformed),
            (v2(1, 0x11, &FOUR[1..]), ProxyError::Malformed),
            (v2(1, 0x12, FOUR), ProxyError::NotTcp),
        ] {
            assert_eq!(source(&header), Err(error), "{header:?}");
        }
    }

    proptest! {
        /// However the bytes are cut: what is known early stays true.
        #[test]
        fn a_length_that_is_known_stays(
            start in prop_oneof![Just(Vec::new()), Just(b"PROXY ".to_vec()), Just(b"PROXY TCP4 1.2.3.4 ".to_vec()), Just(v2::PROTOCOL_PREFIX.to_vec())],
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [start, rest].concat();
            let mut known = None;
            for end in 0..=bytes.len() {
                let now = header_length(&bytes[..end]);
                if let Some(known) = known {
                    prop_assert_eq!(now, known);
                } else if now != Ok(None) {
                    known = Some(now);
                }
            }
            if let Some(Ok(Some(length))) = known && let Some(header) = bytes.get(..length) {
                let _ = source(header);
            }
        }

        #[test]
        fn what_is_written_is_read(a in any::<[u8; 4]>(), b in any::<[u8; 16]>(), port in any::<u16>(), tlvs in proptest::collection::vec(any::<u8>(), 0..64)) {
            let four = [&a[..], &[127, 0, 0, 1], &port.to_be_bytes(), &[0, 80], &tlvs].concat();
            prop_assert_eq!(source(&v2(1, 0x11, &four)), Ok(Some((IpAddr::from(a), port).into())));
            let six = [&b[..], &[0; 16], &port.to_be_bytes(), &[0, 80], &tlvs].concat();
            prop_assert_eq!(source(&v2(1, 0x21, &six)), Ok(Some((IpAddr::from(b).to_canonical(), port).into())));
            let text = format!("PROXY TCP4 {} 127.0.0.1 {port} 80\r\n", IpAddr::from(a));
            prop_assert_eq!(source(text.as_bytes()), Ok(Some((IpAddr::from(a), port).into())));
        }
    }
}

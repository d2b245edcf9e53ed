//! The header of the PROXY protocol, before anything else of a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use moorline_server::net::{ProxyError, header_length, source};

use crate::choices::Choices;

/// What the first byte of an input chooses.
const RAW: u8 = 0;
/// Bytes of a header, at most.
const LONGEST: usize = 4_096;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a header of version 2 before its addresses.
const FIXED: usize = 16;

/// Whatever comes: where a header ends is said once and stays so, it is found before too much was read, and it names
/// what its bytes name, or nobody.
pub fn proxy(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    if *mode == RAW {
        read(rest);
        return;
    }
    let mut choices = Choices::new(rest);
    let (mut header, expected) = header(&mut choices);
    let whole = header.len();
    header.extend_from_slice(choices.bytes());
    let found = read(&header);
    assert_eq!(found, expected.map(|source| (whole, source)), "{header:?}");
}

/// Inputs of [`proxy`].
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts =
        ["PROXY TCP4 192.0.2.7 192.0.2.1 50000 443\r\n", "PROXY TCP6 2001:db8::7 ::1 1 2\r\nx", "PROXY UNKNOWN\r\n"];
    let raw = texts.map(|text| [&[RAW], text.as_bytes()].concat());
    let four = [&[RAW], SIGNATURE, &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 1, 187]].concat();
    raw.into_iter().chain([four]).chain((0..16).map(|n| [&[1], crate::noise(n, 64).as_slice()].concat())).collect()
}

/// Reads a header byte by byte, as it may come. Returns its length and what it says.
fn read(bytes: &[u8]) -> Option<(usize, Option<SocketAddr>)> {
    let known = (0..=bytes.len().min(LONGEST + 1)).find_map(|end| match header_length(&bytes[..end]) {
        Ok(None) => {
            assert!(end < LONGEST, "{end} bytes, and no end of the header");
            None
        }
        Ok(Some(length)) => Some(Ok(length)),
        Err(error) => Some(Err(error)),
    })?;
    assert_eq!(header_length(bytes).map(Option::unwrap_or_default), known, "the rest changes the length");
    let length = known.ok()?;
    assert!((1..=LONGEST).contains(&length), "a header of {length} bytes");
    let header = bytes.get(..length)?;
    let source = source(header);
    if header.starts_with(SIGNATURE) {
        is_named(header, source);
    } else {
        let text = std::str::from_utf8(header);
        assert!(source.is_err() || text.is_ok_and(|text| text.starts_with("PROXY ") && text.ends_with("\r\n")));
    }
    source.ok().map(|source| (length, source))
}

/// A header of version 2 that is taken says what its bytes say.
fn is_named(header: &[u8], found: Result<Option<SocketAddr>, ProxyError>) {
    let Ok(found) = found else { return };
    let (command, family) = (header[12], header[13]);
    assert_eq!(command >> 4, 2, "another version was taken");
    assert!(command & 0x0f <= 1, "a command that is none was taken");
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let expected = match (command & 0x0f, family) {
        (1, 0x10 | 0x11) => {
            let octets: [u8; 4] = header[FIXED..FIXED + 4].try_into().expect("four");
            Some(SocketAddr::new(Ipv4Addr::from(octets).into(), port(FIXED + 8)))
        }
        (1, 0x20 | 0x21) => {
            let octets: [u8; 16] = header[FIXED..FIXED + 16].try_into().expect("sixteen");
            Some(SocketAddr::new(IpAddr::from(Ipv6Addr::from(octets)).to_canonical(), port(FIXED + 32)))
        }
        _ => None,
    };
    assert_eq!(found, expected, "{header:?}");
}

/// A header, and whom it names; `None` for one that has to be refused.
fn header(choices: &mut Choices<'_>) -> (Vec<u8>, Option<Option<SocketAddr>>) {
    let port = u16::from(choices.byte()) * 200;
    let four = Ipv4Addr::from([choices.byte(), choices.byte(), choices.byte(), choices.byte()]);
    let six = Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|_| choices.byte()));
    let (v4, v6) = (SocketAddr::new(four.into(), port), SocketAddr::new(IpAddr::from(six).to_canonical(), port));
    let (to4, to6) = (&[10, 0, 0, 1][..], &[0x20; 16][..]);
    let second = |command: u8, family: u8, addresses: &[&[u8]], extra: usize| {
        let rest = [addresses.concat(), port.to_be_bytes().to_vec(), vec![1, 187], vec![0; extra]].concat();
        let length = (rest.len() as u16).to_be_bytes();
        [SIGNATURE, &[command, family], &length, &rest].concat()
    };
    match choices.below(8) {
        0 => (format!("PROXY TCP4 {four} 10.0.0.1 {port} 443\r\n").into_bytes(), Some(Some(v4))),
        1 => (format!("PROXY TCP6 {six} ::1 {port} 443\r\n").into_bytes(), Some(Some(v6))),
        2 => (b"PROXY UNKNOWN\r\n".to_vec(), Some(None)),
        3 => (second(0x21, 0x11, &[&four.octets(), to4], 0), Some(Some(v4))),
        4 => (second(0x21, 0x21, &[&six.octets(), to6], 0), Some(Some(v6))),
        5 => (second(0x20, 0x11, &[&four.octets(), to4], 0), Some(None)),
        // Longer than anything that a load balancer says.
        6 => (second(0x21, 0x11, &[&four.octets(), to4], LONGEST), None),
        _ => (second(0x31, 0x11, &[&four.octets(), to4], 0), None),
    }
}

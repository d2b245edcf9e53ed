use moorline_protocol::{Headers, Payload};

/// Hashes what makes two publishes the same: id, payload tag and bytes, and headers (XXH3-64; stable, it is stored).
pub fn content_hash(id: &str, payload: &Payload, headers: &Headers) -> u64 {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    let tag: u8 = match payload {
        Payload::Json(_) => 0,
        Payload::Text(_) => 1,
        Payload::Binary(_) => 2,
    };
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(id.as_bytes());
    part(&[tag]);
    part(payload.bytes());
    for (name, value) in headers {
        part(name.as_bytes().as_ref());
        part(value.as_bytes().as_ref());
    }
    hash.digest()
}

//! What compressed deliveries may rest on: inflated here by another library than the client's, against what this
//! connection was sent, and nothing else.

use bytes::Bytes;
use moorline_core::protocol::binary::decode_deliver_body;
use moorline_core::protocol::{Deliver, Offset, Packed, PackedDictionary, Qos, limits};
use zlib_rs::{Inflate, InflateFlush, Status};

use super::{Subscription, Wire};
use crate::model::Violation;

/// Payloads that are kept: more than any dictionary may have.
const KEPT: usize = 64;

impl Wire {
    /// Inflates a delivery as its receiver will.
    pub(super) fn unpack(&mut self, packed: &Packed) -> Result<Deliver, Violation> {
        let packs = self.packs;
        let Some(subscription) = self.find(&packed.channel) else {
            return Err(broken(format!("{:?} is not subscribed to", packed.channel)));
        };
        let name = &subscription.channel;
        if !packs || subscription.qos == Qos::AtMostOnce {
            return Err(broken(format!("{name}: compressed for somebody who did not ask for it")));
        }
        let dictionary = packed.dictionary.map_or(Ok(Vec::new()), |of| subscription.dictionary(of))?;
        let Some(body) = inflated(packed, &dictionary) else {
            return Err(broken(format!("{name}: it cannot be inflated, or its check sum is another")));
        };
        let deliver = decode_deliver_body(packed.channel.clone(), &mut body.into())
            .map_err(|error| broken(format!("{name}: it inflates to no messages: {error}")))?;
        if deliver.replay && subscription.rewound {
            return Err(broken(format!("{name}: what was asked for again comes compressed")));
        }
        let first = deliver.messages.first().and_then(|message| message.offset);
        let next = packed.dictionary.map(|of| Offset(of.oldest.0 + u64::from(of.count)));
        if next.is_some_and(|next| first != Some(next)) {
            return Err(broken(format!(
                "{name}: {first:?} does not follow on its dictionary, which ends before {next:?}"
            )));
        }
        Ok(deliver)
    }
}

impl Subscription {
    /// Notes what was sent.
    pub(super) fn hold(&mut self, offset: Offset, payload: &Bytes) {
        self.held.insert(offset, payload.clone());
        if self.held.len() > KEPT {
            self.held.pop_first();
        }
    }

    fn dictionary(&self, of: PackedDictionary) -> Result<Vec<u8>, Violation> {
        let mut bytes = Vec::new();
        for offset in of.oldest.0..of.oldest.0 + u64::from(of.count) {
            let Some(payload) = self.held.get(&Offset(offset)) else {
                return Err(broken(format!("{}: {offset} is in a dictionary and was not sent", self.channel)));
            };
            bytes.extend_from_slice(payload);
        }
        let is_allowed = (1..=limits::DICTIONARY_MESSAGES).contains(&usize::from(of.count));
        if is_allowed && bytes.len() <= limits::DICTIONARY_BYTES {
            return Ok(bytes);
        }
        Err(broken(format!("{}: a dictionary of {} messages, {} bytes", self.channel, of.count, bytes.len())))
    }
}

fn inflated(packed: &Packed, dictionary: &[u8]) -> Option<Vec<u8>> {
    let mut inflate = Inflate::new(false, 15);
    inflate.set_dictionary(dictionary).ok()?;
    // One byte more than announced shows a stream that goes on.
    let mut body = vec![0; packed.length as usize + 1];
    let status = inflate.decompress(&packed.data, &mut body, InflateFlush::Finish).ok()?;
    body.pop();
    let whole = status == Status::StreamEnd && inflate.total_out() == u64::from(packed.length);
    (whole && crc32c::crc32c(&body) == packed.crc).then_some(body)
}

fn broken(what: String) -> Violation {
    Violation::new(8, what)
}

//! Limits that both sides know without asking (`docs/protocol.md`, Limits).

/// Largest offset, sequence or generation: 2^53−1, so that a JavaScript number holds it exactly.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
/// Bytes of UTF-8 in a channel name, 1 to this.
pub const CHANNEL_NAME: usize = 128;
/// Bytes of UTF-8 in a user name, 1 to this.
pub const USER_NAME: usize = 128;
/// Bytes in an app name, 1 to this.
pub const APP_NAME: usize = 64;
/// Characters of a device id: at least and at most.
pub const DEVICE_ID: (usize, usize) = (16, 64);
/// Bytes of UTF-8 in a message id, 1 to this.
pub const MESSAGE_ID: usize = 128;
/// Bytes in an epoch, 1 to this.
pub const EPOCH: usize = 16;
/// Headers of a message, in number.
pub const HEADERS: usize = 16;
/// Headers of a message, in bytes of all names and values.
pub const HEADER_BYTES: usize = 1024;
/// Bytes of a payload before compression (default; the server announces its own).
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// Bytes of one WebSocket message towards the server.
pub const TRANSPORT_MESSAGE_BYTES: usize = 1024 * 1024;
/// Bytes at which an SDK starts another WebSocket message.
pub const SDK_MESSAGE_BYTES: usize = 256 * 1024;
/// Bytes of UTF-8 in the name of a client's software (`sdk`).
pub const SDK: usize = 64;
/// Optional features that one side can name (`caps`), in number.
pub const CAPS: usize = 32;
/// Bytes of UTF-8 in the name of an optional feature.
pub const CAP: usize = 32;
/// Subscriptions in one `hello`; more go as `subscribe` frames behind it.
pub const HELLO_SUBSCRIPTIONS: usize = 4096;
/// Bytes of a token.
pub const TOKEN_BYTES: usize = 8 * 1024;
/// Messages in a page or in the answer to a history query.
pub const PAGE_MESSAGES: usize = 256;
/// Bytes of a replay page, counted before compression; one larger message still makes a page.
pub const PAGE_BYTES: usize = 64 * 1024;
/// Replay pages that may be unconfirmed at once.
pub const PAGES_IN_FLIGHT: usize = 2;
/// Unanswered publishes per (producer, channel) and per channel at QoS 1.
pub const PUBLISH_WINDOW: usize = 32;
/// Verdicts a server keeps per (producer, channel).
pub const PRODUCER_VERDICTS: usize = 64;
/// Channels that one producer may write to.
pub const PRODUCER_CHANNELS: usize = 256;
/// Bytes of a method's name, 1 to this.
pub const METHOD: usize = 128;
/// Calls of a connection that have no answer.
pub const CALLS: usize = 32;
/// ms that a client waits for the answer to a call at most.
pub const CALL_MS: u32 = 30_000;
/// Nesting of a JSON value of the app: `data` and `state`.
pub const JSON_DEPTH: usize = 64;
/// Nesting of a JSON frame: a value of the app, and the frame around it.
pub const JSON_FRAME_DEPTH: usize = JSON_DEPTH + 4;
/// Bytes of a push handle.
pub const PUSH_HANDLE_BYTES: usize = 512;
/// Users in one `status` frame.
pub const STATUS_USERS: usize = 500;
/// Messages of a compression dictionary.
pub const DICTIONARY_MESSAGES: usize = 16;
/// Bytes of a compression dictionary.
pub const DICTIONARY_BYTES: usize = 32_000;
/// Bytes that a `packed` frame may inflate to.
pub const PACKED_BYTES: usize = 1024 * 1024;
/// Bytes of a presence state (`state`), as JSON text.
pub const PRESENCE_STATE_BYTES: usize = 4096;
/// Members of a channel up to which they are listed, and members of a page above it.
pub const PRESENCE_LISTED: usize = 200;
/// Members at which a channel that had more is listed again.
pub const PRESENCE_LISTED_AGAIN: usize = 150;

use std::fmt;

use crate::frame::OpenEnum;

macro_rules! error_codes {
    ($($variant:ident $name:literal $number:literal $retry:literal $doc:literal;)*) => {
        /// What went wrong, the same on the wire, in HTTP problems and in every SDK.
        ///
        /// Codes this version does not know survive a round trip as [`Other`](Self::Other).
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $doc] $variant,)*
            /// A code of a later version, by its name.
            Other(Box<str>),
        }

        impl ErrorCode {
            /// Every code of this version, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name on the wire, such as `auth.expired`.
            pub fn name(&self) -> &str {
                match self { $(Self::$variant => $name,)* Self::Other(name) => name }
            }

            /// Returns the stable number; 0 for a code of a later version.
            ///
            /// Bands: 1xx client, 2xx transport, 3xx auth, 4xx request, 5xx server, 6xx continuity, 7xx limits.
            pub fn number(&self) -> u16 {
                match self { $(Self::$variant => $number,)* Self::Other(_) => 0 }
            }

            /// Tells whether the same request can succeed later without being changed.
            pub fn is_retryable(&self) -> bool {
                match self { $(Self::$variant => $retry,)* Self::Other(_) => false }
            }

            /// Returns the code with this name.
            pub fn from_name(name: &str) -> Self {
                let known = Self::ALL.iter().find(|code| code.name() == name);
                known.cloned().unwrap_or_else(|| Self::Other(name.into()))
            }

            /// Returns the code with this number, if this version knows it.
            pub fn from_number(number: u16) -> Option<Self> {
                Self::ALL.iter().find(|code| code.number() == number).cloned()
            }

            /// Returns one sentence that says what the code means.
            pub fn meaning(&self) -> &'static str {
                match self { $(Self::$variant => $doc,)* Self::Other(_) => "A code of a later version." }
            }
        }

        impl OpenEnum for ErrorCode {
            fn name(&self) -> &str {
                self.name()
            }

            fn from_name(name: &str) -> Self {
                Self::from_name(name)
            }

            fn number(&self) -> Option<u16> {
                Some(self.number()).filter(|number| *number > 0)
            }

            fn from_number(number: u16) -> Option<Self> {
                Self::from_number(number)
            }
        }
    };
}

error_codes! {
    ClientClosed "client.closed" 100 false "The client is closed.";
    ClientSignedOut "client.signed_out" 101 false "There is no token: nobody is signed in.";
    ClientUser "client.user" 102 false "The store is another user's.";
    ClientStoreLocked "client.store_locked" 103 true "Another client uses the store.";
    ClientStoreCorrupt "client.store_corrupt" 104 false "The store cannot be read.";
    ClientStoreNewer "client.store_newer" 105 false "The store was written by a newer version.";
    ClientRuntime "client.runtime" 106 false "The client has nothing to run on.";
    ClientRandom "client.random" 107 false "The system gave no random numbers.";
    ClientTls "client.tls" 108 false "TLS cannot be set up.";
    ClientCertificate "client.certificate" 109 false "This is no certificate.";
    PublishExpired "publish.expired" 120 false "The message outlived its `ttl` before it was sent.";
    PublishDropped "publish.dropped" 121 true "A message at QoS 0 found no way out at the moment.";
    PublishUncertain "publish.uncertain" 122 false "Whether the message was stored cannot be known any more.";
    CallUncertain "call.uncertain" 123 false "The call was sent and not answered: it may have been carried out.";
    TransportUnreachable "transport.unreachable" 200 true "The server cannot be reached.";
    TransportTls "transport.tls" 201 true "No secure connection came about.";
    TransportUpgrade "transport.upgrade" 202 true "The address does not open as a WebSocket.";
    RequestTimeout "request.timeout" 210 true "The server did not answer in time.";
    ConnectionDisplaced "connection.displaced" 220 false "Another connection of this device took over.";
    AuthInvalid "auth.invalid" 300 false "The token is malformed, forged, or meant for someone else.";
    AuthExpired "auth.expired" 301 false "The token has expired; fetch a new one.";
    AuthRevoked "auth.revoked" 302 false "The token or its user was revoked.";
    RequestMalformed "request.malformed" 400 false "The bytes are not a frame of this protocol.";
    RequestOrder "request.order" 401 false "The frame is not allowed at this point.";
    RequestUnsupported "request.unsupported" 402 false "The server does not know this frame or feature.";
    ChannelInvalid "channel.invalid" 410 false "The channel name is not allowed.";
    ChannelDenied "channel.denied" 411 false "The token does not grant this.";
    ChannelNotSubscribed "channel.not_subscribed" 412 false "This connection is not subscribed to the channel.";
    ChannelAlreadySubscribed "channel.already_subscribed" 413 false "This connection is subscribed to the channel already.";
    ChannelNotDurable "channel.not_durable" 414 false "A durable cursor needs a named user and a device.";
    AppUnknown "app.unknown" 420 false "The server has no app of this name.";
    FeatureDisabled "feature.disabled" 421 false "The server or the app has this feature switched off.";
    DeviceConflict "device.conflict" 422 false "Several installations share one device id.";
    AppUnavailable "app.unavailable" 423 true "The app's backend does not answer at the moment.";
    CallRefused "call.refused" 430 false "The app's backend refused the call.";
    CallDenied "call.denied" 431 false "The token does not grant this method.";
    ServerInternal "server.internal" 500 true "The server failed; it has logged why.";
    StorageUnavailable "storage.unavailable" 501 true "The log takes no writes at the moment.";
    StorageFull "storage.full" 502 true "The log has no room left.";
    CallUnavailable "call.unavailable" 510 true "The app's backend takes no calls at the moment; this one was not carried out.";
    CallFailed "call.failed" 511 false "The app's backend failed; it may have carried the call out.";
    CallTimeout "call.timeout" 512 false "No answer came in time; the call may have been carried out.";
    PublishGap "publish.gap" 600 true "A sequence is missing; resend from `expected`.";
    PublishReused "publish.reused" 601 false "The id or sequence was used for another message.";
    PublishFenced "publish.fenced" 602 false "A newer connection of this producer exists.";
    PublishUnknownProducer "publish.unknown_producer" 603 false "The server does not know this producer (any more).";
    LimitMessage "limit.message" 700 false "The message is larger than allowed.";
    LimitRate "limit.rate" 701 true "Too many requests; wait `after` ms.";
    LimitChannels "limit.channels" 702 true "Too many channels.";
    LimitConnections "limit.connections" 703 true "Too many connections of this user, or of the app.";
    LimitOutbox "limit.outbox" 704 true "The outbox is full (client).";
    LimitCalls "limit.calls" 705 true "Too many calls without an answer.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A WebSocket close code; its range says what the client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

/// What a client does after a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseVerdict {
    /// Reconnect through backoff.
    Retry,
    /// Fetch a new token, then reconnect through backoff.
    RetryWithNewToken,
    /// Stop and tell the app.
    Final,
}

impl CloseCode {
    /// Normal closure (RFC 6455).
    pub const NORMAL: Self = Self(1000);
    /// The server goes away or drains.
    pub const GOING_AWAY: Self = Self(4000);
    /// The peer was silent for longer than the ping interval + 10 s.
    pub const PING_TIMEOUT: Self = Self(4001);
    /// The server has too much to do.
    pub const OVERLOADED: Self = Self(4002);
    /// The log takes no writes.
    pub const STORAGE_UNAVAILABLE: Self = Self(4003);
    /// No `hello` within 10 s.
    pub const HELLO_TIMEOUT: Self = Self(4004);
    /// The token expired and was not refreshed in time.
    pub const TOKEN_EXPIRED: Self = Self(4100);
    /// The client broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(4500);
    /// No common protocol version.
    pub const VERSION: Self = Self(4501);
    /// The token is malformed or forged.
    pub const TOKEN_INVALID: Self = Self(4502);
    /// The token or its user was revoked.
    pub const REVOKED: Self = Self(4503);
    /// Another connection of this device took over.
    pub const DISPLACED: Self = Self(4504);
    /// The server has no such app.
    pub const UNKNOWN_APP: Self = Self(4505);
    /// A WebSocket message was larger than the transport limit.
    pub const TOO_LARGE: Self = Self(4506);

    /// Returns what a client does after this code.
    ///
    /// 4100–4199 ask for a new token, 4500–4999 are final, all others (4000–4099, what proxies send, codes of
    /// later versions) are retried.
    pub fn verdict(self) -> CloseVerdict {
        match self.0 {
            4100..=4199 => CloseVerdict::RetryWithNewToken,
            4500..=4999 => CloseVerdict::Final,
            _ => CloseVerdict::Retry,
        }
    }
}

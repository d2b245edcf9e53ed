//! What stands between a socket and what is said over it: TLS, and proxies that speak for others.

mod forwarded;
mod front;
mod proxies;
mod proxy;
mod stream;
mod tls;

pub use self::forwarded::ForwardedHeader;
pub(crate) use self::forwarded::client;
pub use self::front::{Front, Listening};
pub use self::proxies::{Network, Proxies};
pub use self::proxy::{ProxyError, header_length, source};
pub(crate) use self::proxy::{ProxyFailure, take_header};
pub use self::stream::Detached;
pub(crate) use self::stream::{NoTls, Stream};
pub use self::tls::{Certificate, CertificateError, Expiry, Tls, TlsFiles};

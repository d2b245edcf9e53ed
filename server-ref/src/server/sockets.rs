//! How the sockets that the system gives are shared out.

/// Connections of the HTTP API at a time, at most.
const HTTP_MOST: u32 = 1_024;

/// Sockets that may be open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sockets {
    /// Connections of the HTTP API: a quarter of all, so that whoever fills it leaves the others theirs.
    pub(super) http: u32,
    /// What comes in where clients do, requests for the API that shares the port among them; `None` = any number.
    pub(super) clients: Option<u32>,
}

impl Sockets {
    /// Shares `all` out; `None` = as many as the system gives. Where the API has a listener of its own (`apart`), its
    /// connections are not counted where clients come in.
    pub(super) fn share(all: Option<u32>, apart: bool) -> Self {
        let http = all.map_or(HTTP_MOST, |all| (all / 4).clamp(1, HTTP_MOST));
        Self { http, clients: all.map(|all| if apart { all.saturating_sub(http) } else { all }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_never_has_more_than_a_quarter() {
        let shares = |all, apart| (Sockets::share(all, apart).http, Sockets::share(all, apart).clients);
        assert_eq!(shares(None, true), (1_024, None));
        assert_eq!(shares(Some(100_000), false), (1_024, Some(100_000)));
        assert_eq!(shares(Some(768), false), (192, Some(768)));
        assert_eq!(shares(Some(768), true), (192, Some(576)));
        assert_eq!(shares(Some(1), true), (1, Some(0)));
    }
}

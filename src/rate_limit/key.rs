//! What a request is limited by.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderName, Method, request::Parts};

use super::{
    client_ip::{TrustedProxies, network},
    subject::{Subject, SubjectHasher},
};
use crate::peer::peer_addr;

/// What requests are counted by: each value of the key has its own budget.
///
/// Values reach the store only as SHA-256 digests of 128 bits, never as they are. Keys combine:
///
/// ```
/// use http::HeaderName;
/// use tower_keep::rate_limit::{Key, TrustedProxies};
///
/// let per_client_and_method = Key::client_ip(TrustedProxies::hops(1)).and(Key::method());
/// let per_api_key = Key::header(HeaderName::from_static("x-api-key"));
/// let per_tenant = Key::from_fn("tenant", |request| {
///     request.uri.path().split('/').nth(1).map(str::to_owned)
/// });
/// ```
///
/// What happens to a request that has no such key says [`MissingKey`].
#[derive(Clone)]
pub struct Key(Arc<[Part]>);

#[derive(Clone)]
enum Part {
    PeerIp,
    ClientIp(TrustedProxies),
    Header(HeaderName),
    Method,
    #[cfg(feature = "axum")]
    MatchedPath,
    Custom {
        name: Cow<'static, str>,
        f: CustomKey,
    },
}

type CustomKey = Arc<dyn Fn(&Parts, &mut dyn FnMut(Option<&[u8]>)) + Send + Sync>;

/// What is done with a request from which the key cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MissingKey {
    /// It shares one budget with all such requests (that have the key's other parts in common).
    #[default]
    Shared,
    /// It is answered 400.
    Deny,
    /// It passes without a limit.
    Skip,
}

impl Key {
    /// One budget for all requests.
    #[must_use]
    pub fn global() -> Self {
        Self(Arc::new([]))
    }

    /// The address at the other end of the connection, IPv6 by /64: [`PeerAddr`](crate::PeerAddr)
    /// or axum's `ConnectInfo<SocketAddr>` in the request's extensions.
    #[must_use]
    pub fn peer_ip() -> Self {
        Self::of(Part::PeerIp)
    }

    /// The client's address behind trusted proxies, IPv6 by /64; the peer's where they say
    /// nothing usable.
    #[must_use]
    pub fn client_ip(proxies: TrustedProxies) -> Self {
        Self::of(Part::ClientIp(proxies))
    }

    /// A request header's value. A header that stands there twice is missing: which of the two
    /// the application believes is not known here.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self::of(Part::Header(name))
    }

    /// The request's method. All that RFC 9110 and RFC 5789 do not know count as one, so that
    /// inventing methods does not make budgets.
    #[must_use]
    pub fn method() -> Self {
        Self::of(Part::Method)
    }

    /// The route's pattern, for example `/users/{id}`: axum's `MatchedPath`.
    #[cfg(feature = "axum")]
    #[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
    #[must_use]
    pub fn matched_path() -> Self {
        Self::of(Part::MatchedPath)
    }

    /// Whatever `f` takes from the request; `None` is a missing key. `name` keeps the budgets of
    /// different closures apart.
    #[must_use]
    pub fn from_fn<F, K>(name: impl Into<Cow<'static, str>>, f: F) -> Self
    where
        F: Fn(&Parts) -> Option<K> + Send + Sync + 'static,
        K: AsRef<[u8]>,
    {
        Self::of(Part::Custom {
            name: name.into(),
            f: Arc::new(move |parts, take| {
                let key = f(parts);
                take(key.as_ref().map(AsRef::as_ref));
            }),
        })
    }

    /// Counts by both: each pair of values has its own budget.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // a builder reads better without a borrow
    pub fn and(self, other: Self) -> Self {
        Self(self.0.iter().chain(&*other.0).cloned().collect())
    }

    fn of(part: Part) -> Self {
        Self(Arc::new([part]))
    }

    /// The request's subject, and whether the request has all parts of the key. One hash.
    pub(super) fn subject(&self, request: &Parts) -> (Subject, bool) {
        let mut hasher = SubjectHasher::new();
        for part in &*self.0 {
            part.hash(request, &mut hasher);
        }
        hasher.finish()
    }
}

/// The peer's address.
impl Default for Key {
    fn default() -> Self {
        Self::peer_ip()
    }
}

impl Part {
    fn hash(&self, request: &Parts, hasher: &mut SubjectHasher) {
        let peer = || peer_addr(&request.extensions).map(|peer| peer.ip());
        let mut ip = |address| {
            let network = Option::map(address, |address| network(address).octets());
            hasher.part("ip", "", network.as_ref().map(<[u8; 16]>::as_slice));
        };
        match self {
            Self::PeerIp => ip(peer()),
            Self::ClientIp(proxies) => ip(proxies.client(peer(), &request.headers)),
            Self::Header(name) => {
                let mut lines = request.headers.get_all(name).iter();
                let value = match (lines.next(), lines.next()) {
                    (Some(value), None) => Some(value.as_bytes()),
                    _ => None,
                };
                hasher.part("header", name.as_str(), value);
            }
            Self::Method => hasher.part("method", "", Some(standard(&request.method).as_bytes())),
            #[cfg(feature = "axum")]
            Self::MatchedPath => {
                let path = request.extensions.get::<axum::extract::MatchedPath>();
                hasher.part("path", "", path.map(|path| path.as_str().as_bytes()));
            }
            Self::Custom { name, f } => f(request, &mut |value| hasher.part("fn", name, value)),
        }
    }
}

fn standard(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::CONNECT
        | Method::OPTIONS
        | Method::TRACE
        | Method::PATCH => method.as_str(),
        _ => "other",
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&*self.0).finish()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerIp => f.write_str("peer_ip"),
            Self::ClientIp(proxies) => write!(f, "client_ip({proxies:?})"),
            Self::Header(name) => write!(f, "header({name})"),
            Self::Method => f.write_str("method"),
            #[cfg(feature = "axum")]
            Self::MatchedPath => f.write_str("matched_path"),
            Self::Custom { name, .. } => write!(f, "from_fn({name})"),
        }
    }
}

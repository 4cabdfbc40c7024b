//! What a request is limited by.

mod client_ip;
mod fields;
mod forwarded;
mod missing;
#[cfg(feature = "session")]
mod session_user;
pub(crate) mod subject;
mod text;

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderName, Method, request::Parts};

pub use client_ip::TrustedProxies;
pub use forwarded::ForwardingField;
pub use missing::MissingKey;
#[cfg(feature = "session")]
pub use session_user::SessionUser;

use client_ip::network;
use fields::{cookie, joined};
use subject::{SubjectHasher, SubjectKey};

use crate::{peer::peer_addr, store::operations::limit::Subject};

/// What requests are counted by: each value of the key has its own budget.
///
/// Values reach the store only as keyed hashes of 128 bits, never as they are; see
/// [`with_secret`](super::RateLimitLayer::with_secret). Keys combine:
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
/// [`MissingKey`] decides what happens to a request that has no such key.
#[derive(Clone)]
pub struct Key {
    parts: Arc<[Part]>,
    /// Bits of an IPv6 address that count.
    ipv6_prefix: u8,
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A length of IPv6 prefixes that would make one client of thousands, or is none.
    #[error("an IPv6 prefix of {0} bits: expected 48 to 128, as in 64")]
    Ipv6Prefix(u8),
    /// A text that is no key.
    #[error("key {given:?}: expected {expected}")]
    Unknown {
        /// What was given.
        given: String,
        /// What would be right.
        expected: &'static str,
    },
}

#[derive(Clone)]
enum Part {
    PeerIp,
    ClientIp(TrustedProxies),
    Header(HeaderName),
    Cookie(Box<str>),
    #[cfg(feature = "session")]
    SessionUser,
    Method,
    #[cfg(feature = "axum")]
    MatchedPath,
    Custom {
        name: Cow<'static, str>,
        f: KeyFn,
    },
}

type KeyFn = Arc<dyn Fn(&Parts, &mut dyn FnMut(Option<&[u8]>)) + Send + Sync>;

const IPV6_PREFIX: u8 = 64;

impl Key {
    /// One budget for all requests.
    #[must_use]
    pub fn global() -> Self {
        Self::of_parts(Arc::new([]))
    }

    /// The address at the other end of the connection, IPv6 by /64. axum's and tonic's servers
    /// tell it with the features of their names; [`PeerAddr`](crate::PeerAddr) tells it on hyper
    /// and any other.
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

    /// The value of a header field. Its lines are one value, as RFC 9110 joins them (`Cookie` by
    /// semicolons, as RFC 9113 does), so that it does not matter how a client splits it.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self::of(Part::Header(name))
    }

    /// The value of a cookie, the first of that name. A client chooses its cookies: one that leaves
    /// this cookie out or makes one up gets another budget, so do not let this be the only limit.
    #[must_use]
    pub fn cookie(name: impl Into<String>) -> Self {
        Self::of(Part::Cookie(name.into().into()))
    }

    /// Who is logged in, by the [`SessionLayer`](crate::session::SessionLayer) that stands outside
    /// of this one. Without a login the key is missing. Reading the session comes first, so that a
    /// request makes two round trips to the store.
    ///
    /// A session that the store does not tell may be anybody's. What is done with its request then
    /// is what [`RateLimitOnStoreError`](super::RateLimitOnStoreError) says for any that the store
    /// does not count: it passes, it is answered 503, or it is counted by the session's id rather
    /// than by the user. A client that makes up ids gets a budget for each then, as long as the store
    /// fails: let this not be the only limit, or choose 503.
    #[cfg(feature = "session")]
    #[cfg_attr(docsrs, doc(cfg(feature = "session")))]
    #[must_use]
    pub fn session_user() -> Self {
        Self::of(Part::SessionUser)
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

    /// Groups IPv6 addresses by their first `bits`, from 48 (a whole site) to 128 (each address
    /// by itself). The default is 64, the least that one customer gets. IPv4 addresses count one
    /// by one.
    ///
    /// # Errors
    ///
    /// When `bits` is not from 48 to 128.
    pub fn with_ipv6_prefix(self, bits: u8) -> Result<Self, KeyError> {
        match bits {
            48..=128 => Ok(Self {
                ipv6_prefix: bits,
                ..self
            }),
            _ => Err(KeyError::Ipv6Prefix(bits)),
        }
    }

    /// Counts by both: each pair of values has its own budget. An IPv6 prefix that either of them
    /// has set is that of both, this one's before the other's.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // a builder reads better without a borrow
    pub fn and(self, other: Self) -> Self {
        let ipv6_prefix = match self.ipv6_prefix {
            IPV6_PREFIX => other.ipv6_prefix,
            set => set,
        };
        Self {
            parts: self.parts.iter().chain(&*other.parts).cloned().collect(),
            ipv6_prefix,
        }
    }

    fn of(part: Part) -> Self {
        Self::of_parts(Arc::new([part]))
    }

    fn of_parts(parts: Arc<[Part]>) -> Self {
        Self {
            parts,
            ipv6_prefix: IPV6_PREFIX,
        }
    }

    /// Whether a session has to be [loaded](Self::load_session) first.
    pub(super) fn needs_session(&self) -> bool {
        #[cfg(feature = "session")]
        return (self.parts.iter()).any(|part| matches!(part, Part::SessionUser));
        #[cfg(not(feature = "session"))]
        false
    }

    /// Whether the request has a session that could not be read, so that nobody knows whom it counts
    /// for.
    pub(super) fn is_unread(&self, _request: &Parts) -> bool {
        #[cfg(feature = "session")]
        return self.needs_session() && session_user::is_unread(_request);
        #[cfg(not(feature = "session"))]
        false
    }

    pub(super) async fn load_session(&self, _request: &mut Parts) {
        #[cfg(feature = "session")]
        if self.needs_session() {
            session_user::load(_request).await;
        }
    }

    /// The request's subject, and whether the request has all parts of the key. One hash.
    pub(crate) fn subject(&self, key: &SubjectKey, request: &Parts) -> (Subject, bool) {
        let mut hasher = SubjectHasher::new(key);
        for part in &*self.parts {
            part.hash(request, self.ipv6_prefix, &mut hasher);
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
    fn hash(&self, request: &Parts, ipv6_prefix: u8, hasher: &mut SubjectHasher) {
        let peer = || peer_addr(&request.extensions).map(|peer| peer.ip());
        let mut ip = |address| {
            let network = Option::map(address, |address| network(address, ipv6_prefix));
            let bytes = network.as_ref().map(|(bytes, len)| &bytes[..*len]);
            hasher.part("ip", "", bytes);
        };
        match self {
            Self::PeerIp => ip(peer()),
            Self::ClientIp(proxies) => ip(proxies.client(peer(), &request.headers)),
            Self::Header(name) => {
                let value = joined(&request.headers, name);
                hasher.part("header", name.as_str(), value.as_deref());
            }
            Self::Cookie(name) => {
                hasher.part("cookie", name, cookie(&request.headers, name));
            }
            #[cfg(feature = "session")]
            Self::SessionUser => session_user::hash(request, hasher),
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
        f.debug_set().entries(&*self.parts).finish()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerIp => f.write_str("peer_ip"),
            Self::ClientIp(proxies) => write!(f, "client_ip({proxies:?})"),
            Self::Header(name) => write!(f, "header({name})"),
            Self::Cookie(name) => write!(f, "cookie({name})"),
            #[cfg(feature = "session")]
            Self::SessionUser => f.write_str("session_user"),
            Self::Method => f.write_str("method"),
            #[cfg(feature = "axum")]
            Self::MatchedPath => f.write_str("matched_path"),
            Self::Custom { name, .. } => write!(f, "from_fn({name})"),
        }
    }
}

//! The command line, and the layers that it describes.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use http::{HeaderName, Uri, uri::Authority};
use tower_keep::{
    Store,
    cache::{CacheLayer, SetCookie},
    rate_limit::{
        ForwardingField, Key, QuotaPolicy, RateLimitLayer, RateLimitOnStoreError, TrustedProxies,
    },
};

use crate::{body::RequestBody, common::Common, forwarding, limit::limit};

/// A caching, rate limiting reverse proxy.
#[derive(Debug, Parser)]
pub struct Flags {
    #[command(flatten)]
    pub common: Common,

    /// The server to forward to, http://HOST:PORT.
    #[arg(long, value_name = "URL", value_parser = origin)]
    pub upstream: Uri,

    /// Whether to cache.
    #[arg(
        long,
        value_name = "on|off",
        default_value = "on",
        hide_possible_values = true
    )]
    pub cache: Switch,

    /// Name of this cache in Cache-Status and Via.
    #[arg(long, value_name = "NAME", default_value = "tower-keep")]
    pub cache_name: String,

    /// Longest body that is stored, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    pub max_body: u64,

    /// What becomes of responses that set cookies.
    #[arg(long, value_name = "POLICY", default_value = "refuse")]
    pub cache_set_cookie: CookiePolicy,

    /// Enables `POST /_cache/purge` for those who send this bearer token.
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    pub purge_token: Option<Token>,

    /// A limit, as in the RateLimit-Policy field, with `alg=gcra|fixed|sliding|concurrency`; repeatable.
    #[arg(long = "limit", value_name = "POLICY")]
    limits: Vec<QuotaPolicy>,

    /// What requests are counted by: ip, global or header:NAME.
    #[arg(long, value_name = "KEY", default_value = "ip", value_parser = limit_key)]
    limit_key: LimitKey,

    /// What the limits do while the store does not answer.
    #[arg(long, value_name = "POLICY", default_value = "local")]
    limit_on_store_error: OnStoreError,

    /// Proxies in front of this one whose forwarding field is believed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub trusted_hops: usize,

    /// The one field that these proxies write: x-forwarded-for or forwarded.
    #[arg(long, value_name = "FIELD", default_value = "x-forwarded-for")]
    forwarded_field: ForwardedField,

    /// How long a client or the upstream server may keep the other waiting in the middle of a
    /// body, and a client without a request its connection; websockets may be silent.
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = seconds)]
    pub idle: Duration,

    /// How long the upstream server may take to begin its answer.
    #[arg(long, value_name = "SECS", default_value = "60", value_parser = seconds)]
    pub upstream_timeout: Duration,

    /// How long requests and websockets under way may take once the program is told to stop.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = seconds_or_none)]
    pub drain: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CookiePolicy {
    Refuse,
    Strip,
    Store,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnStoreError {
    Local,
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ForwardedField {
    XForwardedFor,
    Forwarded,
}

#[derive(Debug, Clone)]
enum LimitKey {
    Ip,
    Global,
    Header(HeaderName),
}

fn origin(text: &str) -> Result<Uri, String> {
    let expected = || "expected http://HOST:PORT without a path".to_owned();
    let uri: Uri = text.parse().map_err(|_| expected())?;
    let no_user = |site: &Authority| !site.as_str().contains('@');
    let plain = uri.scheme_str() == Some("http") && uri.authority().is_some_and(no_user);
    let no_path = uri.path() == "/" && uri.query().is_none();
    if plain && no_path {
        Ok(uri)
    } else {
        Err(expected())
    }
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => Err("expected a whole number of seconds".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    seconds_or_none(text)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "expected a whole number of seconds, at least 1".to_owned())
}

fn limit_key(text: &str) -> Result<LimitKey, String> {
    match text.split_once(':') {
        None if text == "ip" => Some(LimitKey::Ip),
        None if text == "global" => Some(LimitKey::Global),
        Some(("header", name)) => name.parse().ok().map(LimitKey::Header),
        _ => None,
    }
    .ok_or_else(|| "expected ip, global or header:NAME".to_owned())
}

impl Flags {
    pub fn cache_layer(&self, store: &Store) -> Result<CacheLayer, String> {
        let set_cookie = match self.cache_set_cookie {
            CookiePolicy::Refuse => SetCookie::Refuse,
            CookiePolicy::Strip => SetCookie::Strip,
            CookiePolicy::Store => SetCookie::Store,
        };
        CacheLayer::new(store.clone())
            .with_max_body(self.max_body)
            .with_set_cookie(set_cookie)
            .with_partition(forwarding::partition)
            .with_empty_body(RequestBody::default)
            .with_name(&self.cache_name)
            .map_err(|error| format!("--cache-name: {error}"))
    }

    pub fn limit_layer(&self, store: &Store) -> Result<Option<RateLimitLayer>, String> {
        let key = match &self.limit_key {
            LimitKey::Ip if self.trusted_hops == 0 => Key::peer_ip(),
            LimitKey::Ip => {
                let field = match self.forwarded_field {
                    ForwardedField::XForwardedFor => ForwardingField::XForwardedFor,
                    ForwardedField::Forwarded => ForwardingField::Forwarded,
                };
                Key::client_ip(TrustedProxies::hops(self.trusted_hops).with_field(field))
            }
            LimitKey::Global => Key::global(),
            LimitKey::Header(name) => Key::header(name.clone()),
        };
        let on_store_error = match self.limit_on_store_error {
            OnStoreError::Local => RateLimitOnStoreError::default(),
            OnStoreError::Allow => RateLimitOnStoreError::Allow,
            OnStoreError::Deny => RateLimitOnStoreError::Deny,
        };
        let limit = limit(store, &self.limits)?;
        Ok(limit.map(|limit| limit.with_key(key).on_store_error(on_store_error)))
    }
}

/// A secret of the command line.
#[derive(Clone)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

fn token(text: &str) -> Result<Token, String> {
    match text.is_empty() || text.contains(|c: char| c.is_ascii_whitespace()) {
        true => Err("a token is not empty and has no spaces".to_owned()),
        false => Ok(Token(text.to_owned())),
    }
}

//! Fields of one connection (RFC 9110 §7.6.1): they are taken out before anything looks at a
//! message, so that limits, cache and upstream server all see the same one.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Those that are of the connection whether `Connection` names them or not.
const ALWAYS: [HeaderName; 10] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
];

/// Takes out the fields of the connection that a message came on. What `TE` and `Upgrade` ask of
/// the next one is for the caller to say anew; `TE: trailers` stays.
pub fn remove(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_options(headers)
        .filter_map(|option| option.parse().ok())
        .filter(|name| !is_end_to_end(name))
        .collect();
    let trailers =
        members(headers, &header::TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    for name in named.into_iter().chain(ALWAYS) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// What `Connection` lists.
pub fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    members(headers, &header::CONNECTION)
}

fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Fields that mean something at the far end, whatever `Connection` says of them. Otherwise a
/// client could take out what a proxy before this one, a limit or the upstream server counts on.
fn is_end_to_end(name: &HeaderName) -> bool {
    const FAMILIES: [&str; 10] = [
        "accept",
        "access-control-",
        "cache-",
        "cdn-cache-",
        "content-",
        "cross-origin-",
        "if-",
        "ratelimit",
        "sec-",
        "x-forwarded-",
    ];
    const NAMES: [&str; 35] = [
        "age",
        "allow",
        "alt-svc",
        "authorization",
        "cookie",
        "date",
        "etag",
        "expect",
        "expires",
        "forwarded",
        "from",
        "host",
        "last-modified",
        "link",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "priority",
        "range",
        "referer",
        "retry-after",
        "server",
        "set-cookie",
        "strict-transport-security",
        "surrogate-control",
        "surrogate-key",
        "traceparent",
        "tracestate",
        "trailer",
        "user-agent",
        "vary",
        "via",
        "www-authenticate",
        "x-real-ip",
    ];
    let name = name.as_str();
    FAMILIES.iter().any(|family| name.starts_with(family)) || NAMES.contains(&name)
}

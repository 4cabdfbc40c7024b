//! What a session does to the head of a response: its cookie, and who may store it.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{CACHE_CONTROL, COOKIE, VARY},
};

use super::transport::{Carrier, Issue, Transports};

/// In the extensions of a response whose handler has used the session: what such a response
/// says is for one client, unless it says `public` itself.
///
/// A cache that knows a targeted field (`CDN-Cache-Control` and all that end like it, RFC 9213 §2.1;
/// `Surrogate-Control`) does not look at `Cache-Control`. So one is taken away where neither it nor
/// `Cache-Control` says `public`, and from every response with the session's cookie.
#[derive(Debug, Clone, Copy)]
pub struct SessionAccessed;

/// What the client is to do with its cookie.
#[derive(Debug)]
pub(super) enum CookieChange {
    Keep,
    Issue(Issue),
    Remove,
}

/// Finishes the head of a response whose handler has used the session.
pub(super) fn finish<B>(
    response: &mut Response<B>,
    transports: &Transports,
    carrier: Carrier,
    change: CookieChange,
) {
    response.extensions_mut().insert(SessionAccessed);
    let headers = response.headers_mut();
    let field = transports.request_field(carrier);
    match change {
        CookieChange::Keep => return keep_private(headers, field),
        CookieChange::Issue(issue) => transports.issue(carrier, headers, &issue),
        CookieChange::Remove => transports.remove(carrier, headers),
    }
    remove_targeted(headers, |_| true);
    if says(headers, &CACHE_CONTROL, ["no-store"]) == [false] {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    vary_by(headers, field);
}

/// Keeps a response out of shared caches, unless the handler has called it public.
fn keep_private(headers: &mut HeaderMap, field: &HeaderName) {
    let [public, private, no_store] =
        says(headers, &CACHE_CONTROL, ["public", "private", "no-store"]);
    if public {
        return;
    }
    remove_targeted(headers, |line| !says_in(line, "public"));
    if !private && !no_store {
        headers.append(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
    vary_by(headers, field);
}

/// Takes away what speaks to one kind of cache, if one of its lines is `unwanted`.
fn remove_targeted(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderValue) -> bool) {
    let targeted = |name: &HeaderName| {
        let name = name.as_str();
        name.ends_with("-cache-control") || name == "surrogate-control"
    };
    let next = |headers: &HeaderMap| {
        let mut lines = headers.iter();
        let found = lines.find(|(name, line)| targeted(name) && unwanted(line));
        found.map(|(name, _)| name.clone())
    };
    while let Some(name) = next(headers) {
        headers.remove(name);
    }
}

fn vary_by(headers: &mut HeaderMap, field: &HeaderName) {
    if says(headers, &VARY, [field.as_str(), "*"]) == [false, false] {
        let field = match *field {
            COOKIE => HeaderValue::from_static("Cookie"),
            _ => HeaderValue::from_name(field.clone()),
        };
        headers.append(VARY, field);
    }
}

/// Whether a list field has elements of these names. One with an argument is another: `private` of a
/// field's name keeps that field private, and no more.
fn says<const N: usize>(headers: &HeaderMap, field: &HeaderName, names: [&str; N]) -> [bool; N] {
    let mut found = [false; N];
    for line in headers.get_all(field) {
        for (found, wanted) in found.iter_mut().zip(names) {
            *found |= says_in(line, wanted);
        }
    }
    found
}

fn says_in(line: &HeaderValue, wanted: &str) -> bool {
    let mut elements = line.as_bytes().split(|&byte| byte == b',');
    elements.any(|element| {
        let element = element.trim_ascii();
        element.eq_ignore_ascii_case(wanted.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use http::header::SET_COOKIE;

    use super::*;

    fn finished(headers: &[(HeaderName, &'static str)], change: CookieChange) -> HeaderMap {
        let mut response = Response::new(());
        for (name, value) in headers {
            (response.headers_mut()).append(name, HeaderValue::from_static(value));
        }
        let transports = Transports::default();
        finish(&mut response, &transports, Carrier::Cookie, change);
        assert!(response.extensions().get::<SessionAccessed>().is_some());
        response.headers().clone()
    }

    fn all(headers: &HeaderMap, name: &HeaderName) -> String {
        let lines = headers.get_all(name).iter();
        lines
            .map(|line| line.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" | ")
    }

    #[test]
    fn a_response_from_a_session_is_private_unless_it_says_public() {
        for (said, sent, vary) in [
            (None, "private", "Cookie"),
            (Some("max-age=60"), "max-age=60 | private", "Cookie"),
            (
                Some("private=\"x\", max-age=60"),
                "private=\"x\", max-age=60 | private",
                "Cookie",
            ),
            (Some("no-store"), "no-store", "Cookie"),
            (Some("Public, max-age=60"), "Public, max-age=60", ""),
        ] {
            let said: Vec<_> = said.map(|said| (CACHE_CONTROL, said)).into_iter().collect();
            let headers = finished(&said, CookieChange::Keep);
            assert_eq!(all(&headers, &CACHE_CONTROL), sent);
            assert_eq!(all(&headers, &VARY), vary);
            assert_eq!(all(&headers, &SET_COOKIE), "");
        }
    }

    #[test]
    fn a_response_with_the_cookie_is_not_stored_and_keeps_what_is_stricter() {
        for (said, sent) in [
            ("public, max-age=60", "no-store"),
            ("private", "no-store"),
            ("no-cache, no-store", "no-cache, no-store"),
        ] {
            let headers = finished(&[(CACHE_CONTROL, said)], CookieChange::Remove);
            assert_eq!(all(&headers, &CACHE_CONTROL), sent);
            assert_eq!(all(&headers, &VARY), "Cookie");
        }
    }

    #[test]
    fn what_speaks_to_one_kind_of_cache_is_public_by_its_own_word_or_goes() {
        const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");
        const OWN: HeaderName = HeaderName::from_static("tower-keep-cache-control");
        const SURROGATE: HeaderName = HeaderName::from_static("surrogate-control");
        for name in [CDN, OWN, SURROGATE] {
            for (general, targeted, kept) in [
                ("max-age=5", "max-age=60", ""),
                ("private", "max-age=60", ""),
                ("max-age=5", "public, max-age=60", "public, max-age=60"),
                ("public, max-age=5", "max-age=60", "max-age=60"),
            ] {
                let said = [(CACHE_CONTROL, general), (name.clone(), targeted)];
                let headers = finished(&said, CookieChange::Keep);
                assert_eq!(all(&headers, &name), kept);
                let headers = finished(&said, CookieChange::Remove);
                assert_eq!(all(&headers, &name), "");
                assert_eq!(all(&headers, &CACHE_CONTROL), "no-store");
            }
        }
    }

    #[test]
    fn the_handlers_own_cookies_and_vary_survive() {
        let own = [(SET_COOKIE, "theme=dark"), (VARY, "Accept")];
        let headers = finished(&own, CookieChange::Remove);
        assert!(all(&headers, &SET_COOKIE).starts_with("theme=dark | __Host-id=;"));
        assert_eq!(all(&headers, &VARY), "Accept | Cookie");
        for enough in ["accept, cookie", "*"] {
            let headers = finished(&[(VARY, enough)], CookieChange::Remove);
            assert_eq!(all(&headers, &VARY), enough);
        }
    }
}

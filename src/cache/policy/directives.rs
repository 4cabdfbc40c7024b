//! `Cache-Control` (RFC 9111 §5.2): the directives of responses and of requests.

use http::{HeaderMap, HeaderName, header};

use super::headers::{members, split_members};
use super::quoted;

/// What an overflowing delta-seconds counts as (RFC 9111 §1.2.2).
pub(super) const DELTA_MAX: u32 = 1 << 31;

/// The directives of a response. Spans are seconds.
///
/// A `max-age` or `s-maxage` that is invalid or given twice with different values is zero: such a
/// response is stale (RFC 9111 §4.2.1). An invalid permission to serve stale is no permission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResponseDirectives {
    pub(crate) max_age: Option<u32>,
    pub(crate) s_maxage: Option<u32>,
    pub(crate) stale_while_revalidate: Option<u32>,
    pub(crate) stale_if_error: Option<u32>,
    pub(crate) no_store: bool,
    /// `no-cache` without field names.
    pub(crate) no_cache: bool,
    /// `private` without field names.
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) immutable: bool,
    /// The fields of `no-cache="…"` and `private="…"`: they are not stored.
    pub(crate) withheld: Vec<HeaderName>,
}

impl ResponseDirectives {
    /// The directives of all `Cache-Control` lines.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        let mut unfinished = false;
        for line in headers.get_all(header::CACHE_CONTROL) {
            let (well_formed, rest) = quoted::well_formed(line.as_bytes());
            split_members(well_formed).for_each(|member| directives.take(member));
            unquoted_members(rest).for_each(|member| directives.restrict(member));
            unfinished |= !rest.is_empty();
        }
        if unfinished {
            // It overrides `no-store` only if the whole field is well formed.
            directives.no_store |= directives.must_understand;
            directives.must_understand = false;
        }
        directives
    }

    fn take(&mut self, member: &[u8]) {
        let (name, argument) = directive(member);
        let lifetime = || argument.and_then(delta_seconds).unwrap_or(0);
        let span = || argument.and_then(delta_seconds);
        if name.eq_ignore_ascii_case(b"max-age") {
            self.max_age = agreeing(self.max_age, lifetime());
        } else if name.eq_ignore_ascii_case(b"s-maxage") {
            self.s_maxage = agreeing(self.s_maxage, lifetime());
        } else if name.eq_ignore_ascii_case(b"stale-while-revalidate") {
            self.stale_while_revalidate = shortest(self.stale_while_revalidate, span());
        } else if name.eq_ignore_ascii_case(b"stale-if-error") {
            self.stale_if_error = shortest(self.stale_if_error, span());
        } else if name.eq_ignore_ascii_case(b"no-store") {
            self.no_store = true;
        } else if name.eq_ignore_ascii_case(b"no-cache") {
            self.no_cache |= !self.withhold(argument);
        } else if name.eq_ignore_ascii_case(b"private") {
            self.private |= !self.withhold(argument);
        } else if name.eq_ignore_ascii_case(b"public") {
            self.public |= argument.is_none();
        } else if name.eq_ignore_ascii_case(b"must-revalidate") {
            self.must_revalidate = true;
        } else if name.eq_ignore_ascii_case(b"proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if name.eq_ignore_ascii_case(b"must-understand") {
            self.must_understand = true;
        } else if name.eq_ignore_ascii_case(b"immutable") {
            self.immutable |= argument.is_none();
        }
    }

    /// Reads a member after an unfinished quoted string, which may or may not be meant as a
    /// directive. What it forbids is forbidden; what it permits, and its lifetimes, do not count.
    fn restrict(&mut self, member: &[u8]) {
        let (name, _) = directive(member);
        if name.eq_ignore_ascii_case(b"max-age") || name.eq_ignore_ascii_case(b"s-maxage") {
            self.max_age = Some(0);
            self.s_maxage = self.s_maxage.map(|_| 0);
        } else if name.eq_ignore_ascii_case(b"no-store")
            || name.eq_ignore_ascii_case(b"must-understand")
        {
            self.no_store = true;
        } else if name.eq_ignore_ascii_case(b"no-cache") {
            self.no_cache = true;
        } else if name.eq_ignore_ascii_case(b"private") {
            self.private = true;
        } else if name.eq_ignore_ascii_case(b"must-revalidate")
            || name.eq_ignore_ascii_case(b"proxy-revalidate")
        {
            // `must-revalidate` itself would also permit sharing a response to `Authorization` (§3.5).
            self.proxy_revalidate = true;
        }
    }

    /// Whether a stale response must not be sent, whatever permits it (RFC 9111 §4.2.4).
    /// `s-maxage` has the meaning of `proxy-revalidate` (§5.2.2.10).
    pub(super) fn forbid_stale(&self) -> bool {
        self.no_cache || self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some()
    }

    /// Lets an explicit permission to serve stale count beside `s-maxage`, which then only sets the
    /// lifetime and permits sharing.
    pub(super) fn let_stale_beside_s_maxage(&mut self) {
        let permitted = self
            .stale_while_revalidate
            .or(self.stale_if_error)
            .is_some();
        if let Some(lifetime) = self.s_maxage.take_if(|_| permitted) {
            self.max_age = Some(lifetime);
            self.public = true;
        }
    }

    /// Reads the field names of a qualified `no-cache` or `private`. Returns false if there are none:
    /// then the directive is about the whole response.
    pub(super) fn withhold(&mut self, argument: Option<&[u8]>) -> bool {
        let before = self.withheld.len();
        let mut valid = true;
        for name in split_members(unquoted(argument.unwrap_or_default())) {
            match HeaderName::from_bytes(name) {
                Ok(name) => self.withheld.push(name),
                Err(_) => valid = false,
            }
        }
        valid && self.withheld.len() > before
    }
}

/// The directives of a request. Spans are seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RequestDirectives {
    pub(super) max_age: Option<u32>,
    /// `max-stale` without a value is any staleness: 2^31.
    pub(super) max_stale: Option<u32>,
    pub(super) min_fresh: Option<u32>,
    pub(super) stale_if_error: Option<u32>,
    pub(super) no_cache: bool,
    pub(super) no_store: bool,
    pub(super) only_if_cached: bool,
}

impl RequestDirectives {
    /// The directives of all `Cache-Control` lines; without any, `Pragma: no-cache` is `no-cache`
    /// (RFC 9111 §5.4).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if !headers.contains_key(header::CACHE_CONTROL) {
            directives.no_cache = members(headers, &header::PRAGMA)
                .any(|pragma| pragma.eq_ignore_ascii_case(b"no-cache"));
            return directives;
        }
        for line in headers.get_all(header::CACHE_CONTROL) {
            let (well_formed, rest) = quoted::well_formed(line.as_bytes());
            split_members(well_formed).for_each(|member| directives.take(member));
            let permitted = (directives.max_stale, directives.stale_if_error);
            unquoted_members(rest).for_each(|member| directives.take(member));
            // After an unfinished quoted string, limits count and permissions do not.
            (directives.max_stale, directives.stale_if_error) = permitted;
        }
        directives
    }

    fn take(&mut self, member: &[u8]) {
        let (name, argument) = directive(member);
        let span = || argument.and_then(delta_seconds);
        if name.eq_ignore_ascii_case(b"max-age") {
            // An invalid limit counts as the strictest one.
            self.max_age = shortest(self.max_age, Some(span().unwrap_or(0)));
        } else if name.eq_ignore_ascii_case(b"max-stale") {
            let accepted = argument.map_or(Some(DELTA_MAX), delta_seconds);
            self.max_stale = shortest(self.max_stale, accepted);
        } else if name.eq_ignore_ascii_case(b"min-fresh") {
            self.min_fresh = self.min_fresh.max(span());
        } else if name.eq_ignore_ascii_case(b"stale-if-error") {
            self.stale_if_error = shortest(self.stale_if_error, span());
        } else if name.eq_ignore_ascii_case(b"no-cache") {
            self.no_cache = true;
        } else if name.eq_ignore_ascii_case(b"no-store") {
            self.no_store = true;
        } else if name.eq_ignore_ascii_case(b"only-if-cached") {
            self.only_if_cached = true;
        }
    }
}

/// The members of what follows an unfinished quoted string, as if nothing were quoted.
fn unquoted_members(rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    rest.split(|&byte| matches!(byte, b',' | b'"'))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// A directive's name and argument. Spaces beside the `=` stay in the argument, which they make
/// invalid: the syntax has none.
fn directive(member: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = member
        .iter()
        .position(|&byte| matches!(byte, b'=' | b' ' | b'\t'))
        .unwrap_or(member.len());
    let (name, rest) = member.split_at(end);
    match rest {
        [] => (name, None),
        [b'=', argument @ ..] => (name, Some(argument)),
        spaced => (name, Some(spaced)),
    }
}

/// `1*DIGIT`, also as a quoted string (RFC 9111 §5.2: both forms ought to be accepted).
pub(super) fn delta_seconds(argument: &[u8]) -> Option<u32> {
    let digits = unquoted(argument);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |value: u32, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'))
            .min(DELTA_MAX)
    }))
}

fn unquoted(argument: &[u8]) -> &[u8] {
    match argument {
        [b'"', inner @ .., b'"'] => inner,
        other => other,
    }
}

fn agreeing(earlier: Option<u32>, value: u32) -> Option<u32> {
    match earlier {
        Some(earlier) if earlier != value => Some(0),
        _ => Some(value),
    }
}

fn shortest(earlier: Option<u32>, value: Option<u32>) -> Option<u32> {
    match (earlier, value) {
        (Some(earlier), Some(value)) => Some(earlier.min(value)),
        (earlier, value) => earlier.or(value),
    }
}

#[cfg(test)]
mod tests;

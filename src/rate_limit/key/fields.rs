//! Values of header fields as keys.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};

/// All lines of a field as one value; `None` without any.
pub(super) fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = Cow::Borrowed(lines.next()?);
    let separator: &[u8] = if *name == COOKIE { b"; " } else { b", " };
    Some(lines.fold(first, |joined, line| {
        let mut joined = joined.into_owned();
        joined.extend_from_slice(separator);
        joined.extend_from_slice(line);
        Cow::Owned(joined)
    }))
}

/// The value of the first cookie of this name (RFC 6265, section 4.2.1).
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let pair = pair.trim_ascii();
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value)
    })
}

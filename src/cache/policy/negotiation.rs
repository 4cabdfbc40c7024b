//! Normal forms of selecting fields: values with the same meaning become the same bytes (RFC 9111
//! §4.1).

use http::{HeaderMap, HeaderName, header};

use super::headers::members;
use super::quoted;

/// The field in normal form, over all its lines. `None` if it is absent, which is not the same as
/// empty.
pub(super) fn normalised(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    headers.contains_key(name).then(|| {
        if is_negotiation(name) {
            preferences(headers, name)
        } else if name == header::COOKIE || name == header::AUTHORIZATION {
            // Not a list: only the lines are joined (RFC 9113 §8.2.3).
            joined(
                headers.get_all(name).iter().map(|line| line.as_bytes()),
                b"; ",
            )
        } else {
            joined(members(headers, name), b",")
        }
    })
}

fn is_negotiation(name: &HeaderName) -> bool {
    [
        header::ACCEPT,
        header::ACCEPT_CHARSET,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
    ]
    .contains(name)
}

/// Order, case, white space and the spelling of qvalues mean nothing (RFC 9110 §12.4.2, §12.5).
fn preferences(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let mut found: Vec<Vec<u8>> = members(headers, name)
        .map(|member| preference(member, name))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.join(&b',')
}

fn preference(member: &[u8], name: &HeaderName) -> Vec<u8> {
    let mut parts = quoted::split(member, b';').map(<[u8]>::trim_ascii);
    let mut normal = parts.next().unwrap_or_default().to_ascii_lowercase();
    if name == header::ACCEPT_ENCODING && matches!(&normal[..], b"x-gzip" | b"x-compress") {
        normal.drain(..2);
    }
    for part in parts.filter(|part| !part.is_empty()) {
        match quality(part) {
            Some(Some(1000)) => {}
            Some(Some(thousandths)) => {
                let weight = format!(";q=0.{thousandths:03}");
                normal.extend_from_slice(weight.trim_end_matches('0').as_bytes());
            }
            Some(None) | None => {
                normal.push(b';');
                normal.extend_from_slice(&parameter(part));
            }
        }
    }
    normal
}

/// A parameter with its name in lower case; the case of the value may matter.
fn parameter(part: &[u8]) -> Vec<u8> {
    let mut parameter = part.to_vec();
    let name = part
        .iter()
        .position(|&byte| byte == b'=')
        .unwrap_or(part.len());
    parameter[..name].make_ascii_lowercase();
    parameter
}

/// The weight in thousandths: `None` if the parameter is no weight, `Some(None)` if it is an
/// invalid one.
fn quality(parameter: &[u8]) -> Option<Option<u16>> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else {
        return None;
    };
    let (whole, fraction) = match value {
        [whole] => (*whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return Some(None),
    };
    if !matches!(whole, b'0' | b'1') || !fraction.iter().all(u8::is_ascii_digit) {
        return Some(None);
    }
    let mut thousandths = u16::from(whole - b'0');
    for place in 0..3 {
        let digit = fraction.get(place).map_or(0, |digit| digit - b'0');
        thousandths = thousandths * 10 + u16::from(digit);
    }
    Some((thousandths <= 1000).then_some(thousandths))
}

fn joined<'a>(parts: impl Iterator<Item = &'a [u8]>, separator: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    for (index, part) in parts.enumerate() {
        if index > 0 {
            joined.extend_from_slice(separator);
        }
        joined.extend_from_slice(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn lines(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    fn normal(name: &HeaderName, value: &str) -> Vec<u8> {
        normalised(&lines(name, &[value.as_bytes()]), name).unwrap()
    }

    #[test]
    fn negotiation_ignores_order_case_space_and_spelling_of_weights() {
        for (name, left, right) in [
            (header::ACCEPT_LANGUAGE, "en, de", "de, en"),
            (header::ACCEPT_LANGUAGE, "en, de", "eN, De"),
            (header::ACCEPT_LANGUAGE, "en, de", " en ,   de"),
            (header::ACCEPT_LANGUAGE, "en;q=1, de;q=0.5", "de; Q=0.50,en"),
            (header::ACCEPT_LANGUAGE, "de, de", "de"),
            (header::ACCEPT_ENCODING, "gzip, br;q=1.0", "br,x-gzip"),
            (
                header::ACCEPT,
                "text/html;Level=1;q=0.3, */*",
                "*/*,TEXT/html;level=1;q=0.300",
            ),
        ] {
            assert_eq!(normal(&name, left), normal(&name, right), "{left} {right}");
        }
    }

    #[test]
    fn negotiation_keeps_what_has_meaning() {
        for (name, left, right) in [
            (header::ACCEPT_LANGUAGE, "en", "de"),
            (header::ACCEPT_LANGUAGE, "en;q=0.5", "en"),
            (header::ACCEPT_LANGUAGE, "en;q=0", "en;q=0.001"),
            (header::ACCEPT_LANGUAGE, "en;q=1.001", "en"),
            (header::ACCEPT, "a/b;v=1", "a/b;v=2"),
            (header::ACCEPT, "a/b;v=\"x,y\"", "a/b;v=\"x\",y"),
        ] {
            assert_ne!(normal(&name, left), normal(&name, right), "{left} {right}");
        }
    }

    #[test]
    fn other_fields_are_joined_and_trimmed() {
        let name = HeaderName::from_static("foo");
        assert_eq!(normal(&name, "1,2"), normal(&name, " 1, 2 "));
        let apart = normalised(&lines(&name, &[b"1", b"2"]), &name);
        assert_eq!(apart.unwrap(), normal(&name, "1, 2"));
        assert_ne!(normal(&name, "1,2"), normal(&name, "2,1"));
        assert_ne!(normal(&name, "a"), normal(&name, "A"));
        assert_eq!(normalised(&HeaderMap::new(), &name), None);
        assert_eq!(normal(&name, ""), b"");
    }

    #[test]
    fn split_cookies_are_one() {
        let split = lines(&header::COOKIE, &[b"a=b", b"c=d"]);
        let whole = normal(&header::COOKIE, "a=b; c=d");
        assert_eq!(normalised(&split, &header::COOKIE).unwrap(), whole);
    }

    proptest! {
        #[test]
        fn normalisation_is_idempotent(
            value in "([a-zA-Z*/-]{1,5}( ?; ?[qQvV]=[01](\\.[0-9]{0,3})?)?|\"[a-z,]*\")(, ?[a-z]{1,3}(;q=0\\.[0-9])?){0,3}"
        ) {
            for name in [header::ACCEPT_LANGUAGE, header::ACCEPT, header::USER_AGENT, header::COOKIE] {
                let once = normal(&name, &value);
                let headers = lines(&name, &[&once]);
                prop_assert_eq!(normalised(&headers, &name).unwrap(), once);
            }
        }

        #[test]
        fn any_bytes_are_normalised_without_panic(value: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                for name in [header::ACCEPT, header::ACCEPT_LANGUAGE, header::ACCEPT_ENCODING, header::COOKIE, header::HOST] {
                    let headers: HeaderMap = [(name.clone(), value.clone())].into_iter().collect();
                    let _ = normalised(&headers, &name);
                }
            }
        }
    }
}

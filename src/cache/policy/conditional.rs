//! The client's own conditions on a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use http::{HeaderMap, header};

use super::entity_tag::is_listed;
use super::{RequestHead, StoredHead, date};

/// Whether the answer is 304: by the request's `If-None-Match`, or else its `If-Modified-Since`, a
/// response with these fields is unmodified. `now` is in Unix milliseconds.
///
/// `If-Modified-Since` counts only for a response with `Last-Modified` (RFC 9110 §13.1.3), and only
/// if it is a valid date that is not in the future.
pub(crate) fn not_modified(request: &RequestHead<'_>, response: &HeaderMap, now: u64) -> bool {
    if request.headers.contains_key(header::IF_NONE_MATCH) {
        return is_listed(request.headers, response);
    }
    // The request's fields first, since most requests have no condition.
    let Some(since) = since(request, now) else {
        return false;
    };
    let modified = response
        .get(header::LAST_MODIFIED)
        .and_then(|modified| date::parse(modified, now));
    modified.is_some_and(|modified| modified <= since)
}

impl StoredHead {
    /// Whether the client's own condition finds this response unmodified.
    ///
    /// Without `Last-Modified`, `Date` is compared (RFC 9111 §4.3.2): a copy that the client got
    /// later is at least as new as this one.
    pub(super) fn is_not_modified(&self, request: &RequestHead<'_>, now: u64) -> bool {
        if not_modified(request, &self.headers, now) {
            return true;
        }
        let by_date = !request.headers.contains_key(header::IF_NONE_MATCH)
            && !self.headers.contains_key(header::LAST_MODIFIED);
        let made = || date::parse(self.headers.get(header::DATE)?, now);
        by_date && since(request, now).is_some_and(|since| made().is_some_and(|made| made <= since))
    }
}

/// A valid `If-Modified-Since` that is not in the future.
fn since(request: &RequestHead<'_>, now: u64) -> Option<i64> {
    let since = date::parse(request.headers.get(header::IF_MODIFIED_SINCE)?, now)?;
    let now = i64::try_from(now / 1000).unwrap_or(i64::MAX);
    (since <= now).then_some(since)
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;
    use crate::cache::policy::testing::{NOW, Request, at, stored};

    const JAN: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    const JAN_850: &str = "Thursday, 01-Jan-26 00:00:00 GMT";
    const FEB: &str = "Sun, 01 Feb 2026 00:00:00 GMT";
    const MAR: &str = "Sun, 01 Mar 2026 00:00:00 GMT";
    const APRIL_MS: u64 = 1_775_001_600_000;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn check(request: &[(&'static str, &str)], response: &[(&'static str, &str)]) -> bool {
        let (method, uri) = (Method::GET, Uri::from_static("/"));
        let request = headers(request);
        let request = RequestHead::new(&method, &uri, &request);
        not_modified(&request, &headers(response), APRIL_MS)
    }

    #[test]
    fn if_none_match_compares_weakly_over_the_whole_list() {
        for (condition, tag, expected) in [
            ("\"a\"", "\"a\"", true),
            ("\"b\"", "\"a\"", false),
            ("W/\"a\"", "W/\"a\"", true),
            ("W/\"a\"", "\"a\"", true),
            ("\"a\", \"1\", \"5\"", "\"a\"", true),
            ("\"1\", \"a\", \"5\"", "\"a\"", true),
            ("\"1\" , W/\"x,y\",\"a\"", "\"a\"", true),
            ("\"1\", W/\"x,y\"", "\"x,y\"", true),
            ("*", "\"a\"", true),
            ("\"b\", *", "\"a\"", false),
            ("\"x, *, \"a", "\"b\"", false),
            ("\"b\\\", \"a\"", "\"a\"", true),
            ("a", "\"a\"", false),
            ("a", "a", true),
        ] {
            let found = check(&[("if-none-match", condition)], &[("etag", tag)]);
            assert_eq!(found, expected, "{condition} against {tag}");
        }
        assert!(check(&[("if-none-match", "*")], &[]), "any representation");
        assert!(!check(&[("if-none-match", "\"a\"")], &[]));
        let lines = [("if-none-match", "\"b\""), ("if-none-match", "\"a\"")];
        assert!(check(&lines, &[("etag", "\"a\"")]), "several lines");
    }

    #[test]
    fn if_none_match_goes_before_if_modified_since() {
        let unmodified = [("etag", "\"a\""), ("last-modified", JAN)];
        let request = [("if-none-match", "\"b\""), ("if-modified-since", FEB)];
        assert!(!check(&request, &unmodified));
        let request = [("if-none-match", "\"a\""), ("if-modified-since", JAN)];
        let modified = [("etag", "\"a\""), ("last-modified", FEB)];
        assert!(check(&request, &modified));
    }

    #[test]
    fn if_modified_since_against_last_modified() {
        for (since, modified, expected) in [
            (FEB, FEB, true),
            (MAR, FEB, true),
            (JAN, FEB, false),
            (JAN_850, JAN, true),
            ("foo", JAN, false),
        ] {
            let found = check(
                &[("if-modified-since", since)],
                &[("last-modified", modified)],
            );
            assert_eq!(found, expected, "{since} against {modified}");
        }
    }

    #[test]
    fn a_date_in_the_future_is_no_condition() {
        for since in [
            "Sat, 02 May 2026 00:00:00 GMT",
            "Fri, 01 Jan 2038 00:00:00 GMT",
        ] {
            assert!(!check(
                &[("if-modified-since", since)],
                &[("last-modified", JAN), ("date", JAN)]
            ));
        }
    }

    #[test]
    fn if_modified_since_says_nothing_about_a_new_response_without_last_modified() {
        for response in [&[][..], &[("date", JAN)], &[("last-modified", "foo")]] {
            assert!(!check(&[("if-modified-since", FEB)], response));
        }
    }

    #[test]
    fn a_stored_response_without_last_modified_is_as_old_as_its_date() {
        let check = |since: i64, line: Option<(&'static str, &str)>| {
            let mut lines = vec![("cache-control", "max-age=9999"), ("date", "")];
            let date = at(-100);
            lines[1].1 = &date;
            lines.extend(line);
            let request = Request::get(&[("if-modified-since", &at(since))]);
            stored(&lines).is_not_modified(&request.head(), NOW)
        };
        assert!(check(-100, None) && check(-1, None) && check(0, None));
        assert!(!check(-101, None), "from before");
        assert!(
            !check(1, None) && !check(400_000_000, None),
            "from the future"
        );
        let modified = at(-50);
        assert!(!check(-60, Some(("last-modified", &modified))));
        assert!(!check(-1, Some(("last-modified", "foo"))));
    }

    #[test]
    fn if_none_match_that_fails_is_not_saved_by_a_date() {
        let request = Request::get(&[("if-none-match", "\"b\""), ("if-modified-since", &at(0))]);
        let stored = stored(&[("etag", "\"a\"")]);
        assert!(!stored.is_not_modified(&request.head(), NOW));
    }
}

//! The client's own conditions on a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use http::{HeaderMap, header};

use super::entity_tag::is_listed;
use super::{RequestHead, date};

/// Whether the request's `If-None-Match`, or else its `If-Modified-Since`, finds a response with
/// these fields unmodified, so that the answer is 304.
///
/// `received` is when the response came, in Unix milliseconds: without `Last-Modified` the
/// response counts as modified at its `Date`, or else then.
pub(crate) fn not_modified(request: &RequestHead<'_>, response: &HeaderMap, received: u64) -> bool {
    if request.headers.contains_key(header::IF_NONE_MATCH) {
        return is_listed(request.headers, response);
    }
    let Some(since) = request.headers.get(header::IF_MODIFIED_SINCE) else {
        return false;
    };
    // An invalid date is no condition (RFC 9110 §13.1.3).
    let Some(since) = date::parse(since, received) else {
        return false;
    };
    let modified = [header::LAST_MODIFIED, header::DATE]
        .iter()
        .find_map(|name| date::parse(response.get(name)?, received))
        .unwrap_or_else(|| i64::try_from(received / 1000).unwrap_or(i64::MAX));
    modified <= since
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;

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
    fn if_modified_since_falls_back_to_date_and_then_to_the_time_of_receipt() {
        assert!(check(&[("if-modified-since", FEB)], &[("date", JAN)]));
        assert!(!check(&[("if-modified-since", JAN)], &[("date", FEB)]));
        assert!(!check(&[("if-modified-since", MAR)], &[]));
        let later = "Sat, 02 May 2026 00:00:00 GMT";
        assert!(check(&[("if-modified-since", later)], &[]));
    }
}

//! Targeted cache control fields (RFC 9213).

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, KeyRef, ListEntry, Parser};

use super::directives::{DELTA_MAX, ResponseDirectives};

/// The directives of the first field of `targets` that is a valid, non-empty Dictionary. They
/// replace those of `Cache-Control`, and `Expires` (§2.2).
pub(super) fn directives(
    headers: &HeaderMap,
    targets: &[HeaderName],
) -> Option<ResponseDirectives> {
    targets.iter().find_map(|name| {
        let dictionary = dictionary(headers, name)?;
        (!dictionary.is_empty()).then(|| consume(&dictionary))
    })
}

fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next()?;
    let mut value = first.as_bytes().to_vec();
    for line in lines {
        value.extend_from_slice(b", ");
        value.extend_from_slice(line.as_bytes());
    }
    Parser::new(&value).parse().ok()
}

/// A member of another type than the directive's is not used (§2.1).
fn consume(dictionary: &Dictionary) -> ResponseDirectives {
    let item = |name: &'static str| match dictionary.get(key(name)) {
        Some(ListEntry::Item(item)) => Some(&item.bare_item),
        _ => None,
    };
    let flag = |name| matches!(item(name), Some(BareItem::Boolean(true)));
    let span = |name| match item(name) {
        Some(BareItem::Integer(seconds)) => delta_seconds(i64::from(*seconds)),
        _ => None,
    };
    let mut directives = ResponseDirectives {
        max_age: span("max-age"),
        s_maxage: span("s-maxage"),
        stale_while_revalidate: span("stale-while-revalidate"),
        stale_if_error: span("stale-if-error"),
        no_store: flag("no-store"),
        no_cache: flag("no-cache"),
        private: flag("private"),
        public: flag("public"),
        must_revalidate: flag("must-revalidate"),
        proxy_revalidate: flag("proxy-revalidate"),
        must_understand: flag("must-understand"),
        immutable: flag("immutable"),
        withheld: Vec::new(),
    };
    if let Some(BareItem::String(names)) = item("no-cache") {
        directives.no_cache = !directives.withhold(Some(names.as_str().as_bytes()));
    }
    if let Some(BareItem::String(names)) = item("private") {
        directives.private = !directives.withhold(Some(names.as_str().as_bytes()));
    }
    directives
}

fn key(name: &'static str) -> &'static KeyRef {
    KeyRef::from_str(name).expect("directive names are lower-case keys")
}

/// Negative numbers are not delta-seconds, so they are not used.
fn delta_seconds(seconds: i64) -> Option<u32> {
    u64::try_from(seconds)
        .ok()
        .map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX).min(DELTA_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");
    const OWN: HeaderName = HeaderName::from_static("own-cache-control");

    fn cdn(line: &str) -> Option<ResponseDirectives> {
        let headers = [(CDN, line.parse().unwrap())].into_iter().collect();
        directives(&headers, &[OWN, CDN])
    }

    #[test]
    fn members_become_directives() {
        let found = cdn("foobar, max-age=3600;p=1, no-store, stale-if-error=9").unwrap();
        assert_eq!(found.max_age, Some(3600));
        assert!(found.no_store);
        assert_eq!(found.stale_if_error, Some(9));
        assert_eq!(cdn("max-age=99999999999").unwrap().max_age, Some(DELTA_MAX));
        assert_eq!(cdn("max-age=1, max-age=2").unwrap().max_age, Some(2));
    }

    #[test]
    fn what_is_no_dictionary_or_empty_is_ignored() {
        for line in [
            "",
            "max-age=10000, &&&&&",
            "max-age =100",
            "max-age= 100",
            "MaX-aGe=3600",
            "max-age='1'",
            "max-age=1,",
        ] {
            assert_eq!(cdn(line), None, "{line}");
        }
    }

    #[test]
    fn wrong_types_are_not_consumed() {
        for line in [
            "max-age=\"10000\"",
            "max-age=1.5",
            "max-age=-1",
            "max-age=?1",
            "max-age=(1 2)",
            "max-age",
        ] {
            assert_eq!(cdn(line).unwrap().max_age, None, "{line}");
        }
        assert!(!cdn("no-store=1").unwrap().no_store);
        assert!(!cdn("no-store=?0").unwrap().no_store);
    }

    #[test]
    fn field_names_are_withheld() {
        let found = cdn("no-cache=\"a, b\", max-age=1").unwrap();
        assert!(!found.no_cache);
        assert_eq!(found.withheld, ["a", "b"]);
        assert!(cdn("private=\"\"").unwrap().private);
    }

    #[test]
    fn lines_are_combined_and_the_first_valid_target_wins() {
        let mut headers = HeaderMap::new();
        headers.append(CDN, "max-age=1".parse().unwrap());
        headers.append(CDN, "no-cache".parse().unwrap());
        let combined = directives(&headers, &[OWN, CDN]).unwrap();
        assert!(combined.no_cache && combined.max_age == Some(1));

        headers.insert(OWN, "max-age=7".parse().unwrap());
        assert_eq!(directives(&headers, &[OWN, CDN]).unwrap().max_age, Some(7));
        headers.insert(OWN, "max-age==7".parse().unwrap());
        assert_eq!(directives(&headers, &[OWN, CDN]).unwrap().max_age, Some(1));
        assert_eq!(directives(&headers, &[]), None);
    }
}

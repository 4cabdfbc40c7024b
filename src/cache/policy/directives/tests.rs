use proptest::prelude::*;

use super::*;

fn cache_control(lines: &[&str]) -> HeaderMap {
    lines
        .iter()
        .map(|line| (header::CACHE_CONTROL, line.parse().unwrap()))
        .collect()
}

fn response(line: &str) -> ResponseDirectives {
    ResponseDirectives::of(&cache_control(&[line]))
}

fn request(line: &str) -> RequestDirectives {
    RequestDirectives::of(&cache_control(&[line]))
}

#[test]
fn max_age_in_all_its_forms() {
    for (line, expected) in [
        ("max-age=3600", Some(3600)),
        ("MaX-aGe=3600", Some(3600)),
        ("foobar, max-age=3600", Some(3600)),
        ("max-age=\"3600\"", Some(3600)),
        ("max-age=003600", Some(3600)),
        ("max-age=0", Some(0)),
        ("max-age=2147483647", Some(2_147_483_647)),
        ("max-age=2147483648", Some(DELTA_MAX)),
        ("max-age=2147483649", Some(DELTA_MAX)),
        ("max-age=99999999999999999999999", Some(DELTA_MAX)),
        ("extension=\"max-age=3600\", max-age=1", Some(1)),
        ("max-age=1, extension=\"max-age=3600\"", Some(1)),
        ("extension=\"a\\\", max-age=3600\"", None),
        ("nothing-to-see-here", None),
        ("xmax-age=3600", None),
    ] {
        assert_eq!(response(line).max_age, expected, "{line}");
    }
}

#[test]
fn an_invalid_lifetime_is_stale() {
    for line in [
        "max-age",
        "max-age=",
        "max-age=-3600",
        "max-age='3600'",
        "max-age =3600",
        "max-age= 3600",
        "max-age=3600.0",
        "max-age=a3600",
        "max-age=3600a",
        "max-age=\"\"",
    ] {
        assert_eq!(response(line).max_age, Some(0), "{line}");
    }
    assert_eq!(response("s-maxage=x").s_maxage, Some(0));
}

#[test]
fn lifetimes_that_disagree_are_stale() {
    assert_eq!(response("max-age=1800, max-age=1").max_age, Some(0));
    assert_eq!(response("max-age=1, max-age=1800").max_age, Some(0));
    let lines = ResponseDirectives::of(&cache_control(&["max-age=1800", "max-age=1"]));
    assert_eq!(lines.max_age, Some(0));
    assert_eq!(response("max-age=60, max-age=60").max_age, Some(60));
}

#[test]
fn directives_of_all_lines_count() {
    let directives = ResponseDirectives::of(&cache_control(&["max-age=3600", "s-maxage=1"]));
    assert_eq!(
        (directives.max_age, directives.s_maxage),
        (Some(3600), Some(1))
    );
}

#[test]
fn flags_are_case_insensitive() {
    assert!(response("No-StOrE").no_store);
    assert!(response("max-age=10000, No-CaChE").no_cache);
    assert!(response("PRIVATE").private);
    assert!(response("Public").public);
    assert!(response("immutable").immutable);
    assert!(response("no-store, must-understand").must_understand);
}

#[test]
fn the_field_form_withholds_fields_instead_of_the_response() {
    let directives = response("no-cache=\"A, b\", private=\"set-cookie\", max-age=3600");
    assert!(!directives.no_cache && !directives.private);
    assert_eq!(directives.withheld, ["a", "b", "set-cookie"]);
    assert!(!response("no-cache=a").no_cache, "token form");
}

#[test]
fn a_field_form_without_valid_names_is_about_the_response() {
    for line in [
        "no-cache=\"\"",
        "no-cache=",
        "no-cache=\"a b\"",
        "no-cache =\"a\"",
    ] {
        assert!(response(line).no_cache, "{line}");
    }
    assert!(response("no-cache=\"a\", no-cache").no_cache);
}

#[test]
fn what_forbids_stale() {
    for line in [
        "no-cache",
        "must-revalidate",
        "proxy-revalidate",
        "s-maxage=2",
    ] {
        assert!(response(line).forbid_stale(), "{line}");
    }
    assert!(!response("max-age=2, public").forbid_stale());
}

#[test]
fn permissions_need_a_valid_value() {
    assert_eq!(response("stale-if-error=x").stale_if_error, None);
    assert_eq!(
        response("stale-while-revalidate").stale_while_revalidate,
        None
    );
    assert_eq!(
        response("stale-while-revalidate=9, stale-while-revalidate=3").stale_while_revalidate,
        Some(3)
    );
    assert!(!response("public=no").public);
}

#[test]
fn request_directives() {
    assert_eq!(request("max-age=60").max_age, Some(60));
    assert_eq!(request("max-age=x").max_age, Some(0));
    assert_eq!(request("max-stale").max_stale, Some(DELTA_MAX));
    assert_eq!(request("max-stale=1000").max_stale, Some(1000));
    assert_eq!(request("max-stale=x").max_stale, None);
    assert_eq!(request("min-fresh=20").min_fresh, Some(20));
    assert!(request("only-if-cached").only_if_cached);
    assert!(request("No-Cache").no_cache);
    assert!(request("no-store").no_store);
    assert_eq!(request("nothing-to-see-here"), RequestDirectives::default());
}

#[test]
fn pragma_counts_only_without_cache_control() {
    let mut headers = HeaderMap::new();
    headers.insert(header::PRAGMA, "foo, No-Cache".parse().unwrap());
    assert!(RequestDirectives::of(&headers).no_cache);
    headers.insert(
        header::CACHE_CONTROL,
        "nothing-to-see-here".parse().unwrap(),
    );
    assert!(!RequestDirectives::of(&headers).no_cache);
    headers.clear();
    headers.insert(header::PRAGMA, "unrecognised-extension".parse().unwrap());
    assert!(!RequestDirectives::of(&headers).no_cache);
}

#[test]
fn an_unfinished_quoted_string_hides_no_restriction() {
    for ext in [
        "ext=\"x, ",
        "ext=\"x\\\", ",
        "ext=\"",
        "ext=x\", ",
        "ext=\"x\"y, ",
        "\"",
    ] {
        for tail in ["", ", y=\"z\"", "\"z", ", y=\"z"] {
            let read = |directive: &str| {
                let line = format!("max-age=60, {ext}{directive}{tail}");
                // Only an unfinished string is read on inside.
                assert!(!quoted::well_formed(line.as_bytes()).1.is_empty(), "{line}");
                response(&line)
            };
            assert!(read("no-store").no_store, "{ext} {tail}");
            assert!(read("no-cache").no_cache, "{ext} {tail}");
            assert!(read("Private").private, "{ext} {tail}");
            assert!(read("must-revalidate").forbid_stale(), "{ext} {tail}");
            assert!(read("proxy-revalidate").forbid_stale(), "{ext} {tail}");
            assert_eq!(read("max-age=0").max_age, Some(0), "{ext} {tail}");
            assert_eq!(read("s-maxage=0").max_age, Some(0), "{ext} {tail}");
        }
    }
    assert!(response("max-age=\"60, no-store").no_store);
    assert_eq!(response("max-age=\"60, x").max_age, Some(0));
    assert!(response("private=\"a, b").private);
    assert!(response("no-cache=\"a, b").no_cache);
}

#[test]
fn an_unfinished_quoted_string_permits_nothing() {
    let found = response(
        "ext=\"x, public, max-age=60, s-maxage=60, must-revalidate, immutable, \
         stale-while-revalidate=60, stale-if-error=60",
    );
    assert_eq!((found.max_age, found.s_maxage), (Some(0), None));
    assert!(!found.public && !found.immutable && !found.must_revalidate);
    assert_eq!(found.stale_while_revalidate.or(found.stale_if_error), None);
    for line in [
        "no-store, must-understand, ext=\"x",
        "no-store, ext=\"x, must-understand",
    ] {
        let found = response(line);
        assert!(found.no_store && !found.must_understand, "{line}");
    }
}

#[test]
fn an_unfinished_quoted_string_of_a_request_limits_but_permits_nothing() {
    let found = request("ext=\"x, no-cache, no-store, only-if-cached, max-age=5, min-fresh=6");
    assert!(found.no_cache && found.no_store && found.only_if_cached);
    assert_eq!((found.max_age, found.min_fresh), (Some(5), Some(6)));
    let found = request("max-stale=1, ext=\"x, max-stale, stale-if-error=9");
    assert_eq!((found.max_stale, found.stale_if_error), (Some(1), None));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
            let headers: HeaderMap = [(header::CACHE_CONTROL, value)].into_iter().collect();
            let _ = ResponseDirectives::of(&headers);
            let _ = RequestDirectives::of(&headers);
        }
    }

    #[test]
    fn any_number_is_read_and_capped(number: u64) {
        let expected = u32::try_from(number).unwrap_or(u32::MAX).min(DELTA_MAX);
        prop_assert_eq!(response(&format!("max-age={number}")).max_age, Some(expected));
    }
}

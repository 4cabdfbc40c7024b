use super::*;

fn read(settings: &CookieSettings, lines: &[&[u8]]) -> Option<SessionId> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
    }
    settings.read(&headers).flatten()
}

fn line(settings: &CookieSettings) -> String {
    let id = SessionId::parse(&[b'a'; 52]).unwrap();
    let line = settings.issue(&id, Duration::from_secs(60), None);
    assert!(!format!("{line:?}").contains("aaa"), "an id in Debug");
    line.to_str().unwrap().replace(id.expose(), "ID")
}

#[test]
fn the_default_is_a_host_cookie_for_the_browser_session() {
    let settings = CookieSettings::default();
    assert_eq!(
        line(&settings),
        "__Host-id=ID; HttpOnly; SameSite=Lax; Secure; Path=/"
    );
    assert_eq!(
        settings.remove(),
        "__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
    );
}

#[test]
fn a_path_or_domain_of_its_own_changes_the_prefix_and_removal_names_them_too() {
    let settings = CookieSettings::default()
        .with_domain("example.com")
        .unwrap();
    let settings = settings
        .with_path("/app")
        .unwrap()
        .with_name("sid")
        .unwrap();
    assert_eq!(
        line(&settings.clone().partitioned()),
        "__Secure-sid=ID; HttpOnly; SameSite=Lax; Partitioned; Secure; Path=/app; Domain=example.com"
    );
    assert_eq!(
        settings.remove(),
        "__Secure-sid=; HttpOnly; SameSite=Lax; Secure; Path=/app; Domain=example.com; Max-Age=0"
    );
}

#[test]
fn development_mode_drops_what_needs_secure() {
    let settings = CookieSettings::default()
        .with_same_site(SameSite::None)
        .partitioned()
        .insecure();
    assert_eq!(line(&settings), "id=ID; HttpOnly; SameSite=Lax; Path=/");
}

#[test]
fn a_persistent_cookie_lives_as_long_as_the_session_and_at_most_400_days() {
    let settings = CookieSettings {
        persistent: true,
        ..CookieSettings::default()
    };
    assert!(line(&settings).ends_with("; Max-Age=60"));
    let id = SessionId::parse(&[b'a'; 52]).unwrap();
    let line = settings.issue(&id, MAX_AGE * 2, None);
    assert!(line.to_str().unwrap().ends_with("; Max-Age=34560000"));
}

#[test]
fn the_id_is_found_among_other_cookies_on_any_line() {
    let settings = CookieSettings::default();
    let id = "a".repeat(52);
    let cookie = format!("__Host-id={id}");
    let both = format!("other=1;{cookie} ; __Host-idx=2; bare");
    for lines in [
        &[cookie.as_bytes()][..],
        &[both.as_bytes()],
        &[b"a=\xff\xfe", cookie.as_bytes()],
    ] {
        assert_eq!(read(&settings, lines).unwrap().expose(), id);
    }
}

#[test]
fn a_missing_malformed_or_repeated_cookie_is_none() {
    let settings = CookieSettings::default();
    let cookie = format!("__Host-id={}", "a".repeat(52));
    let twice = format!("{cookie}; {cookie}");
    let quoted = format!("__Host-id=\"{}\"", "a".repeat(52));
    let huge = format!("__Host-id={}", "a".repeat(60_000));
    for lines in [
        &[][..],
        &[b"__Host-id" as &[u8]],
        &[b"__Host-id="],
        &[b"id=x"],
        &[twice.as_bytes()],
        &[cookie.as_bytes(), cookie.as_bytes()],
        &[cookie.as_bytes(), b"__Host-id="],
        &[quoted.as_bytes()],
        &[huge.as_bytes()],
    ] {
        assert_eq!(read(&settings, lines), None, "{lines:.60?}");
    }
}

#[test]
fn a_setting_that_browsers_refuse_is_named() {
    let settings = CookieSettings::default();
    for name in [
        "",
        "a b",
        "a=b",
        "a;b",
        "é",
        "__Host-id",
        "__Secure-id",
        &"x".repeat(65),
    ] {
        let error = settings.clone().with_name(name).expect_err(name);
        assert!(error.to_string().contains("cookie name"), "{error}");
    }
    for path in ["", "app", "/a;b", "/a b", "/é"] {
        let error = settings.clone().with_path(path).expect_err(path);
        assert!(error.to_string().contains("cookie path"), "{error}");
    }
    for domain in ["", ".example.com", "a b", "example..com", "-a.com", "a;b"] {
        let error = settings.clone().with_domain(domain).expect_err(domain);
        assert!(error.to_string().contains("cookie domain"), "{error}");
    }
}

#[cfg(feature = "session-encryption")]
#[test]
fn a_sealed_id_reads_under_the_name_of_its_cookie_alone() {
    use super::{super::super::keys::SessionKeys, seal::Seal};
    let keys = SessionKeys::new(&[1; 32]).unwrap();
    for seal in [Seal::Signed(keys.clone()), Seal::Encrypted(keys)] {
        let id = SessionId::parse(&[b'a'; 52]).unwrap();
        let value = seal.write("__Host-id", &id);
        assert_eq!(seal.read("__Host-id", value.as_bytes()), Some(id));
        assert_eq!(seal.read("__Host-admin", value.as_bytes()), None);
    }
}

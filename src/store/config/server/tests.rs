use super::Server;
use crate::store::config::{StoreConfig, Target, tests::from};

#[test]
fn an_empty_variable_is_an_error_that_names_it_and_not_an_unset_one() {
    for name in [
        "REDIS_URL",
        "REDIS_HOST",
        "REDIS_PORT",
        "REDIS_USERNAME",
        "REDIS_PASSWORD",
        "REDIS_DB",
        "REDIS_POOL_SIZE",
        "REDIS_TIMEOUT_MS",
        "REDIS_NAMESPACE",
    ] {
        let host = ("REDIS_HOST", "h");
        let vars = [(name, ""), host];
        let error = from(&vars).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{name} is set: it is empty")),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_an_error_that_names_it_and_shows_nothing_of_it() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    for name in [
        "REDIS_URL",
        "REDIS_HOST",
        "REDIS_PORT",
        "REDIS_PASSWORD",
        "REDIS_NAMESPACE",
    ] {
        let var = |asked: &str| match asked {
            _ if asked == name => Some(OsString::from_vec(b"redis://:s3cret\xff@h".to_vec())),
            "REDIS_HOST" => Some("h".into()),
            _ => None,
        };
        let error = StoreConfig::from_os_vars(var).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.starts_with(&format!("{name} is set")), "{text}");
        assert!(text.contains("UTF-8") && !text.contains("s3cret"), "{text}");
    }
}

#[test]
fn a_percent_encoded_password_is_decoded() {
    let config = StoreConfig::from_url("redis://a%40b:p%40ss%3A%2F%23@h:7/1").unwrap();
    let Target::Server(server) = config.target else {
        panic!("embedded memory");
    };
    let Server::Single(info) = *server else {
        panic!("several servers");
    };
    assert_eq!(info.redis_settings().password(), Some("p@ss:/#"));
    assert_eq!(info.redis_settings().username(), Some("a@b"));
}

#[test]
fn a_url_wins_over_the_pieces_and_the_pieces_have_defaults() {
    let config = from(&[("REDIS_HOST", "10.0.0.1"), ("REDIS_PASSWORD", "s3cret")]).unwrap();
    assert!(
        format!("{config:?}").contains("10.0.0.1:6379"),
        "{config:?}"
    );
    let config = from(&[
        ("REDIS_URL", "redis://10.0.0.2:7000/3"),
        ("REDIS_HOST", "x"),
    ])
    .unwrap();
    assert!(
        format!("{config:?}").contains("10.0.0.2:7000"),
        "{config:?}"
    );
}

#[test]
fn a_user_without_a_password_is_an_error_that_names_it() {
    for url in [
        "redis://app@h",
        "rediss://app@h",
        "redis+cluster://app@h",
        "redis+sentinel://app@h/m",
        "unix:///run/redis.sock?user=app",
    ] {
        if url.starts_with("rediss") && cfg!(not(feature = "redis-tls")) {
            continue;
        }
        let error = StoreConfig::from_url(url).unwrap_err().to_string();
        assert!(error.contains("expected a password beside"), "{error}");
    }
    let error = from(&[("REDIS_HOST", "h"), ("REDIS_USERNAME", "app")]).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("REDIS_USERNAME is set"), "{error}");
    assert!(error.contains("REDIS_PASSWORD"), "{error}");
}

#[test]
fn a_part_of_a_url_that_would_do_nothing_is_an_error_that_says_what_would() {
    for (url, expected) in [
        ("redis://h/?db=3", "?protocol=resp3"),
        ("redis://h?password=x", "?protocol=resp3"),
        ("redis://h?protocol=3&x=1", "?protocol=resp3"),
        ("redis://h?protocol=3&protocol=2", "each parameter once"),
        ("redis://h/-1", "database number"),
        ("unix:///run/redis.sock?db=-1", "database number"),
        ("unix:///run/redis.sock?password=x", "pass=password"),
        ("redis://h#1", "%23"),
        (
            "unix://app:password@localhost/run/redis.sock",
            "unix:///path",
        ),
        ("redis+sentinel://h/mymaster/0", "?db="),
    ] {
        let error = StoreConfig::from_url(url).unwrap_err().to_string();
        assert!(error.starts_with("store URL is "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    for url in [
        "redis://h?protocol=resp3",
        "redis://:password@h/3?protocol=2",
        "unix:///run/redis.sock?db=1&user=app&pass=password&protocol=3",
        "redis+sentinel://h/mymaster?db=1",
    ] {
        assert!(StoreConfig::from_url(url).is_ok(), "{url}");
    }
}

#[test]
fn a_piece_that_cannot_be_used_is_an_error_beside_a_url_too() {
    for (name, value) in [
        ("REDIS_HOST", ""),
        ("REDIS_PASSWORD", ""),
        ("REDIS_USERNAME", ""),
        ("REDIS_PORT", ""),
        ("REDIS_PORT", "http"),
        ("REDIS_DB", "-1"),
    ] {
        let error = from(&[("REDIS_URL", "redis://h"), (name, value)]).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

#[test]
fn a_password_is_in_no_debug_and_no_error() {
    let config = StoreConfig::from_url("redis://app:s3cret@127.0.0.1:1/0").unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    assert!(!format!("{:?}", config.build().unwrap()).contains("s3cret"));
    for url in [
        "http://app:s3cret@h",
        "redis://app:s3cret@h:port",
        "redis://app:s3cret@[::x",
        "s3cret",
    ] {
        let error = StoreConfig::from_url(url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

#[test]
fn a_host_that_is_a_url_or_has_a_port_is_refused_and_shows_no_password() {
    for host in [
        "redis://app:s3cret@h",
        "app:s3cret@h",
        "h/0",
        "[::1]",
        "a b",
        "localhost:24001",
        "10.0.0.1:6379",
        "app:s3cret",
    ] {
        let error = from(&[("REDIS_HOST", host)]).unwrap_err().to_string();
        assert!(error.starts_with("REDIS_HOST is "), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    for host in ["::1", "10.0.0.1", "redis.internal"] {
        assert!(from(&[("REDIS_HOST", host)]).is_ok(), "{host}");
    }
    for (name, value) in [
        ("REDIS_PORT", "70000"),
        ("REDIS_PORT", "0"),
        ("REDIS_POOL_SIZE", "0"),
        ("REDIS_TIMEOUT_MS", "0"),
        ("REDIS_NAMESPACE", "a b"),
        ("REDIS_DB", "-1"),
        ("REDIS_DB", "first"),
    ] {
        let error = from(&[("REDIS_HOST", "h"), (name, value)])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("{name} is {value:?}: expected")),
            "{error}"
        );
    }
}

#[cfg(feature = "redis-tls")]
#[test]
fn certificates_for_a_server_without_tls_are_an_error_that_names_both() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let ca = ("REDIS_TLS_CA", file);
    for without_tls in [
        ("REDIS_URL", "redis://h"),
        ("REDIS_URL", "redis+cluster://h"),
        ("REDIS_URL", "memory"),
        ("REDIS_HOST", "h"),
    ] {
        let error = from(&[ca, without_tls]).unwrap_err().to_string();
        assert!(error.starts_with("REDIS_TLS_CA is "), "{error}");
        assert!(error.contains("REDIS_URL"), "{error}");
    }
    assert!(from(&[ca]).is_err());
    assert!(from(&[ca, ("REDIS_URL", "rediss://h")]).is_ok());
    let config = StoreConfig::from_url("redis://h").unwrap();
    let error = config.with_root_certificates("pem").build().unwrap_err();
    assert!(error.to_string().contains("rediss://"), "{error}");
}

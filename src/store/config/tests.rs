use super::*;

fn from(vars: &[(&str, &str)]) -> Result<StoreConfig, ConfigError> {
    StoreConfig::from_vars(|name| {
        vars.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn no_variable_means_embedded_memory() {
    assert!(from(&[]).unwrap().is_memory());
    let shop = from(&[("REDIS_NAMESPACE", "shop"), ("REDIS_TIMEOUT_MS", "20")]).unwrap();
    assert!(shop.is_memory());
    assert_eq!(shop.build().unwrap().namespace(), "shop");
}

#[test]
fn a_piece_without_a_host_is_an_error_that_names_it_and_not_embedded_memory() {
    for name in [
        "REDIS_PORT",
        "REDIS_USERNAME",
        "REDIS_PASSWORD",
        "REDIS_DB",
        "REDIS_POOL_SIZE",
    ] {
        let error = from(&[(name, "77")]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name} is set")), "{error}");
        assert!(error.contains("REDIS_HOST"), "{error}");
        assert!(!error.contains("77"), "{error}");
    }
}

#[cfg(feature = "redis")]
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

#[cfg(all(feature = "redis", unix))]
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

#[cfg(feature = "redis")]
#[test]
fn a_percent_encoded_password_is_decoded() {
    let Target::Redis(info) = StoreConfig::from_url("redis://a%40b:p%40ss%3A%2F%23@h:7/1")
        .unwrap()
        .target
    else {
        panic!("not Redis");
    };
    assert_eq!(info.redis_settings().password(), Some("p@ss:/#"));
    assert_eq!(info.redis_settings().username(), Some("a@b"));
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_server_is_refused_by_a_build_that_cannot_reach_it() {
    for name in ["REDIS_URL", "REDIS_HOST", "REDIS_PASSWORD"] {
        let error = from(&[(name, "localhost")]).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_url_wins_over_the_pieces_and_the_pieces_have_defaults() {
    let config = from(&[("REDIS_HOST", "10.0.0.1"), ("REDIS_USERNAME", "app")]).unwrap();
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

#[cfg(feature = "redis")]
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
fn an_unusable_value_is_named_with_what_would_be_right() {
    let error = from(&[("REDIS_TIMEOUT_MS", "soon")])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "REDIS_TIMEOUT_MS is \"soon\": expected milliseconds, at least 1"
    );
    assert!(StoreConfig::memory().with_namespace("a b").build().is_err());
    assert!(
        StoreConfig::memory()
            .with_deadline(Duration::ZERO)
            .build()
            .is_err()
    );
}

#[test]
fn what_may_be_a_password_is_in_no_error_however_malformed_the_url() {
    for url in [
        "http://app:s3cret@h",
        "rediss://app:s3cret@h:x/0",
        "redis+cluster://:s3cret@a:1,b:x",
        "redis+sentinel://app:s3cret@a:1,b:2",
        "redis+sentinel://app:s3cret@a:1,b:x/master",
        "redis+cluster://app:s3cret@a:1,b:2/3",
        "redis://app:s3cret",
        "redis://:s3cret",
        "redis://app:s3/cret@h:x",
        "redis://app:a@s3cret@h:x",
        "unix:///run/redis.sock?db=x&user=app&pass=s3cret",
        "app:s3cret@h",
        "s3cret",
    ] {
        let error = StoreConfig::from_url(url).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("s3") && !text.contains("cret@"), "{text}");
        assert!(
            text.contains("expected memory") || text.contains("expected redis"),
            "{text}"
        );
    }
}

#[cfg(feature = "redis")]
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

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
    assert!(
        from(&[("REDIS_URL", ""), ("REDIS_PASSWORD", "x")])
            .unwrap()
            .is_memory()
    );
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
    assert_eq!(error, "REDIS_TIMEOUT_MS is \"soon\": expected milliseconds");
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
        "rediss://app:s3cret@h:6380/0",
        "redis+cluster://:s3cret@a:1,b:2",
        "redis+sentinel://app:s3cret@a:1,b:2/master",
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
            text.contains("expected memory") || text.contains("expected redis://"),
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

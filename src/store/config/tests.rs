use super::*;

pub(super) fn from(vars: &[(&str, &str)]) -> Result<StoreConfig, ConfigError> {
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
    for too_short in [Duration::ZERO, Duration::from_micros(999)] {
        let config = StoreConfig::memory().with_deadline(too_short);
        let error = config.build().unwrap_err().to_string();
        assert!(error.contains("at least one millisecond"), "{error}");
        // A handle takes the shortest that there is.
        let store = Store::memory().with_deadline(too_short);
        assert!(format!("{store:?}").contains("deadline: 1ms"), "{store:?}");
    }
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

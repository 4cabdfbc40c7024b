//! The command line.

use super::stand::{Stand, page};
use crate::harness::example::Example;

#[test]
fn help_is_no_error_and_names_every_flag() {
    let output = Example::run("gateway", &["--help"]);
    assert_eq!(output.code, Some(0));
    for flag in [
        "--listen",
        "--store",
        "--namespace",
        "--store-timeout-ms",
        "--upstream",
        "--cache",
        "--cache-name",
        "--max-body",
        "--cache-set-cookie",
        "--limit",
        "--limit-key",
        "--limit-on-store-error",
        "--trusted-hops",
        "--drain",
        "--idle",
        "--upstream-timeout",
    ] {
        assert!(output.stdout.contains(flag), "{flag}");
    }
}

#[test]
fn a_wrong_value_is_one_line_that_says_what_would_be_right() {
    for (flag, value, right) in [
        ("--upstream", "https://h", "http://HOST:PORT"),
        ("--upstream", "http://h/path", "without a path"),
        ("--upstream", "http://user:pw@h", "http://HOST:PORT"),
        ("--cache", "maybe", "on, off"),
        ("--cache-set-cookie", "eat", "refuse, strip, store"),
        ("--max-body", "big", "digit"),
        ("--limit", "burst", "\"burst\";q=5;w=10"),
        ("--limit", "\"burst\";q=5;w=10;alg=leaky", "gcra"),
        ("--limit-key", "cookie", "ip, global or header:NAME"),
        ("--limit-key", "header:a b", "ip, global or header:NAME"),
        ("--limit-on-store-error", "panic", "local, allow, deny"),
        ("--trusted-hops", "-1", "digit"),
        ("--drain", "soon", "whole number of seconds"),
        ("--idle", "0", "at least 1"),
        ("--upstream-timeout", "1m", "whole number of seconds"),
        ("--cache-name", "caché", "visible ASCII"),
        ("--namespace", "a b", "a-z"),
        ("--store", "mysql://app:s3cret@h", "redis://"),
    ] {
        let wrong = format!("{flag}={value}");
        let upstream = ["--upstream=http://h"];
        let arguments: Vec<&str> = match flag {
            "--upstream" => vec![&wrong],
            _ => upstream.into_iter().chain([&*wrong]).collect(),
        };
        let output = Example::run("gateway", &arguments);
        assert_eq!(output.code, Some(2), "{wrong}: {}", output.stderr);
        let error = output
            .stderr
            .trim_end()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned();
        assert!(
            error.contains(flag) && error.contains(right),
            "{wrong}: {error}"
        );
        assert!(!output.stderr.contains("s3cret"), "{error}");
    }
}

#[test]
fn the_same_policy_name_twice_is_refused() {
    let twice = ["--limit", "\"a\";q=1;w=1", "--limit", "\"a\";q=2;w=2"];
    let output = Example::run(
        "gateway",
        &[&["--upstream", "http://h"], &twice[..]].concat(),
    );
    assert_eq!(output.code, Some(2));
    assert!(
        output.stderr.contains("--limit") && output.stderr.contains("\"a\""),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn a_signal_ends_it_without_an_error() {
    let mut stand = Stand::start(&[], page);
    stand.client().get("/").await;
    assert_eq!(stand.gateway.terminate(), Some(0));
}

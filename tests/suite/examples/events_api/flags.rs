//! The command line.

use http::StatusCode;

use super::stand::{Api, Stand};
use crate::harness::{client::Client, example::Example, port};

#[test]
fn help_is_no_error_and_names_every_flag() {
    let output = Example::run("events_api", &["--help"]);
    assert_eq!(output.code, Some(0));
    for flag in [
        "--listen",
        "--store",
        "--namespace",
        "--store-timeout-ms",
        "--limit",
        "--login-limit",
        "--insecure-cookies",
        "--session-idle",
        "--session-absolute",
        "--session-grace",
        "--session-bytes",
        "--db-delay-ms",
    ] {
        assert!(output.stdout.contains(flag), "{flag}");
    }
}

#[test]
fn a_wrong_value_is_one_line_that_says_what_would_be_right() {
    for (flag, value, right) in [
        ("--limit", "burst;q=5;w=10", "\"burst\";q=5;w=10"),
        ("--limit", "\"burst\";q=5", "w"),
        ("--login-limit", "\"login\";q=0;w=60", "1 to"),
        ("--session-idle", "0", "0.001"),
        ("--session-absolute", "-1", "seconds"),
        ("--session-grace", "3601", "0 to 3600"),
        ("--session-grace", "soon", "seconds"),
        ("--session-bytes", "0", "1 to 16777216"),
        ("--session-bytes", "64k", "bytes"),
        ("--db-delay-ms", "1.5", "milliseconds"),
        ("--store-timeout-ms", "0", "at least 1"),
        ("--store", "mysql://localhost", "redis://"),
        ("--listen", "nowhere", "nowhere"),
    ] {
        let output = Example::run("events_api", &[&format!("{flag}={value}")]);
        assert_eq!(output.code, Some(2), "{flag} {value}: {}", output.stderr);
        let error = output.stderr.trim_end();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(flag) && error.contains(right), "{error}");
    }
}

#[tokio::test]
async fn a_signal_ends_it_without_an_error() {
    for mut stand in [Stand::memory(), Stand::redis().await] {
        stand.client().get("/events").await;
        assert_eq!(stand.example().terminate(), Some(0));
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_it_ends() {
    let mut stand = Stand::memory();
    stand.restart(&["--db-delay-ms", "500"]);
    let client = stand.client();
    let request = tokio::spawn(async move { client.status("/users/1").await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(stand.example().terminate(), Some(0));
    assert_eq!(request.await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn an_unreachable_redis_does_not_keep_it_from_starting() {
    let url = format!("redis://app:s3cret@127.0.0.1:{}/", port::free_port());
    let mut example = Example::start("events_api", &["--store", &url]);
    let client = Client::http1(example.addr());
    assert_eq!(client.status("/events").await, StatusCode::OK);
    assert_eq!(
        client.login("ada").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(example.terminate(), Some(0));
    assert!(!example.log().contains("s3cret"), "{}", example.log());
}

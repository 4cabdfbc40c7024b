//! Which site a request is for: said once, or refused.

use http::{Method, Request, StatusCode};

use super::stand::{Stand, echo, get_with};
use crate::harness::{body, redis::RedisServer};

const BAD: &str = "HTTP/1.1 400 ";

#[tokio::test]
async fn an_absolute_target_replaces_host_for_the_upstream_and_for_the_cache() {
    let redis = RedisServer::start();
    for stand in [Stand::start(&[], echo), Stand::on_redis(&redis, &[], echo)] {
        let attack = "GET http://victim.example/p HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
        let answer = stand.raw(attack).await;
        assert!(answer.contains("\nhost: victim.example\n"), "{answer}");
        assert!(!answer.contains("evil.example"), "{answer}");

        let victim = get_with(&stand.client(), "/p", "host", "Victim.Example").await;
        assert!(victim.header("cache-status").unwrap().contains("hit"));
        assert!(victim.text().contains("\nhost: victim.example\n"));
        let evil = get_with(&stand.client(), "/p", "host", "evil.example").await;
        assert!(evil.text().contains("\nhost: evil.example\n"));
        assert_eq!(stand.origin.hits(), 2);
    }
}

#[tokio::test]
async fn an_absolute_target_without_a_path_is_the_root() {
    let stand = Stand::start(&[], echo);
    for (target, sent_on) in [
        ("http://a.example", "GET /\n"),
        ("http://a.example?q", "GET /?q\n"),
    ] {
        let answer = stand
            .raw(format!(
                "GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert!(answer.contains(sent_on), "{answer}");
    }
    let root = get_with(&stand.client(), "/?q", "host", "a.example").await;
    assert!(
        root.header("cache-status").unwrap().contains("hit"),
        "{root:?}"
    );
}

#[tokio::test]
async fn a_request_without_exactly_one_valid_host_is_refused() {
    let stand = Stand::start(&[], echo);
    for hosts in [
        "",
        "Host: a.example\r\nHost: b.example\r\n",
        "Host: a.example\r\nHost: a.example\r\n",
        "Host: a.example\r\nhOsT: b.example\r\n",
        "Host:\r\n",
        "Host: a b/../c\r\n",
        "Host: a/b\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: a\\b\r\n",
        "Host: user@a.example\r\n",
        "Host: a.example:http\r\n",
        "Host: a.example:65536\r\n",
        "Host: a.example:80:80\r\n",
        "Host: :80\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
        "Host: [::1]x\r\n",
        "Host: [fe80::1%25eth0]\r\n",
        "Host: [a.example]\r\n",
        "Host: a%2\r\n",
        "Host: a%zz\r\n",
        "Host: \"a\"\r\n",
        "Host: <a>\r\n",
        "Host: a, b\r\n",
    ] {
        for target in ["/p", "http://victim.example/p"] {
            let answer = stand
                .raw(format!(
                    "GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"
                ))
                .await;
            assert!(answer.starts_with(BAD), "{target} {hosts:?}: {answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
            assert!(answer.contains("\"status\":400"), "{answer}");
        }
    }
    let obs_text = b"GET /p HTTP/1.1\r\nHost: caf\xe9.example\r\nConnection: close\r\n\r\n";
    assert!(stand.raw(obs_text).await.starts_with(BAD));
    assert_eq!(stand.origin.hits(), 0);
}

#[tokio::test]
async fn every_host_of_the_grammar_is_accepted_and_sent_on_as_it_came() {
    let stand = Stand::start(&[], echo);
    for host in [
        "a",
        "A.Example",
        "a.example:8080",
        "a.example:",
        "192.0.2.1",
        "192.0.2.1:80",
        "[::1]",
        "[2001:db8::1]:80",
        "[::ffff:192.0.2.1]",
        "under_score.example",
        "a%41.example",
        "a-b.c~d!$&'()*+,;=",
    ] {
        let answer = stand
            .raw(format!(
                "GET /p HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
        assert!(
            answer.contains(&format!("\nhost: {host}\n")),
            "{host}: {answer}"
        );
    }
}

#[tokio::test]
async fn the_default_port_is_a_name_of_its_own() {
    let stand = Stand::start(&[], echo);
    let client = stand.client();
    for host in ["a.example", "a.example:80"] {
        let reply = get_with(&client, "/p", "host", host).await;
        assert!(reply.text().contains(&format!("\nhost: {host}\n")));
    }
    assert_eq!(stand.origin.hits(), 2);
}

#[tokio::test]
async fn over_http_2_authority_and_host_have_to_agree() {
    let stand = Stand::start(&[], echo);
    let client = stand.h2c();
    let authority = stand.gateway.addr().to_string();
    let ask = async |host: &str| get_with(&client, "/p", "host", host).await;
    assert_eq!(ask(&authority).await.status, StatusCode::OK);
    for host in ["evil.example", "", "a b"] {
        let refused = ask(host).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{host:?}");
        assert_eq!(
            refused.header("content-type"),
            Some("application/problem+json")
        );
    }
    let twice = Request::get("/p")
        .header("host", &authority)
        .header("host", &authority);
    let twice = client.send(twice.body(body::empty()).unwrap()).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    let hit = get_with(&stand.client(), "/p", "host", &authority).await;
    assert!(hit.header("cache-status").unwrap().contains("hit"));
    assert_eq!(stand.origin.hits(), 1);
}

#[tokio::test]
async fn an_http_1_0_request_may_name_no_host_and_is_for_the_upstream_itself() {
    let stand = Stand::start(&[], echo);
    let upstream = stand.origin.addr();
    let answer = stand.raw("GET /p HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.contains(&format!("\nhost: {upstream}\n")),
        "{answer}"
    );
    assert!(answer.contains("\nvia: 1.0 tower-keep\n"), "{answer}");
    let hit = get_with(&stand.client(), "/p", "host", &upstream.to_string()).await;
    assert!(
        hit.header("cache-status").unwrap().contains("hit"),
        "{hit:?}"
    );

    let named = stand.raw("GET http://a.example/p HTTP/1.0\r\n\r\n").await;
    assert!(named.contains("\nhost: a.example\n"), "{named}");
    for hosts in ["Host: a b\r\n", "Host: a\r\nHost: b\r\n", "Host:\r\n"] {
        let answer = stand.raw(format!("GET /p HTTP/1.0\r\n{hosts}\r\n")).await;
        assert!(answer.contains(" 400 "), "{hosts:?}: {answer}");
    }
}

#[tokio::test]
async fn targets_of_no_form_that_the_method_may_have_are_refused() {
    let stand = Stand::start(&[], echo);
    for line in [
        "GET p",
        "GET victim.example:80",
        "GET *",
        "POST *",
        "GET ftp://a.example/p",
        "GET http://user:secret@a.example/p",
        "GET http://a.example:99999/p",
        "OPTIONS p",
    ] {
        let answer = stand
            .raw(format!(
                "{line} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert!(answer.starts_with(BAD), "{line}: {answer}");
        assert!(!answer.contains("secret"), "{answer}");
    }
    assert_eq!(stand.origin.hits(), 0);
    let whole = stand
        .raw("OPTIONS * HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        .await;
    assert!(whole.contains("OPTIONS *\n"), "{whole}");
}

#[tokio::test]
async fn a_scheme_in_the_target_makes_no_second_page() {
    let stand = Stand::start(&[], echo);
    for target in ["/p", "http://a.example/p", "https://a.example/p"] {
        stand
            .raw(format!(
                "GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
            ))
            .await;
    }
    assert_eq!(stand.origin.hits(), 1);
}

#[tokio::test]
async fn connect_is_not_for_a_reverse_proxy() {
    let stand = Stand::start(&[], echo);
    let upstream = stand.origin.addr();
    let answer = stand
        .raw(format!(
            "CONNECT {upstream} HTTP/1.1\r\nHost: {upstream}\r\nConnection: close\r\n\r\n"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert_eq!(stand.origin.hits(), 0);
}

#[tokio::test]
async fn a_refused_target_ends_the_connection_and_what_is_pipelined_behind_it() {
    let stand = Stand::start(&[], echo);
    let answer = stand
        .raw("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nHost: a.example\r\n\r\n")
        .await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert_eq!(stand.origin.hits(), 0);
}

#[tokio::test]
async fn a_write_to_one_name_does_not_drop_the_pages_of_another() {
    let stand = Stand::start(&[], echo);
    let client = stand.client();
    get_with(&client, "/p", "host", "victim.example").await;
    let attack = "POST http://evil.example/p HTTP/1.1\r\nHost: victim.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stand.raw(attack).await;
    let still = get_with(&client, "/p", "host", "victim.example").await;
    assert!(
        still.header("cache-status").unwrap().contains("hit"),
        "{still:?}"
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_each_with_its_own_site() {
    let stand = Stand::start(&[], echo);
    let answer = stand
        .raw(concat!(
            "GET /1 HTTP/1.1\r\nHost: one.example\r\n\r\n",
            "GET http://two.example/2 HTTP/1.1\r\nHost: one.example\r\n\r\n",
            "GET /1 HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n",
        ))
        .await;
    let sites: Vec<_> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("host: "))
        .collect();
    assert_eq!(sites, ["one.example", "two.example", "one.example"]);
}

#[tokio::test]
async fn health_is_for_http_without_a_host_too() {
    let stand = Stand::start(&[], echo);
    let answer = stand.raw("GET /_health/live HTTP/1.0\r\n\r\n").await;
    assert!(answer.contains(" 200 "), "{answer}");
    assert_eq!(
        stand
            .client()
            .ask(Method::GET, "/_health/live")
            .await
            .status,
        StatusCode::OK
    );
}

//! Requests that do not say for certain which site they are for.

use http::Request;

use super::{
    on_all_stores,
    stand::{Reply, Site, Stand, request},
};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

/// A GET of `uri` with these `Host` lines.
async fn ask(site: &Site, method: &str, uri: &str, hosts: &[&[u8]]) -> Reply {
    let mut request = Request::builder().method(method).uri(uri);
    for host in hosts {
        request = request.header("host", *host);
    }
    let response = site.open(request.body(String::new()).unwrap()).await;
    Reply::of(response.unwrap()).await.unwrap()
}

on_all_stores!(
    two_names_in_one_request_are_neither_answered_nor_stored,
    a_write_under_two_names_drops_nothing,
    names_that_agree_are_one_page,
    an_invalid_name_is_neither_answered_nor_stored,
);

async fn two_names_in_one_request_are_neither_answered_nor_stored(stand: Stand) {
    let site = stand.counting(FRESH);
    let uri = "http://victim.example/p";
    for hosts in [
        &[&b"evil.example"[..]][..],
        &[b"victim.example", b"evil.example"],
        &[b"victim.example", b"victim.example"],
        &[b"victim.example:80"],
    ] {
        let reply = ask(&site, "GET", uri, hosts).await;
        assert_eq!(
            reply.cache_status(),
            "fwd=bypass; fwd-status=200",
            "{hosts:?}"
        );
    }
    let own = ask(&site, "GET", uri, &[]).await;
    assert_eq!(own.body, "5");
    let reply = ask(&site, "GET", uri, &[b"evil.example"]).await;
    assert_eq!(reply.body, "6", "what is stored does not answer it");
    let again = ask(&site, "GET", uri, &[]).await;
    assert!(again.is_hit() && again.body == "5", "{again:?}");
}

async fn a_write_under_two_names_drops_nothing(stand: Stand) {
    let site = stand.counting(FRESH);
    let uri = "http://victim.example/p";
    ask(&site, "GET", uri, &[]).await;
    ask(&site, "POST", uri, &[b"evil.example"]).await;
    ask(&site, "POST", "http://evil.example/p", &[b"victim.example"]).await;
    assert!(ask(&site, "GET", uri, &[]).await.is_hit());
    ask(&site, "POST", uri, &[b"Victim.Example"]).await;
    assert!(!ask(&site, "GET", uri, &[]).await.is_hit());
}

async fn names_that_agree_are_one_page(stand: Stand) {
    let site = stand.counting(FRESH);
    ask(&site, "GET", "/p", &[b"Site.Example"]).await;
    for (uri, hosts) in [
        ("http://site.example/p", &[][..]),
        ("http://site.example/p", &[&b"SITE.example"[..]]),
        ("/p", &[b"site.example"]),
    ] {
        assert!(
            ask(&site, "GET", uri, hosts).await.is_hit(),
            "{uri} {hosts:?}"
        );
    }
    // A request that names no site at all, as in a test of a router, is certain too.
    ask(&site, "GET", "/p", &[]).await;
    assert!(ask(&site, "GET", "/p", &[]).await.is_hit());
    assert_eq!(site.hits(), 2);
}

async fn an_invalid_name_is_neither_answered_nor_stored(stand: Stand) {
    let site = stand.counting(FRESH);
    for host in [
        &b"a b/../c"[..],
        b"",
        b"user@a",
        b"a:b",
        b"a:65536",
        b"[::1",
        b"caf\xe9",
    ] {
        for _ in 0..2 {
            let reply = ask(&site, "GET", "/p", &[host]).await;
            assert_eq!(
                reply.cache_status(),
                "fwd=bypass; fwd-status=200",
                "{host:?}"
            );
        }
    }
    for uri in ["http://user:secret@a.example/p", "a.example:80"] {
        for _ in 0..2 {
            let reply = ask(&site, "GET", uri, &[]).await;
            assert_eq!(
                reply.cache_status(),
                "fwd=bypass; fwd-status=200",
                "{uri:?}"
            );
        }
    }
    let sane = site.open(request("GET", "/p", &[])).await.unwrap();
    assert!(!Reply::of(sane).await.unwrap().is_hit());
}

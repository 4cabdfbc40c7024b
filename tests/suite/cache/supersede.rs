//! Which answers show that what is stored is out of date, and which are only about their request.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http::Request;
use tokio::task::JoinSet;

use super::{
    on_all_stores,
    stand::{Site, Stand, ok, status},
};

on_all_stores!(
    an_answer_about_the_request_drops_nothing,
    an_answer_about_the_request_does_not_replace_what_is_fresh,
    an_answer_about_the_request_does_not_end_collapsing,
    an_answer_about_the_target_supersedes_what_is_stored,
    a_response_for_one_client_drops_nothing,
);

/// The client errors, but those that deny the resource to everybody; temporary redirections and
/// failures of the server.
const ABOUT_REQUEST: [u16; 41] = [
    302, 303, 307, 400, 401, 402, 403, 405, 406, 407, 408, 409, 411, 412, 413, 414, 415, 416, 417,
    418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 444, 499, 500, 501, 502, 503, 504, 505, 507,
    508, 511, 599,
];
const ABOUT_TARGET: [u16; 9] = [200, 203, 204, 300, 301, 308, 404, 410, 451];

/// A site with English and German pages, which answers a request with the field `provoke` with
/// that status and these directives.
fn provokable(stand: &Stand, cache_control: &'static str) -> Site {
    stand.site(move |request: Request<String>| async move {
        let code = request.headers().get("provoke");
        Ok(match code {
            Some(code) => status(
                code.to_str().unwrap().parse().unwrap(),
                &[("cache-control", cache_control)],
            ),
            None => ok(
                &[
                    ("cache-control", "max-age=600"),
                    ("vary", "accept-language"),
                ],
                "page",
            ),
        })
    })
}

async fn provoke(site: &Site, path: &str, code: u16) {
    let code = code.to_string();
    let lines = [
        ("cache-control", "no-cache"),
        ("accept-language", "en"),
        ("provoke", &code),
    ];
    let reply = site.send("GET", path, &lines).await;
    assert_eq!(reply.status.to_string(), code);
}

async fn an_answer_about_the_request_drops_nothing(stand: Stand) {
    for cache_control in ["no-store", "private", "max-age=0"] {
        let site = provokable(&stand, cache_control);
        let languages = ["en", "de"].map(|language| [("accept-language", language)]);
        for lines in &languages {
            site.send("GET", "/", lines).await;
        }
        for code in ABOUT_REQUEST {
            provoke(&site, "/", code).await;
            let hits = site.hits();
            for lines in &languages {
                let reply = site.send("GET", "/", lines).await;
                assert!(reply.is_hit(), "{code}: {}", reply.cache_status());
            }
            assert_eq!(site.hits(), hits, "{code} {cache_control}");
        }
    }
}

async fn an_answer_about_the_request_does_not_replace_what_is_fresh(stand: Stand) {
    let site = provokable(&stand, "public, max-age=60");
    let lines = [("accept-language", "en")];
    site.send("GET", "/", &lines).await;
    stand.advance(Duration::from_secs(1)).await;
    for code in ABOUT_REQUEST {
        provoke(&site, "/", code).await;
        let reply = site.send("GET", "/", &lines).await;
        assert!(reply.is_hit() && reply.status == 200, "{code}");
    }
}

async fn an_answer_about_the_request_does_not_end_collapsing(stand: Stand) {
    for code in ABOUT_REQUEST {
        let site = stand.site(move |request: Request<String>| async move {
            if request.headers().contains_key("provoke") {
                return Ok(status(code, &[("cache-control", "no-store")]));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(ok(&[("cache-control", "max-age=60")], "page"))
        });
        let path = format!("/{code}");
        provoke(&site, &path, code).await;
        let mut crowd = JoinSet::new();
        for _ in 0..10 {
            let (site, path) = (site.clone(), path.clone());
            crowd.spawn(async move { site.get(&path).await });
        }
        let replies = crowd.join_all().await;
        assert!(replies.iter().all(|reply| reply.body == "page"));
        assert_eq!(site.hits(), 2, "{code}");
    }
}

async fn an_answer_about_the_target_supersedes_what_is_stored(stand: Stand) {
    for code in ABOUT_TARGET {
        let site = provokable(&stand, "no-store");
        let path = format!("/{code}");
        let lines = [("accept-language", "en")];
        site.send("GET", &path, &lines).await;
        assert!(site.send("GET", &path, &lines).await.is_hit());
        provoke(&site, &path, code).await;
        let mut tries = 0;
        // It goes off the response's path.
        while site.send("GET", &path, &lines).await.is_hit() {
            tries += 1;
            assert!(tries < 1000, "{code}: still there");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn a_response_for_one_client_drops_nothing(stand: Stand) {
    let count = AtomicUsize::new(0);
    let site = stand.site(move |request: Request<String>| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            let fresh = ("cache-control", "public, max-age=60");
            Ok(match request.headers().contains_key("x-new-visitor") {
                true => ok(&[fresh, ("set-cookie", "id=1")], "welcome"),
                false => ok(&[fresh], "page"),
            })
        }
    });
    site.get("/").await;
    let lines = [("cache-control", "no-cache"), ("x-new-visitor", "1")];
    let own = site.send("GET", "/", &lines).await;
    assert_eq!(
        (&*own.body, own.field("set-cookie")),
        ("welcome", vec!["id=1"])
    );
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let hit = site.get("/").await;
    assert!(hit.is_hit() && hit.body == "page");
}

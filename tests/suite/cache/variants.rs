//! The variants of one URI share the room that embedded memory has for it.

use http::Request;
use tower_keep::{Store, cache::CacheLayer, store::MemoryLimits};

use super::stand::{Origin, Site, ok, with};
use crate::harness::body;

const FRESH: (&str, &str) = ("cache-control", "max-age=600");

fn memory(bytes: usize) -> CacheLayer {
    tokio::time::pause();
    let mut limits = MemoryLimits::default();
    limits.responses = bytes;
    CacheLayer::new(Store::memory_within(&limits))
}

#[tokio::test]
async fn variants_over_the_budget_push_out_the_oldest_and_not_the_uri() {
    let layer = memory(4 << 20);
    let origin = Origin::new(|_: Request<String>| async {
        Ok(ok(&[FRESH, ("vary", "x")], vec![b'a'; 200_000]))
    });
    let site = Site::of(&layer, origin);
    for n in 0..30 {
        let variant = [("x", &*n.to_string())];
        assert!(!site.send("GET", "/", &variant).await.is_hit());
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        assert!(site.send("GET", "/", &variant).await.is_hit(), "{n}");
    }
    assert!(!site.send("GET", "/", &[("x", "0")]).await.is_hit());
}

#[tokio::test]
async fn a_variant_that_does_not_fit_leaves_the_others() {
    let layer = memory(1 << 20);
    let origin = Origin::new(|request: Request<String>| async move {
        if request.headers()["x"] == "small" {
            return Ok(ok(&[FRESH, ("vary", "x")], "small"));
        }
        // Of unknown length, and within the longest body.
        let (mut sender, body) = body::stream();
        tokio::spawn(async move {
            for _ in 0..9 {
                sender.send_data(vec![b'a'; 100_000].into()).await.unwrap();
            }
        });
        Ok(with(&[FRESH, ("vary", "x")], body))
    });
    let site = Site::of(&layer, origin);
    site.send("GET", "/", &[("x", "small")]).await;
    let large = site.send("GET", "/", &[("x", "large")]).await;
    assert_eq!(large.body.len(), 900_000);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert!(site.send("GET", "/", &[("x", "small")]).await.is_hit());
}

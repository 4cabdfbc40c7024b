//! Bans: the arithmetic of both halves, and what a client sees.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tower_keep::rate_limit::BanPolicy;

use super::halves::algorithm::{Ban, BanState};
use super::halves::{Halves, START};
use super::{in_memory, limited, request, statuses};

const SECOND: u64 = 1_000_000;

#[tokio::test(start_paused = true)]
async fn a_ban_is_told_as_abnormal_usage_with_its_end() {
    let (within, lasting) = (Duration::from_secs(60), Duration::from_secs(600));
    let ban = BanPolicy::new("abuse", 2, within, lasting).unwrap();
    let service = limited(&in_memory(r#""burst";q=1;w=10"#).with_ban(ban).unwrap());
    assert_eq!(statuses(&service, 2).await, [200, 429]);
    let banned = request(&service).await;
    assert_eq!(banned.status, 429);
    assert_eq!(banned.retry_after(), Some(600));
    assert_eq!(
        banned.json(),
        json!({
            "type": "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
            "title": "Request cannot be satisfied due to abnormal usage patterns",
            "status": 429,
            "violated-policies": ["abuse", "burst"],
        })
    );
    // Long after the limit has replenished, until the moment that was told.
    tokio::time::advance(Duration::from_secs(599)).await;
    let banned = request(&service).await;
    assert_eq!(
        (banned.status.as_u16(), banned.retry_after()),
        (429, Some(1))
    );
    assert_eq!(banned.json()["violated-policies"], json!(["abuse"]));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(request(&service).await.status, 200);
}

#[test]
fn a_clock_that_steps_back_prolongs_no_ban_by_more_than_its_length() {
    let halves = Halves::new();
    let ban = Ban {
        denials: 1,
        window: 60 * SECOND,
        first: 100 * SECOND,
        longest: 86_400 * SECOND,
    };
    halves.deny("ada", &ban, START);
    let mut state = Some(ban.deny(None, START).0);
    let back = START - 3_600 * SECOND;
    // Each of the banned requests would see the end an hour ahead, were it not cut.
    for elapsed in 0..100 {
        let now = back + elapsed * SECOND;
        let left = (100 - elapsed) * SECOND;
        assert_eq!(ban.standing(state, now).left, left);
        assert_eq!(halves.deny("ada", &ban, now), [left, 0, 1]);
        state = Some(ban.deny(state, now).0);
    }
    let now = back + 100 * SECOND;
    assert_eq!(ban.standing(state, now).left, 0);
    assert_eq!(halves.deny("ada", &ban, now)[0], 0);
}

/// Time goes on in any steps, also back; each step is a denial.
#[test]
fn both_halves_agree_on_bans() {
    let ban = (1..5_u64, 20..200_u64, 20..200_u64, 1..10_u64);
    let steps = proptest::collection::vec(-0.2..1.0_f64, 1..40);
    let halves = std::cell::RefCell::new((Halves::new(), 0));
    let run = |((denials, window, first, longest), steps): ((u64, u64, u64, u64), Vec<f64>)| {
        let (halves, count) = &mut *halves.borrow_mut();
        *count += 1;
        let ban = Ban {
            denials,
            window: window * SECOND,
            first: first * SECOND,
            longest: first * longest * SECOND,
        };
        let (mut now, mut state): (u64, Option<BanState>) = (START, None);
        for step in steps {
            now = now.saturating_add_signed((step * ban.window.max(ban.first) as f64) as i64);
            let standing = ban.standing(state, now);
            let told = halves.deny(&count.to_string(), &ban, now);
            prop_assert_eq!(told, [standing.left, standing.denials, standing.bans]);
            state = Some(ban.deny(state, now).0);
            let fields = ["until", "ends", "denials", "bans"];
            let stored = halves.ban_fields(&count.to_string(), fields);
            let state = state.unwrap_or_default();
            prop_assert_eq!(stored, [state.until, state.ends, state.denials, state.bans]);
        }
        Ok(())
    };
    TestRunner::new(Config::with_cases(150))
        .run(&(ban, steps), run)
        .unwrap();
    halves.borrow().0.redis().assert_every_key_has_a_ttl();
}

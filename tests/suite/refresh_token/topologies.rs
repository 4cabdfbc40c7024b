//! The same on a cluster and behind sentinels: a server for all tests, which each finds empty.

use std::sync::Arc;

use super::{bindings, bounds, grace, lifetimes, races, reuse, revocation, rotation, stand::Stand};
use crate::harness::redis::{RedisCluster, RedisSentinel};

macro_rules! each {
    ($stand:expr, $($room:ident: $($test:ident),*;)*) => {
        $($( $room::$test($stand.await).await; )*)*
    };
}

macro_rules! all {
    ($stand:expr) => {
        each!(
            $stand,
            rotation: a_token_is_exchanged_for_another_again_and_again,
                a_rotation_says_whom_the_token_is_for,
                ids_of_any_script_are_fine;
            reuse: a_retired_token_after_the_grace_revokes_its_family_the_newest_token_included,
                a_token_two_generations_old_revokes_its_family_within_the_grace,
                other_families_live_on,
                the_event_says_whose_token_it_was_and_comes_once,
                without_a_grace_the_second_use_revokes;
            grace: within_the_grace_the_successor_is_the_same,
                two_processes_that_share_only_the_store_give_the_same_successor;
            bindings: another_client_is_refused_and_the_token_is_not_consumed,
                a_wider_scope_is_refused_and_the_token_is_not_consumed;
            lifetimes: rotation_extends_the_idle_lifetime_and_not_the_absolute_one,
                every_key_ends_with_the_last_family_in_it;
            revocation: revoking_a_token_ends_its_family_and_is_idempotent,
                a_device_is_revoked_alone,
                a_user_is_revoked_alone,
                a_list_shows_the_families_that_live_the_last_used_first;
            bounds: one_family_too_many_ends_the_one_that_was_not_used_for_longest;
            races: fifty_rotations_at_once_give_one_successor,
                without_a_grace_one_of_fifty_succeeds,
                a_rotation_that_races_the_revocation_of_its_user_leaves_nothing,
                logins_at_once_stay_within_the_bound;
        )
    };
}

#[tokio::test]
async fn refresh_tokens_are_the_same_on_a_cluster() {
    let cluster = Arc::new(RedisCluster::start());
    all!(Stand::cluster(&cluster));
}

#[tokio::test]
async fn refresh_tokens_are_the_same_behind_sentinels() {
    let group = Arc::new(RedisSentinel::start());
    all!(Stand::sentinel(&group));
}

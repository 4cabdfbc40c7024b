//! Keys at which something stands that this service did not write.

use tower_keep::key_value::USER_DATA_TTL;

use super::stand::{Database, Stand, user};

crate::harness::on_every_redis!(
    a_value_of_another_redis_type_is_a_miss_which_a_load_heals,
    a_value_of_another_redis_type_is_overwritten_and_deleted,
    a_lease_of_another_redis_type_is_replaced_by_the_next_load,
    a_lease_that_becomes_another_redis_type_makes_a_value_that_is_not_stored,
);

const VALUE: &str = "keep:user:1";
const LEASE: &str = "keep:lease:{keep:user:1}";
/// Ways to put something else there than a string.
const OTHER_TYPES: [&[&str]; 4] = [
    &["HSET", "", "field", "1"],
    &["RPUSH", "", "1"],
    &["SADD", "", "1"],
    &["ZADD", "", "1", "1"],
];

/// Puts each of them at `key` in turn, for a minute.
async fn with_each_type(stand: &mut Stand, key: &str, mut test: impl AsyncFnMut(&mut Stand)) {
    for command in OTHER_TYPES {
        let mut command = command.to_vec();
        command[1] = key;
        let server = stand.server();
        server.command(&["DEL", VALUE, LEASE]);
        server.command(&command);
        server.command(&["PEXPIRE", key, "60000"]);
        test(stand).await;
        stand.server().assert_every_key_has_a_ttl();
    }
}

async fn a_value_of_another_redis_type_is_a_miss_which_a_load_heals(mut stand: Stand) {
    with_each_type(&mut stand, VALUE, async |stand| {
        assert_eq!(stand.get("1").await, None);
        let database = Database::open("Ada");
        for _ in 0..2 {
            let loaded = database.through(&stand.users, "1").await;
            assert_eq!(loaded.unwrap(), user("Ada"));
        }
        assert_eq!(database.calls(), 1);
        assert_eq!(stand.get("1").await, Some(user("Ada")));
    })
    .await;
}

async fn a_value_of_another_redis_type_is_overwritten_and_deleted(mut stand: Stand) {
    with_each_type(&mut stand, VALUE, async |stand| {
        let users = &stand.users;
        users.set(1, &user("Ada"), USER_DATA_TTL).await.unwrap();
        assert_eq!(stand.get("1").await, Some(user("Ada")));
    })
    .await;
    with_each_type(&mut stand, VALUE, async |stand| {
        assert!(stand.users.exists(1).await.unwrap());
        assert!(stand.users.del(1).await.unwrap());
        assert!(!stand.users.exists(1).await.unwrap());
    })
    .await;
}

async fn a_lease_of_another_redis_type_is_replaced_by_the_next_load(mut stand: Stand) {
    with_each_type(&mut stand, LEASE, async |stand| {
        let database = Database::open("Ada");
        database.through(&stand.users, "1").await.unwrap();
        assert_eq!(stand.get("1").await, Some(user("Ada")));
        assert_eq!(stand.server().keys("*"), [VALUE]);
    })
    .await;
}

async fn a_lease_that_becomes_another_redis_type_makes_a_value_that_is_not_stored(
    mut stand: Stand,
) {
    with_each_type(&mut stand, LEASE, async |stand| {
        let database = Database::closed("Ada");
        let load = database.spawn_through(&stand.users, "1");
        database.has_begun().await;
        let server = stand.server();
        server.command(&["SET", LEASE, "foreign", "PX", "60000"]);
        database.let_go_on();
        assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
        assert!(!stand.users.exists(1).await.unwrap());
    })
    .await;
}

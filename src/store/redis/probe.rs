//! Telling a server that is silent from a connection that is, before the deadline of a call.
//!
//! A large reply holds up all others on its lane, and a connection may be dead without a word.
//! Neither says anything of the server. So when half of a call's deadline has passed, every lane
//! is asked for a sign of life, and if none gives one, a connection of the pool that carries
//! nothing else. What answers there takes the place of a lane that does not.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    claim::{Claim, Ticket},
    handshake::check,
    server::Redis,
};
use crate::store::state::StoreState;

/// The pause after a connection that was made in vain, because a lane answered after all.
const PAUSE: Duration = Duration::from_secs(1);

impl Redis {
    /// Looks for a sign of life, for as long as `patience`. One look at a time.
    pub(super) fn look(self: &Arc<Self>, patience: Duration) {
        if self.state_of_connections() != StoreState::Ready
            || self.lanes.all_replied_within(patience)
        {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && let Some(ticket) = self.looking.take()
        {
            let look = Look {
                redis: self.clone(),
                ticket,
            };
            runtime.spawn(async move {
                // Whatever still waits is dropped with it.
                let _ = timeout(patience, look.run(patience)).await;
            });
        }
    }
}

struct Look {
    redis: Arc<Redis>,
    ticket: Ticket,
}

impl Drop for Look {
    fn drop(&mut self) {
        let claim: &Claim = &self.redis.looking;
        claim.give_back(&self.ticket);
    }
}

impl Look {
    async fn run(self, patience: Duration) {
        let began = self.redis.lanes.age();
        for lane in self.redis.lanes.iter() {
            if let Some(link) = lane.get() {
                link.suspect();
                let redis = self.redis.clone();
                // On its own: a look ends before the lanes' last chance to answer.
                tokio::spawn(async move {
                    if let Ok(Ok(_)) = timeout(patience, check(&mut link.connection())).await {
                        redis.lanes.replied(&link);
                    }
                });
            }
        }
        // Whether the lanes answer is known soon, as a rule.
        tokio::time::sleep(patience / 4).await;
        if !self.redis.lanes.any_replied_since(began) && self.redis.may_connect_to_look() {
            self.connect(began).await;
        }
    }

    async fn connect(&self, began: u64) {
        let redis = &self.redis;
        redis.connected_to_look(PAUSE);
        let Ok(mut connection) = redis.source.connect().await else {
            return;
        };
        if check(&mut connection).await.is_err() || redis.lanes.any_replied_since(began) {
            return;
        }
        if redis.lanes.replace_silent(began, connection) {
            tracing::info!(target: "tower_keep::store", "a connection to Redis gives no answer while another one does, and is replaced");
            redis.connected_to_look(Duration::ZERO);
        }
    }
}

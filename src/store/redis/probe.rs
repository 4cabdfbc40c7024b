//! Telling a server that is silent from a connection that is, before the deadline of a call.
//!
//! A large reply holds up all others on its lane, and a connection may be dead without a word.
//! Neither says anything of the server. So when half of a call's deadline has passed, every lane
//! is asked for a sign of life, and if none gives one, a connection of the pool that carries
//! nothing else. What answers there takes the place of a lane that does not.
//!
//! A look is also a question of its own: if nothing answers it within the deadline, the server is
//! silent, whether or not the call that caused it is still waited for.

use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use futures_util::future::select;
use tokio::time::{sleep, timeout};

use super::{
    claim::{Claim, Ticket},
    handshake::check,
    server::Redis,
};
use crate::store::state::StoreState;

/// The pause after a connection that was made in vain, because a lane answered after all.
const PAUSE: Duration = Duration::from_secs(1);
/// In how many steps an answer is waited for: a clock that leaps costs one of them.
const STEPS: u32 = 4;

impl Redis {
    /// Looks for a sign of life, for as long as `deadline`, unless every lane has given one
    /// within `lately`. One look at a time.
    pub(super) fn look(self: &Arc<Self>, lately: Duration, deadline: Duration) {
        if self.state_of_connections() != StoreState::Ready || self.lanes.all_replied_within(lately)
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
            runtime.spawn(look.run(deadline));
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
    async fn run(self, deadline: Duration) {
        let began = self.redis.lanes.age();
        let is_answered = || self.redis.lanes.any_replied_since(began);
        for lane in self.redis.lanes.iter() {
            if let Some(link) = lane.get() {
                link.suspect();
                let redis = self.redis.clone();
                // On its own: a look ends before the lanes' last chance to answer.
                tokio::spawn(async move {
                    if let Ok(Ok(_)) = timeout(deadline, check(&mut link.connection())).await {
                        redis.lanes.replied(&link);
                    }
                });
            }
        }
        // Whether the lanes answer is known soon, as a rule.
        sleep(deadline / 8).await;
        // Without a connection of its own it could not tell a silent server from lanes that are.
        if is_answered() || !self.redis.may_connect_to_look() {
            return;
        }
        let silence = async {
            for _ in 0..STEPS {
                sleep(deadline / STEPS).await;
                if is_answered() {
                    return;
                }
            }
            // Unless the connections were lost meanwhile, which the reviver is told of.
            if self.redis.state_of_connections() == StoreState::Ready {
                self.redis.trip(deadline);
            }
        };
        let connected = async {
            self.connect(began).await;
            // Whether that has helped is seen by the other.
            pending::<()>().await;
        };
        // A connection that still waits at the end is dropped.
        select(pin!(silence), pin!(connected)).await;
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

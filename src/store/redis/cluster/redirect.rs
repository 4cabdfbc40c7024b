//! Commands that a server of a cluster does not execute, because another one has their slot.
//!
//! It says so in place of executing them, so that they are sent again, whether or not they
//! would count twice.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::Cluster;
use crate::store::{
    error::{RefusalKind, StoreError},
    redis::{
        access::Address,
        call::Answered,
        command::{Command, Commands},
        reply::{Reply, Results},
        server::Redis,
    },
};

/// How often a command may be sent on.
const HOPS: usize = 64;
/// How often without a pause. A cluster that is well needs two; while its servers disagree each
/// sends a command to the other.
const HOPS_AT_ONCE: usize = 3;
/// The pauses while a slot is served by nobody double from the first to the second of these.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// Where a command is to be sent instead.
#[derive(Debug, PartialEq, Eq)]
enum Redirect {
    /// The slot has moved to this server.
    Moved(u16, Address),
    /// It is moving there, this key already has or is new.
    Ask(Address),
    /// It is moving and some keys of the command have: later.
    Later,
    /// The cluster serves nothing, or not this slot: later, if ever.
    Down,
}

impl Redirect {
    /// Reads the error of the server `from`.
    fn of(result: &Result<Reply, StoreError>, from: &Redis) -> Option<Self> {
        let Err(StoreError::Refused { kind, message }) = result else {
            return None;
        };
        match kind {
            RefusalKind::ClusterDown if message.starts_with("TRYAGAIN") => Some(Self::Later),
            RefusalKind::ClusterDown => Some(Self::Down),
            RefusalKind::Moved => {
                let host = from.shard()?.master.as_ref().map(|(host, _)| &**host);
                Self::read(message, host.unwrap_or_default())
            }
            _ => None,
        }
    }

    /// Reads `MOVED slot host:port` or `ASK slot host:port`; without a host it is `own`.
    fn read(message: &str, own: &str) -> Option<Self> {
        let mut words = message.split(' ');
        let code = words.next()?;
        let slot = words.next()?.parse().ok()?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = match host {
            "" | "?" => own,
            host => host,
        };
        let address = (host.to_owned(), port.parse().ok()?);
        match code {
            "MOVED" => Some(Self::Moved(slot, address)),
            "ASK" => Some(Self::Ask(address)),
            _ => None,
        }
    }
}

impl Cluster {
    /// The results of a call with what comes of sending on the commands that `from` has not executed.
    #[cold]
    pub(super) async fn follow_all(
        self: &Arc<Self>,
        from: &Arc<Redis>,
        answered: Answered,
        left: Duration,
        deadline: Duration,
    ) -> Results {
        let mut results = answered.results;
        let misdirected = answered.misdirected.into_iter().flat_map(|all| *all);
        let follows = misdirected.map(async |(place, command)| {
            let refused = match &results[place] {
                Ok(_) => return None,
                Err(error) => Err(error.clone()),
            };
            let follow = self.follow(&command, from.clone(), refused, deadline);
            let followed = timeout(left, follow).await;
            let late = Err(StoreError::DeadlineExceeded(deadline));
            Some((place, followed.unwrap_or(late)))
        });
        for (place, result) in join_all(follows).await.into_iter().flatten() {
            results[place] = result;
        }
        results
    }

    /// Sends on what `from` has refused, until a server executes it.
    async fn follow(
        self: &Arc<Self>,
        command: &Command,
        mut from: Arc<Redis>,
        mut result: Result<Reply, StoreError>,
        deadline: Duration,
    ) -> Result<Reply, StoreError> {
        let mut pause = PAUSE.0;
        let mut hops = 0;
        while let Some(redirect) = Redirect::of(&result, &from) {
            let to = match &redirect {
                Redirect::Moved(slot, address) => {
                    let node = self.node(address);
                    if let Some(node) = &node {
                        self.change(|map| map.moved(*slot, node));
                    }
                    self.read_map();
                    node
                }
                Redirect::Ask(address) => self.node(address),
                Redirect::Down if self.is_down_for(deadline) => return result,
                Redirect::Later | Redirect::Down => {
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                    self.read_map();
                    self.map().shard(command.slot()).cloned()
                }
            };
            let is_sent_on = matches!(redirect, Redirect::Moved(..) | Redirect::Ask(_));
            hops += usize::from(is_sent_on);
            if hops > HOPS_AT_ONCE && is_sent_on {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
            let (Some(to), true) = (to, hops <= HOPS) else {
                return result;
            };
            let commands = match redirect {
                Redirect::Ask(_) => command.asking(),
                _ => Commands::from_iter([command.clone()]),
            };
            let sent = to.call::<Results>(commands, deadline).await;
            result = sent.and_then(|mut results| {
                let too_few = StoreError::UnexpectedReply("fewer replies than commands");
                results.pop().unwrap_or(Err(too_few))
            });
            if !matches!(Redirect::of(&result, &to), Some(Redirect::Down)) {
                self.is_up();
            }
            from = to;
        }
        result
    }

    /// Whether the cluster served nothing when it was asked last.
    pub(super) fn was_down(&self) -> bool {
        self.down_since.load(Ordering::Relaxed) != 0
    }

    /// Notes that the cluster serves what has a slot.
    pub(super) fn is_up(&self) {
        self.down_since.store(0, Ordering::Relaxed);
    }

    /// Whether the cluster has served nothing for so long that a call has waited in vain; the
    /// others do not wait then.
    fn is_down_for(&self, deadline: Duration) -> bool {
        let now = self.born.elapsed().as_micros();
        let now = u64::try_from(now).unwrap_or(u64::MAX).max(1);
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let since = self
            .down_since
            .compare_exchange(0, now, success, failure)
            .map_or_else(|since| since, |_| now);
        u128::from(now.saturating_sub(since)) >= deadline.as_micros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_is_read_with_the_host_that_it_leaves_out() {
        let at = |host: &str, port| (host.to_owned(), port);
        let read = |message| Redirect::read(message, "own");
        let moved = Redirect::Moved(3999, at("10.0.0.1", 6381));
        assert_eq!(read("MOVED 3999 10.0.0.1:6381"), Some(moved));
        assert_eq!(read("ASK 0 ::1:7"), Some(Redirect::Ask(at("::1", 7))));
        assert_eq!(read("ASK 0 :7"), Some(Redirect::Ask(at("own", 7))));
        for odd in [
            "",
            "MOVED",
            "MOVED x a:1",
            "MOVED 1 a",
            "MOVED 1 a:x",
            "ERR 1 a:1",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}

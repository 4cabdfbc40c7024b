//! Which server has which slot, as far as that is known.

use std::{sync::Arc, time::Duration};

use smallvec::{SmallVec, smallvec};
use tokio::time::Instant;

use super::layout::Layout;
use crate::store::{
    redis::{access::Address, command::Commands, connection::Shard, server::Redis},
    state::StoreState,
};

/// Slots of a cluster.
pub(super) const SLOTS: usize = 16_384;
/// How often the map is read anew.
const REFRESH: Duration = Duration::from_secs(30);
/// After an attempt to read it that failed, and while a shard does not answer.
const RETRY: Duration = Duration::from_millis(100);
/// No cluster has more servers: what names them could be anybody.
const AT_MOST: usize = 2_000;

#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) shards: Vec<Arc<Redis>>,
    /// The shard of each slot.
    of_slot: Arc<[u16]>,
    /// Everybody who can be asked for the map.
    pub(super) nodes: Arc<[Address]>,
    /// When it was read, or that was tried; never so far.
    read: Option<Instant>,
    pub(super) is_known: bool,
    /// What the epochs of shards that are gone had come to, and one for each: the sum never
    /// comes back to an earlier one.
    retired: u64,
}

/// Commands of one shard, and their places among those of the call.
pub(super) struct Group {
    pub(super) shard: Arc<Redis>,
    pub(super) places: SmallVec<[usize; 1]>,
    pub(super) commands: Commands,
}

impl Map {
    pub(super) fn unknown(shards: Vec<Arc<Redis>>) -> Self {
        Self {
            shards,
            of_slot: vec![0; SLOTS].into(),
            nodes: Arc::default(),
            read: None,
            is_known: false,
            retired: 0,
        }
    }

    /// Whether there is nothing that another look at the cluster could mend.
    pub(super) fn is_well(&self) -> bool {
        let is_well = |shard: &Arc<Redis>| shard.state() != StoreState::Unavailable;
        self.is_known && self.shards.iter().all(is_well)
    }

    /// Whether it is to be read anew: now and then, and often while a shard may be failing over.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let Some(read) = self.read else {
            return true;
        };
        let age = now - read;
        age >= REFRESH || age >= RETRY && !self.is_well()
    }

    pub(super) fn state(&self) -> StoreState {
        let states: Vec<_> = self.shards.iter().map(|shard| shard.state()).collect();
        let all = |state| states.iter().all(|other| *other == state);
        let is_down = |state: &StoreState| *state == StoreState::Unavailable;
        match states.first() {
            None if self.read.is_some() => StoreState::Unavailable,
            None => StoreState::Connecting,
            Some(first) if all(*first) => *first,
            _ if states.iter().any(is_down) => StoreState::Degraded,
            _ if states.contains(&StoreState::Connecting) => StoreState::Connecting,
            _ => StoreState::Degraded,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        let shards = self.shards.iter();
        self.retired + shards.map(|shard| shard.connections_epoch()).sum::<u64>()
    }

    /// The shard of a command: of its slot, or any that answers if it has no key.
    pub(super) fn shard(&self, slot: Option<u16>) -> Option<&Arc<Redis>> {
        let answers = |shard: &&Arc<Redis>| shard.state() != StoreState::Unavailable;
        let shard = match slot {
            Some(slot) => (self.of_slot.get(usize::from(slot)))
                .and_then(|number| self.shards.get(usize::from(*number))),
            None => self.shards.iter().find(answers),
        };
        shard.or(self.shards.first())
    }

    /// The commands of each shard by themselves. There is a shard at least.
    pub(super) fn split(&self, commands: Commands) -> SmallVec<[Group; 1]> {
        let mut groups: SmallVec<[Group; 1]> = SmallVec::new();
        for (place, command) in commands.into_iter().enumerate() {
            let Some(shard) = self.shard(command.slot()) else {
                continue;
            };
            let group = groups
                .iter_mut()
                .find(|group| Arc::ptr_eq(&group.shard, shard));
            match group {
                Some(group) => {
                    group.places.push(place);
                    group.commands.push(command);
                }
                None => groups.push(Group {
                    shard: shard.clone(),
                    places: smallvec![place],
                    commands: Commands::from_iter([command]),
                }),
            }
        }
        groups
    }

    pub(super) fn node(&self, address: &Address) -> Option<Arc<Redis>> {
        let is_it = |shard: &Shard| shard.master.as_ref() == Some(address);
        let mut shards = self.shards.iter();
        shards
            .find(|shard| shard.shard().is_some_and(is_it))
            .cloned()
    }

    /// With a server that has no slots so far.
    pub(super) fn with(&self, server: Arc<Redis>) -> Option<Self> {
        let mut map = self.clone();
        map.shards.push(server);
        (map.shards.len() <= AT_MOST).then_some(map)
    }

    /// With `slot` at `server`, if it is not there already.
    pub(super) fn moved(&self, slot: u16, server: &Arc<Redis>) -> Option<Self> {
        let mut shards = self.shards.iter();
        let number = shards.position(|shard| Arc::ptr_eq(shard, server))?;
        let number = u16::try_from(number).ok()?;
        let place = usize::from(slot);
        if *self.of_slot.get(place)? == number {
            return None;
        }
        let mut of_slot = self.of_slot.to_vec();
        *of_slot.get_mut(place)? = number;
        Some(Self {
            of_slot: of_slot.into(),
            ..self.clone()
        })
    }

    /// After an attempt to read it that failed.
    pub(super) fn unread(&self) -> Self {
        Self {
            read: Some(Instant::now()),
            ..self.clone()
        }
    }

    /// What the cluster says now. Servers that it still has are kept, with their connections.
    pub(super) fn following(&self, layout: &Layout, server: impl Fn(Shard) -> Arc<Redis>) -> Self {
        let mut of_slot = vec![0; SLOTS];
        let mut shards: Vec<Arc<Redis>> = Vec::with_capacity(layout.masters.len());
        for (number, master) in layout.masters.iter().take(AT_MOST).enumerate() {
            let new = Shard {
                slot: master.slots.first().map_or(0, |(first, _)| *first),
                master: master.address.clone(),
            };
            // A new master is another server, of which nothing is known yet.
            let same = |shard: &Shard| match (&shard.master, &new.master) {
                (Some(known), Some(named)) => known == named,
                _ => *shard == new,
            };
            let mut known = self.shards.iter();
            let known = known.find(|shard| shard.shard().is_some_and(same)).cloned();
            shards.push(known.unwrap_or_else(|| server(new)));
            for (first, last) in &master.slots {
                let slots = usize::from(*first)..=usize::from(*last).min(SLOTS - 1);
                // A range that no cluster has is no reason to panic.
                if let Some(slots) = of_slot.get_mut(slots) {
                    slots.fill(u16::try_from(number).unwrap_or(0));
                }
            }
        }
        let is_kept = |shard: &&Arc<Redis>| shards.iter().any(|kept| Arc::ptr_eq(kept, shard));
        let gone = self.shards.iter().filter(|shard| !is_kept(shard));
        Self {
            retired: self.retired + gone.map(|shard| shard.connections_epoch() + 1).sum::<u64>(),
            shards,
            of_slot: of_slot.into(),
            nodes: layout.nodes.clone().into(),
            read: Some(Instant::now()),
            is_known: true,
        }
    }
}

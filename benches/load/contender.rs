//! Who runs against whom.

use std::{fmt, str::FromStr};

/// A server: what it does with a request, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) work: Work,
    pub(crate) way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Bare,
    Limit,
    Session,
    Cache,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Naive,
    Shared,
    Ours,
    OursMemory,
}

const fn contender(work: Work, way: Way) -> Contender {
    Contender { work, way }
}

impl Contender {
    pub(crate) const BARE: Self = contender(Work::Bare, Way::OursMemory);

    pub(crate) const ALL: [Self; 17] = [
        Self::BARE,
        contender(Work::Limit, Way::Naive),
        contender(Work::Limit, Way::Shared),
        contender(Work::Limit, Way::Ours),
        contender(Work::Limit, Way::OursMemory),
        contender(Work::Session, Way::Naive),
        contender(Work::Session, Way::Shared),
        contender(Work::Session, Way::Ours),
        contender(Work::Session, Way::OursMemory),
        contender(Work::Cache, Way::Naive),
        contender(Work::Cache, Way::Shared),
        contender(Work::Cache, Way::Ours),
        contender(Work::Cache, Way::OursMemory),
        contender(Work::All, Way::Naive),
        contender(Work::All, Way::Shared),
        contender(Work::All, Way::Ours),
        contender(Work::All, Way::OursMemory),
    ];

    /// The peer with the same work.
    pub(crate) fn peer(self, way: Way) -> Self {
        contender(self.work, way)
    }
}

impl Work {
    pub(crate) fn limits(self) -> bool {
        matches!(self, Self::Limit | Self::All)
    }

    pub(crate) fn reads_session(self) -> bool {
        matches!(self, Self::Session | Self::All)
    }

    pub(crate) fn caches(self) -> bool {
        matches!(self, Self::Cache | Self::All)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = match self.work {
            Work::Bare => return f.pad("bare"),
            Work::Limit => "limit",
            Work::Session => "session",
            Work::Cache => "cache",
            Work::All => "all",
        };
        let way = match self.way {
            Way::Naive => "naive",
            Way::Shared => "shared",
            Way::Ours => "ours",
            Way::OursMemory => "ours-memory",
        };
        f.pad(&format!("{work}/{way}"))
    }
}

impl FromStr for Contender {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|contender| contender.to_string() == name)
            .ok_or_else(|| format!("no contender is called {name:?}"))
    }
}

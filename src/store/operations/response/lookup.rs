//! Looking up the variants that a request may select.

use bytes::Bytes;

use super::{
    Generation, Version,
    set::{ResponseSet, StoredVariant},
};
use crate::store::{
    batch::Operation,
    clock::Timestamp,
    error::StoreError,
    key::Key,
    memory::Table,
    redis::{Command, NextReply, Reply},
};

/// Reads the generation, the lists of `Vary` names and the named variants. One `HMGET`.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) key: Key,
    /// Hexadecimal variant names, guessed from the `Vary` lists that the caller remembers.
    pub(crate) variants: Vec<Box<str>>,
}

/// What is stored under a primary key, as far as it was asked for.
#[derive(Debug, Default)]
pub(crate) struct StoredVariants {
    /// The generation that fills under way have to be of.
    pub(crate) generation: Option<Generation>,
    /// The lists of names that `Vary` had, newest first: a caller that guessed from others asks again.
    pub(crate) vary: Vec<Box<str>>,
    /// One for each variant asked for.
    pub(crate) variants: Vec<Option<Stored>>,
}

/// A stored response: its encoded head and its body.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// `None`: the head cannot be read, and neither can this.
    pub(crate) version: Option<Version>,
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
}

impl Lookup {
    /// What is stored of the variant that `select` names by the list of `Vary` names, where it can
    /// be read without waiting: on embedded memory, and where all variants go by one list, so that
    /// it does not matter which lists the caller remembers. `None` says nothing: ask the store.
    pub(crate) fn at_once(
        responses: &Table<ResponseSet>,
        key: &Key,
        now: Timestamp,
        select: impl Fn(&str) -> Option<[u8; 32]>,
    ) -> Option<Stored> {
        let find = |set: &ResponseSet| {
            let [list] = &*set.vary else { return None };
            let variant = select(list)?;
            let variant = std::str::from_utf8(&variant).ok()?;
            set.variant(variant, now).map(Stored::from)
        };
        responses.get(key, now, |live| find(&live.value))?
    }
}

impl From<&StoredVariant> for Stored {
    fn from(found: &StoredVariant) -> Self {
        Self {
            version: Some(found.version),
            head: found.head.clone(),
            body: found.body.clone(),
        }
    }
}

impl Operation for Lookup {
    type Entry = ResponseSet;
    type Output = StoredVariants;

    fn run(
        &self,
        responses: &Table<ResponseSet>,
        now: Timestamp,
    ) -> Result<StoredVariants, StoreError> {
        let found = responses.get(&self.key, now, |live| {
            let set = &live.value;
            let stored = |variant: &str| set.variant(variant, now).map(Stored::from);
            StoredVariants {
                generation: set.generation.clone(),
                vary: set.vary.clone(),
                variants: self
                    .variants
                    .iter()
                    .map(|variant| stored(variant))
                    .collect(),
            }
        });
        Ok(found.unwrap_or_else(|| StoredVariants {
            variants: vec![None; self.variants.len()],
            ..StoredVariants::default()
        }))
    }

    fn command(&self) -> Command {
        let command = Command::new("HMGET").key(&self.key).arg("g").arg("v");
        self.variants.iter().fold(command, |command, variant| {
            command
                .arg(format!("h{variant}"))
                .arg(format!("b{variant}"))
        })
    }

    fn reply(&self, reply: Reply) -> Result<StoredVariants, StoreError> {
        let mut fields = reply.array()?;
        let generation = fields.next_reply()?.optional_bytes()?.map(Generation);
        let lists = fields.next_reply()?.optional_bytes()?.unwrap_or_default();
        let mut variants = Vec::with_capacity(self.variants.len());
        for _ in &self.variants {
            let head = fields.next_reply()?.optional_bytes()?;
            let body = fields.next_reply()?.optional_bytes()?;
            variants.push(head.zip(body).map(|(head, body)| stored(head, body)));
        }
        // A list that is no text is nobody's: the next response that is stored leaves it out.
        let lines = lists.strip_suffix(b"\n").unwrap_or(&lists);
        let text = |line| std::str::from_utf8(line).ok().map(Box::from);
        let vary = match lists.is_empty() {
            true => Vec::new(),
            false => lines
                .split(|&byte| byte == b'\n')
                .filter_map(text)
                .collect(),
        };
        Ok(StoredVariants {
            generation,
            vary,
            variants,
        })
    }
}

/// The version stands before the head.
fn stored(mut head: Bytes, body: Bytes) -> Stored {
    let digits = head.split_to(Version::LENGTH.min(head.len()));
    Stored {
        version: Version::parse(&digits),
        head,
        body,
    }
}

//! What stands in the place of Redis in a build without it: operations are written once, whether
//! or not there is a server that could execute them.

mod elements;

use std::{borrow::Borrow, pin::Pin, time::Duration};

use bytes::Bytes;
use smallvec::SmallVec;

pub(crate) use elements::{Elements, NextReply};

use crate::store::{
    error::{RefusalKind, StoreError},
    key::Key,
    state::StoreState,
};

pub(crate) type Results = SmallVec<[Result<Reply, StoreError>; 2]>;
pub(crate) type Call = Pin<Box<dyn Future<Output = Result<Results, StoreError>> + Send>>;

/// Gives every command of a call that failed as a whole the same error.
pub(crate) fn all_failed(_: &StoreError, _: usize) -> Results {
    Results::new()
}

/// There is none.
#[derive(Debug, Clone)]
pub(crate) enum Topology {}

impl Topology {
    pub(crate) const LARGEST_VALUE: u64 = 0;

    pub(crate) fn name(&self) -> &'static str {
        match *self {}
    }

    #[cfg(any(feature = "key-value", feature = "rate-limit"))]
    pub(crate) fn is_split_by_slot(&self) -> bool {
        match *self {}
    }

    #[cfg(feature = "rate-limit")]
    pub(crate) fn is_same(&self, _: &Self) -> bool {
        match *self {}
    }

    pub(crate) fn state(&self) -> StoreState {
        match *self {}
    }

    #[cfg(any(feature = "health", feature = "inspect"))]
    pub(crate) async fn servers(
        &self,
        _: Duration,
    ) -> Result<Vec<(Option<Box<str>>, Self)>, StoreError> {
        match *self {}
    }

    #[cfg(feature = "health")]
    pub(crate) fn is_redirected(&self) -> bool {
        match *self {}
    }

    pub(crate) fn server(&self) -> Option<std::sync::Arc<str>> {
        match *self {}
    }

    pub(crate) fn refusals(&self) -> Vec<RefusalKind> {
        match *self {}
    }

    pub(crate) fn connections_epoch(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn call(&self, _: Commands, _: Duration) -> Result<Call, StoreError> {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) struct Script;

impl Script {
    pub(crate) const fn new(_: &'static str) -> Self {
        Self
    }
}

pub(crate) type Commands = SmallVec<[Command; 1]>;

/// Nobody sends it.
#[derive(Debug)]
pub(crate) struct Command;

impl Command {
    pub(crate) fn new(_: &'static str) -> Self {
        Self
    }

    pub(crate) fn script<K: Borrow<Key>>(_: &'static Script, _: &[K]) -> Self {
        Self
    }

    pub(crate) fn once(self) -> Self {
        self
    }

    pub(crate) fn pass_over_other_types(self) -> Self {
        self
    }

    pub(crate) fn key(self, _: &Key) -> Self {
        self
    }

    #[cfg(feature = "inspect")]
    pub(crate) fn whole_key(self, _: &[u8]) -> Self {
        self
    }

    pub(crate) fn arg<T>(self, _: T) -> Self {
        self
    }

    pub(crate) fn millis(self, _: Duration) -> Self {
        self
    }
}

/// Nobody answers.
#[derive(Debug)]
pub(crate) enum Reply {}

impl Reply {
    pub(crate) fn okay(self) -> Result<(), StoreError> {
        match self {}
    }

    pub(crate) fn integer(self) -> Result<i64, StoreError> {
        match self {}
    }

    pub(crate) fn integer_or_other(self) -> Result<i64, Self> {
        match self {}
    }

    #[cfg(feature = "inspect")]
    pub(crate) fn text(self) -> Result<Box<str>, StoreError> {
        match self {}
    }

    pub(crate) fn optional_bytes(self) -> Result<Option<Bytes>, StoreError> {
        match self {}
    }

    pub(crate) fn bytes(self) -> Result<Bytes, StoreError> {
        match self {}
    }

    pub(crate) fn hash(self) -> Result<Elements, StoreError> {
        match self {}
    }

    pub(crate) fn array(self) -> Result<Elements, StoreError> {
        match self {}
    }
}

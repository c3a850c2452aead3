//! Verdicts by digest (S-40): what was verified once is not verified again while the keys are the same.

use std::sync::Arc;

use aws_lc_rs::digest;
use base::memory::Memory;
use time::OffsetDateTime;

use super::{Claims, MAX_LEEWAY};

/// What a verdict takes beside what the length of its token tells, in bytes: measured.
const REST: usize = 300;

/// Names one verdict: the generation of the published set (0 if there is none), and the digest over issuer and
/// token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name {
    generation: u64,
    digest: Digest,
}

/// The digest over issuer and token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

/// A bounded memory of signatures that held. It may forget any of them at any time. Times are no part of a verdict: they
/// are judged on each use.
pub(super) struct Verdicts {
    issuer: digest::Context,
    known: Memory<Name, Arc<Claims>>,
}

impl Verdicts {
    /// All verdicts together weigh at most `capacity`, in bytes.
    pub(super) fn new(issuer: &str, capacity: u64) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&(issuer.len() as u64).to_be_bytes());
        context.update(issuer.as_bytes());
        Self { issuer: context, known: Memory::new(capacity, 1200) }
    }

    pub(super) fn digest(&self, token: &str) -> Digest {
        let mut context = self.issuer.clone();
        context.update(token.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Digest(bytes)
    }

    /// The name of the verdict on a token under the keys of `generation`.
    pub(super) fn name(digest: Digest, generation: u64) -> Name {
        Name { generation, digest }
    }

    pub(super) fn get(&self, name: &Name) -> Option<Arc<Claims>> {
        self.known.get(name)
    }

    /// `length` is that of the token: the text of the claims is the larger part of it.
    pub(super) fn insert(&self, name: Name, claims: Arc<Claims>, length: usize, now: OffsetDateTime) {
        let weight = u32::try_from(length + REST).unwrap_or(u32::MAX);
        let until = claims.exp.saturating_add(MAX_LEEWAY.whole_seconds());
        self.known.insert(name, claims, weight, until, now.unix_timestamp());
    }

    pub(super) fn remove(&self, name: &Name) {
        self.known.remove(name);
    }
}

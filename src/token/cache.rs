//! Verdicts by digest (S-40): what was verified once is not verified again while the keys are the same.

use std::sync::Arc;

use aws_lc_rs::digest;
use base::uniform::BuildUniform;
use moka::sync::Cache;

use super::Claims;

/// Roughly what all verdicts together may weigh, in bytes.
const CAPACITY: u64 = 32 << 20;

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

/// A signature that held. Times are no part of it: they are judged on each use.
#[derive(Debug, Clone)]
struct Verdict {
    claims: Arc<Claims>,
    weight: u32,
}

/// A bounded memory of verdicts. It may forget any of them at any time.
pub(super) struct Verdicts {
    issuer: digest::Context,
    known: Cache<Name, Verdict, BuildUniform>,
}

impl Verdicts {
    pub(super) fn new(issuer: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&(issuer.len() as u64).to_be_bytes());
        context.update(issuer.as_bytes());
        let builder = Cache::builder().max_capacity(CAPACITY).weigher(|_, v: &Verdict| v.weight);
        let known = builder.build_with_hasher(BuildUniform::default());
        Self { issuer: context, known }
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
        self.known.get(name).map(|verdict| verdict.claims)
    }

    pub(super) fn insert(&self, name: Name, claims: Arc<Claims>, length: usize) {
        // Claims take about four times the room of their token.
        let weight = u32::try_from(length * 4 + 512).unwrap_or(u32::MAX);
        self.known.insert(name, Verdict { claims, weight });
    }

    pub(super) fn remove(&self, name: &Name) {
        self.known.invalidate(name);
    }
}

//! Passwords: rules when one is set, Argon2id on a bounded pool (S-72 to S-74).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base::entropy::SharedEntropy;
use base::secret::Secret;
use tokio::sync::{Semaphore, oneshot};

use crate::error::{Answer, ApiError};
use crate::settings::PasswordRules;

/// Longest password in bytes. Argon2id needs no limit; a body of passwords does.
pub(crate) const MAX_BYTES: usize = 1024;
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// Stored or imported hashes that ask for more are refused: they would be a way to exhaust memory.
const MOST_MEMORY_KIB: u32 = 65_536;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 8;
/// How many may wait for a free thread; at some 20 ms each and a thread a core, the last waits a second or so.
const QUEUE: usize = 128;

/// Hashes and compares passwords, a few at a time.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    threads: mpsc::Sender<Job>,
    entropy: SharedEntropy,
    done: Arc<AtomicU64>,
}

type Job = Box<dyn FnOnce() + Send>;

/// How a comparison ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verified {
    /// The password is another one, or there is none.
    No,
    /// It is right; `rehash` if the stored string was made with weaker settings than today's.
    Yes { rehash: bool },
}

impl Hasher {
    /// At most `threads` at once, [`QUEUE`] more waiting.
    pub(crate) fn new(threads: usize, entropy: SharedEntropy) -> Self {
        let threads = threads.max(1);
        Self {
            running: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(threads + QUEUE)),
            threads: start(threads),
            entropy,
            done: Arc::default(),
        }
    }

    /// How many times a password was hashed or compared so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The PHC string of `password`, with a fresh salt.
    pub(crate) async fn hash(&self, password: Secret<String>) -> Answer<String> {
        let salt: [u8; 16] = self.entropy.bytes();
        let hashed = self.run(move || hash_now(&password, &salt)).await?;
        hashed.map_err(ApiError::internal)
    }

    /// Compares `password` with `stored`. Takes as long where there is nothing to compare with (S-74).
    pub(crate) async fn verify(&self, password: Secret<String>, stored: Option<String>) -> Answer<Verified> {
        let salt: [u8; 16] = self.entropy.bytes();
        self.run(move || match stored.as_deref().and_then(acceptable) {
            Some((hash, weaker)) => match argon2().verify_password(password.expose().as_bytes(), &hash) {
                Ok(()) => Verified::Yes { rehash: weaker },
                Err(_) => Verified::No,
            },
            None => {
                let _ = hash_now(&password, &salt);
                Verified::No
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| ApiError::busy())?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(ApiError::internal)?;
        self.done.fetch_add(1, Ordering::Relaxed);
        let (told, done) = oneshot::channel();
        let job = move || {
            let result = work();
            drop((turn, place)); // held to the end of the work, even if the caller has gone away
            let _ = told.send(result); // as above
        };
        self.threads.send(Box::new(job)).map_err(ApiError::internal)?;
        done.await.map_err(|_| ApiError::internal("hashing ended early"))
    }
}

/// Threads of their own, which end with the last sender. On whichever thread a hash was computed the allocator keeps its
/// 19 MiB for the next one: the many threads of the runtime's pool would each come to keep as much (S-74).
fn start(threads: usize) -> mpsc::Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..threads {
        let jobs = Arc::clone(&jobs);
        std::thread::spawn(move || {
            let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok(job) = next() {
                let _ = catch_unwind(AssertUnwindSafe(job)); // who waits for it is told
            }
        });
    }
    sender
}

/// The PHC string, on the caller's thread: tens of milliseconds and 19 MiB.
pub(crate) fn hash_now(password: &Secret<String>, salt: &[u8; 16]) -> Result<String, &'static str> {
    let hash = argon2().hash_password_with_salt(password.expose().as_bytes(), salt);
    hash.map(|hash| hash.to_string()).map_err(|_| "the password cannot be hashed")
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// A stored string with parameters that may be computed, and whether they are weaker than today's.
fn acceptable(stored: &str) -> Option<(PasswordHash, bool)> {
    let hash = PasswordHash::new(stored).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if memory > MOST_MEMORY_KIB || passes > MOST_PASSES || lanes > MOST_LANES {
        return None;
    }
    Some((hash, memory < MEMORY_KIB || passes < PASSES))
}

/// Whether a PHC string from another system can be compared with (S-72).
pub(crate) fn is_importable(stored: &str) -> bool {
    let known = ["$argon2id$", "$argon2i$"].iter().any(|start| stored.starts_with(start));
    known && acceptable(stored).is_some_and(|(hash, _)| hash.hash.is_some() && hash.salt.is_some())
}

/// Judges a password that somebody wants to set. `own_words`: the address and what else a guess would start with.
pub(crate) fn check(rules: &PasswordRules, password: &str, own_words: &[&str]) -> Answer<()> {
    if password.len() > MAX_BYTES {
        return Err(ApiError::invalid(format!("Password cannot be longer than {MAX_BYTES} bytes")));
    }
    let (mut texts, mut reasons) = (Vec::new(), Vec::new());
    if password.len() < rules.min_length {
        texts.push(format!("Password should be at least {} characters.", rules.min_length));
        reasons.push("length");
    }
    if !rules.required.iter().all(|group| password.contains(|c| group.contains(c))) {
        let groups = rules.required.join(", ");
        texts.push(format!("Password should contain at least one character of each: {groups}."));
        reasons.push("characters");
    }
    if reasons.is_empty() && rules.common_list && zxcvbn::zxcvbn(password, own_words).guesses() < 10_000 {
        texts.push(
            "Password is known to be weak and easy to guess, please choose a different one.".to_owned(),
        );
        reasons.push("pwned");
    }
    if reasons.is_empty() { Ok(()) } else { Err(ApiError::weak_password(texts.join(" "), reasons)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    /// S-72: Argon2id with at least 19,456 KiB and 2 passes, as a PHC string.
    #[test]
    fn a_stored_password_is_an_argon2id_string() {
        let stored = hash_now(&secret("Violet-harbour-42"), &[7; 16]).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(matches!(acceptable(&stored), Some((_, false))));
    }

    /// S-72: a hash that asks for 4 GiB is refused before it is computed.
    #[test]
    fn hashes_that_ask_for_too_much_are_refused() {
        let greedy = "$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(acceptable(greedy).is_none());
        assert!(acceptable("not a hash").is_none());
    }

    /// S-72: an older, weaker string still opens and is marked for a new one.
    #[test]
    fn weaker_strings_are_marked() {
        let params = Params::new(8_192, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let stored: PasswordHash = weak.hash_password_with_salt(b"Violet-harbour-42", &[1; 16]).unwrap();
        assert!(matches!(acceptable(&stored.to_string()), Some((_, true))));
    }

    /// S-74: beyond the queue there is a 503 with `Retry-After`, at once; a free thread serves the queue.
    #[tokio::test]
    async fn work_beyond_the_queue_is_refused() {
        let hasher = Hasher::new(1, Arc::new(base::entropy::SystemEntropy));
        let turn = Arc::clone(&hasher.running).acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..=QUEUE)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.verify(secret("x"), Some("no hash".to_owned())).await })
            })
            .collect();
        while hasher.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = hasher.hash(secret("Violet-harbour-42")).await.unwrap_err();
        assert_eq!((refused.status().as_u16(), hasher.done()), (503, 0));
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        drop(turn);
        for call in waiting {
            let _ = call.await;
        }
        assert!(hasher.hash(secret("Violet-harbour-42")).await.is_ok());
        assert_eq!(hasher.places.available_permits(), QUEUE + 1, "who goes away gives the place back");
    }

    /// S-73: length, common words and the person's own address.
    #[test]
    fn rules() {
        let rules = PasswordRules { min_length: 8, required: Vec::new(), common_list: true };
        let code =
            |password: &str| check(&rules, password, &["ada.lovelace@example.test"]).err().map(|e| e.code());
        assert_eq!(code("Violet-harbour-42"), None);
        for weak in ["short", "password", "qwertyuiop", "ada.lovelace@example.test"] {
            assert_eq!(code(weak), Some("weak_password"), "{weak}");
        }
        assert_eq!(code(&"Violet-harbour-42".repeat(61)), Some("validation_failed"));
        let groups = PasswordRules { required: vec!["abc".to_owned(), "0123456789".to_owned()], ..rules };
        assert!(check(&groups, "violet-harbour", &[]).is_err());
        assert!(check(&groups, "violet-harbour-42", &[]).is_ok());
    }
}

//! What the store did not take now and must take in the end: ends and revocations.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// At most so many wait; more are dropped, and the log says so.
const AT_ONCE: usize = 10_000;
/// The pauses between tries double up to the longest; all of them together last an hour.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
const GIVE_UP: Duration = Duration::from_secs(3600);

/// Tries again in the background.
#[derive(Debug)]
pub(super) struct Later(Arc<Semaphore>);

impl Default for Later {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Later {
    /// Runs `attempt` until it says that it worked.
    pub(super) fn keep_trying<F, Fut>(&self, operation: &'static str, attempt: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = bool> + Send,
    {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            tracing::error!(operation, "too much waits for the session store; this is lost");
            return;
        };
        tokio::spawn(async move {
            let (mut pause, mut waited) = (FIRST, Duration::ZERO);
            while waited < GIVE_UP {
                tokio::time::sleep(pause).await;
                if attempt().await {
                    return;
                }
                waited += pause;
                pause = (pause * 2).min(LONGEST);
            }
            tracing::error!(operation, "the session store did not take this within an hour");
            drop(place);
        });
    }
}

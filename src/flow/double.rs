//! A form that makes an account, pressed twice: both answers are those of the one account.

use time::Duration;

use super::Flows;
use crate::session::Current;
use crate::session::flights::{Flights, Key};

/// How long a further press of the same button is taken for the same wish.
const SHARED: Duration = Duration::seconds(30);

/// The sessions that forms made a moment ago.
#[derive(Default)]
pub(super) struct Doubles(Flights<Option<Current>>);

/// Whose work brought the result.
pub(super) enum Pressed<R> {
    /// That of this very press.
    First(R),
    /// That of an earlier press, with its session if it made one that still lives.
    Again(Option<Current>),
}

impl Flows {
    /// Does `work` once for all presses of the form that `parts` name: its token and what was typed. It brings its result,
    /// and a copy of the session for the others.
    pub(super) async fn once_per_form<R, F>(&self, parts: &[&[u8]], work: F) -> Pressed<R>
    where
        R: Send + 'static,
        F: Future<Output = (R, Option<Current>)> + Send + 'static,
    {
        let inner = &self.0;
        let mut key: Key = [0; 32];
        key.copy_from_slice(&inner.accounts.mac(&[&[b"form".as_slice()], parts].concat())[..32]);
        let (tell, mut told) = tokio::sync::oneshot::channel();
        let clock = inner.clock.clone();
        let work = async move {
            let (result, session) = work.await;
            drop(tell.send(result)); // whoever pressed may be gone
            let now = clock.now();
            let until = if session.is_some() { now + SHARED } else { now };
            (session, until)
        };
        let shared = inner.doubles.0.share(key, &inner.clock, work).await.flatten();
        match told.try_recv() {
            Ok(result) => Pressed::First(result),
            Err(_) => Pressed::Again(shared.filter(|made| inner.sessions.lives(&made.session))),
        }
    }
}

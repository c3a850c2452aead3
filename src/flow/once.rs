//! One exchange per flow and authorization code (S-26): GoTrue takes no lock, so a doubled callback would make two
//! sessions.

use base::clock::SharedClock;
use time::{Duration, OffsetDateTime};

use crate::session::Current;
use crate::session::flights::{Flights, Key};

/// How long a parallel callback is answered with the session that the first one made. Afterwards the code is used.
const SHARED: Duration = Duration::seconds(30);
/// How long a used code is remembered: the life of a flow.
const REMEMBERED: Duration = Duration::minutes(5);

/// What an exchange brought, for everybody who asked.
#[derive(Debug, Clone)]
pub(super) enum Exchanged {
    /// The session.
    Session(Current),
    /// Tokens of the person who had asked for a change of the own account; they are revoked.
    Own(uuid::Uuid),
    /// The address is confirmed, but the code came too late for a session (contract 4.2).
    TooLate,
    /// GoTrue refused: used, unknown, or of another browser.
    Refused,
    /// Nobody could tell; the code may still be good.
    Unavailable,
    /// The session could not be made of what GoTrue answered.
    Unusable,
}

/// The exchanges that run, and the codes that were used.
#[derive(Default)]
pub(super) struct Exchanges(Flights<(Exchanged, OffsetDateTime)>);

impl Exchanges {
    /// The result of the exchange that `key` names by flow and code; `None` if that happened before and is over.
    ///
    /// The same code in another flow is another exchange, which GoTrue refuses for its verifier: whoever stole a code
    /// must not be handed what its owner's exchange brought (S-24).
    pub(super) async fn once<F>(&self, key: Key, clock: &SharedClock, exchange: F) -> Option<Exchanged>
    where
        F: Future<Output = Exchanged> + Send + 'static,
    {
        let at = clock.clone();
        let work = async move {
            let exchanged = exchange.await;
            let now = at.now();
            // A code that was not consumed may be tried again at once.
            let until = if matches!(exchanged, Exchanged::Unavailable) { now } else { now + REMEMBERED };
            ((exchanged, now), until)
        };
        let (exchanged, at) =
            self.0.share(key, clock, work).await.unwrap_or((Exchanged::Unavailable, clock.now()));
        (clock.now() - at <= SHARED).then_some(exchanged)
    }
}

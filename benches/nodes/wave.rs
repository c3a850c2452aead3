//! Many requests of many people at all nodes at once, and what came of them.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::crowd::Person;
use crate::talk::{self, Connection};

/// In which order the requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// All requests of one person at the same time, then those of the next.
    ByPerson,
    /// Everybody's first request, then everybody's second.
    ByTurn,
}

/// What is sent to whom.
pub struct Wave {
    pub people: Arc<Vec<Person>>,
    /// Of each person.
    pub requests: usize,
    pub order: Order,
    /// The nodes. A person's requests go to them in turns.
    pub ports: Vec<u16>,
    /// To each node.
    pub connections: usize,
    /// `Host` of the site.
    pub host: String,
    /// The number of a node that is not counted on, once there is one: requests that it leaves unanswered are no failures,
    /// and the others go to its neighbour.
    pub lost: Arc<AtomicUsize>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    pub sent: usize,
    pub answered: usize,
    pub failed: usize,
    pub unanswered: usize,
    pub sign_outs: usize,
    /// Answers that were made with somebody else's token.
    pub strangers: usize,
    pub slowest: Duration,
    pub length: Duration,
    pub first_failure: Option<String>,
}

impl Wave {
    /// Sends everything and waits for every answer.
    pub async fn run(self) -> Tally {
        let begun = Instant::now();
        let (wave, tally) = (Arc::new(self), Arc::new(Mutex::new(Tally::default())));
        let mut tasks = JoinSet::new();
        for node in 0..wave.ports.len() {
            let next = Arc::new(AtomicUsize::new(0));
            for _ in 0..wave.connections {
                tasks.spawn(wave.clone().work(node, next.clone(), tally.clone()));
            }
        }
        tasks.join_all().await;
        let mut tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
        tally.length = begun.elapsed();
        tally
    }

    /// The person of the `turn`th request at `node`.
    fn person(&self, node: usize, turn: usize) -> Option<&Person> {
        let each = self.requests / self.ports.len() + usize::from(node < self.requests % self.ports.len());
        let number = match self.order {
            Order::ByPerson => turn.checked_div(each)?,
            Order::ByTurn if turn < each * self.people.len() => {
                // Each node begins with somebody else.
                (turn + node * self.people.len() / self.ports.len()) % self.people.len()
            }
            Order::ByTurn => return None,
        };
        self.people.get(number)
    }

    async fn work(self: Arc<Self>, node: usize, next: Arc<AtomicUsize>, tally: Arc<Mutex<Tally>>) {
        let mut connection = None;
        while let Some(person) = self.person(node, next.fetch_add(1, Ordering::Relaxed)) {
            let lost = || node == self.lost.load(Ordering::SeqCst);
            let port = self.ports[if lost() { (node + 1) % self.ports.len() } else { node }];
            let request = talk::get("/api/items", &self.host, &format!("Cookie: {}", person.cookie));
            let begun = Instant::now();
            let reply = ask(&mut connection, port, &request).await;
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.sent += 1;
            tally.slowest = tally.slowest.max(begun.elapsed());
            match reply {
                Ok(reply) => {
                    tally.answered += usize::from(reply.status == 200);
                    tally.sign_outs += usize::from(reply.ends);
                    tally.strangers += usize::from(reply.status == 200 && reply.body != person.id);
                    if reply.status != 200 {
                        tally.failed += 1;
                        let seen = format!("{} {}", reply.status, reply.body);
                        tally.first_failure.get_or_insert(seen);
                    }
                }
                Err(_) if lost() => tally.unanswered += 1,
                Err(error) => {
                    tally.failed += 1;
                    tally.first_failure.get_or_insert(format!("{error:#}"));
                }
            }
        }
    }
}

/// On `connection`, or on a new one if there is none.
async fn ask(connection: &mut Option<Connection>, port: u16, request: &str) -> anyhow::Result<talk::Reply> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(port).await?,
    };
    let reply = open.ask(request).await?;
    *connection = Some(open);
    Ok(reply)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (length, slowest) = (self.length.as_secs_f64(), self.slowest.as_secs_f64());
        let Self { sent, answered, failed, unanswered, sign_outs, strangers, .. } = self;
        write!(
            f,
            "{sent:>9} {answered:>9} {failed:>7} {unanswered:>10} {sign_outs:>9} {strangers:>9} {length:>7.1} {slowest:>9.1}"
        )
    }
}

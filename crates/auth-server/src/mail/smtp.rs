//! Mail over SMTP. A mail is handed on and the request answered: how long a mail server takes tells nobody whether one
//! was sent (S-71). What cannot be delivered after some tries is dropped, with a line in the log.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::MailBody;
use crate::settings::Smtp;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Mails that wait; beyond, the newest are dropped.
const QUEUE: usize = 500;
/// Mails on their way at once.
const AT_ONCE: u32 = 4;
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses before the tries after the first.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(15)];

/// The mail server's settings lead nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadServer {
    #[error("AUTH_SMTP_URL is not usable")]
    Url(#[source] lettre::transport::smtp::Error),
    #[error("AUTH_MAIL_FROM is not usable")]
    From(#[source] lettre::address::AddressError),
}

enum Job {
    Send(MailBody),
    /// Answered once everything before it is done.
    Flush(oneshot::Sender<()>),
}

/// Hands mails on. Clones share the queue, which ends with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct Sender(mpsc::Sender<Job>);

impl Sender {
    /// Begins to work on the queue. Has to be called inside a runtime.
    pub(crate) fn start(smtp: &Smtp) -> Result<Self, BadServer> {
        let from = smtp.from.parse().map_err(BadServer::From)?;
        let transport = Transport::from_url(smtp.url.expose()).map_err(BadServer::Url)?;
        let transport = transport.timeout(Some(TIMEOUT)).build();
        let (sender, queue) = mpsc::channel(QUEUE);
        tokio::spawn(work(queue, transport, from));
        Ok(Self(sender))
    }

    /// Puts a mail at the end of the queue.
    pub(crate) fn send(&self, mail: MailBody) {
        if self.0.try_send(Job::Send(mail)).is_err() {
            tracing::error!("a mail was dropped: too many are waiting for the mail server");
        }
    }

    /// Waits until what was queued so far has been sent or given up.
    pub(crate) async fn flush(&self) {
        let (done, waiting) = oneshot::channel();
        if self.0.send(Job::Flush(done)).await.is_ok() {
            let _ = waiting.await;
        }
    }
}

async fn work(mut queue: mpsc::Receiver<Job>, transport: Transport, from: Mailbox) {
    let places = Arc::new(Semaphore::new(AT_ONCE as usize));
    while let Some(job) = queue.recv().await {
        match job {
            Job::Send(mail) => {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let (transport, from) = (transport.clone(), from.clone());
                tokio::spawn(async move {
                    deliver(&transport, from, mail).await;
                    drop(place);
                });
            }
            Job::Flush(done) => {
                let _all = places.acquire_many(AT_ONCE).await;
                let _ = done.send(());
            }
        }
    }
}

async fn deliver(transport: &Transport, from: Mailbox, mail: MailBody) {
    let subject = mail.subject;
    let Some(message) = message(from, mail) else {
        tracing::error!(subject, "a mail was dropped: its address cannot be written into a mail");
        return;
    };
    let mut pauses = PAUSES.iter();
    loop {
        let Err(error) = transport.send(message.clone()).await else { return };
        let status = error.status().map(u16::from).unwrap_or_default();
        let pause = pauses.next().filter(|_| !error.is_permanent());
        let Some(pause) = pause else {
            tracing::error!(subject, smtp.status = status, "a mail could not be delivered");
            return;
        };
        tracing::warn!(subject, smtp.status = status, "the mail server did not take a mail, trying again");
        tokio::time::sleep(*pause).await;
    }
}

/// The builder encodes headers; an address that could leave its own is none (S-70, S-80).
fn message(from: Mailbox, mail: MailBody) -> Option<Message> {
    let to = Mailbox::new(None, mail.to.parse().ok()?);
    let body = MultiPart::alternative_plain_html(mail.text, mail.html);
    Message::builder().from(from).to(to).subject(mail.subject).message_id(None).multipart(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(to: &str) -> Option<String> {
        let (text, html) = ("text".to_owned(), "<p>text</p>".to_owned());
        let mail = MailBody { to: to.to_owned(), subject: "Hello", text, html };
        let message = message("Auth <auth@example.test>".parse().unwrap(), mail)?;
        Some(String::from_utf8(message.formatted()).unwrap())
    }

    /// S-80: no address brings headers of its own.
    #[test]
    fn an_address_stays_an_address() {
        let mail = with("ada@example.test").unwrap();
        assert!(mail.contains("To: ada@example.test\r\n") && mail.contains("Message-ID: <"), "{mail}");
        for wrong in ["ada@example.test\r\nBcc: x@example.test", "ada@example.test, x@example.test", "ada"] {
            assert_eq!(with(wrong), None, "{wrong:?}");
        }
    }
}

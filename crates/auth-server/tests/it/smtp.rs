//! Mail by SMTP, against a mail server of our own.

use auth_server::{Settings, Smtp};
use base::secret::Secret;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::harness::Server;

/// A mail server that takes every mail but those to `nobody@`.
struct MailServer {
    url: String,
    mails: mpsc::UnboundedReceiver<String>,
}

impl MailServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let (taken, mails) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let taken = taken.clone();
                tokio::spawn(async move { Self::talk(stream, taken).await });
            }
        });
        Self { url, mails }
    }

    /// RFC 5321, as far as one client needs it. The envelope comes before the mail.
    async fn talk(stream: TcpStream, taken: mpsc::UnboundedSender<String>) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mail.test\r\n").await?;
        let (mut mail, mut line, mut in_data) = (String::new(), String::new(), false);
        while stream.read_line(&mut line).await? > 0 {
            let answer = match line.split([' ', '\r']).next().unwrap_or_default() {
                "." if in_data => {
                    in_data = false;
                    let _ = taken.send(std::mem::take(&mut mail));
                    "250 taken"
                }
                _ if in_data => {
                    mail.push_str(&line);
                    ""
                }
                "RCPT" if line.contains("<nobody@") => "550 no such person",
                "MAIL" | "RCPT" => {
                    mail.push_str(&line);
                    "250 fine"
                }
                "DATA" => {
                    in_data = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                _ => "250 mail.test",
            };
            if !answer.is_empty() {
                stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
            }
            line.clear();
        }
        Ok(())
    }

    async fn next(&mut self) -> String {
        self.mails.recv().await.unwrap().replace("=\r\n", "")
    }
}

fn smtp(settings: &mut Settings, server: &MailServer) {
    settings.confirm_email = true;
    settings.smtp =
        Some(Smtp { url: Secret::new(server.url.clone()), from: "The Site <auth@example.test>".to_owned() });
}

/// S-77: with a mail server there is no outbox.
#[tokio::test]
async fn mails_are_really_sent() {
    let mut mails = MailServer::start().await;
    let server = Server::with(|settings| smtp(settings, &mails)).await;
    assert_eq!(server.sign_up("ada@example.test").await.status, 200);
    let mail = mails.next().await;
    assert!(
        mail.contains("MAIL FROM:<auth@example.test>") && mail.contains("RCPT TO:<ada@example.test>"),
        "{mail}"
    );
    assert!(mail.contains("From: \"The Site\" <auth@example.test>\r\n"), "{mail}");
    assert!(mail.contains("Subject: Confirm your address\r\n"), "{mail}");
    assert!(mail.contains("text/plain") && mail.contains("text/html"), "{mail}");
    let hash = mail.split("token_hash=3D").nth(1).or(mail.split("token_hash=").nth(1)).unwrap();
    let body = json!({"type": "signup", "token_hash": &hash[..56]});
    server.post("/verify", body).await.session();
    assert!(server.handle.outbox().is_empty() && !server.handle.has_outbox());
    for path in ["/outbox", "/outbox.json"] {
        assert_eq!(server.get(path).await.refusal(), "404 feature_disabled");
    }
}

/// A mail that nobody takes holds no request up, nor the next mail; one that is on its way leaves before the server ends.
#[tokio::test]
async fn failures_stay_behind_the_answer() {
    let mut mails = MailServer::start().await;
    let server = Server::with(|settings| smtp(settings, &mails)).await;
    assert_eq!(server.sign_up("nobody@example.test").await.status, 200);
    let invite = json!({"email": "ada@example.test"});
    assert_eq!(server.admin(Method::POST, "/invite", invite).await.status, 200);
    server.handle.shutdown().await.unwrap();
    let mail = mails.mails.try_recv().expect("sent before the end");
    assert!(
        mail.contains("RCPT TO:<ada@example.test>") && mail.contains("Subject: You have been invited"),
        "{mail}"
    );
    assert!(mails.mails.try_recv().is_err(), "nothing for nobody");
}

//! `/outbox`: what would have been sent. There only while the server listens on loopback without SMTP, which the
//! start makes sure of (S-77).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use time::format_description::well_known::Rfc3339;
use time::{Duration, UtcOffset};

use super::page;
use super::templates::{Frame, OutboxPage, OutboxRow};
use crate::App;
use crate::error::{Answer, ApiError};
use crate::mail::MailBody;

/// `GET /outbox.json`: newest last.
pub(crate) async fn outbox_list(State(app): State<App>) -> Answer<Json<Vec<MailBody>>> {
    let mails = app.outbox.list().ok_or_else(none)?;
    let bodies: Result<_, _> = mails.iter().map(|mail| mail.body(&app.templates)).collect();
    bodies.map(Json).map_err(ApiError::internal)
}

/// `GET /outbox`: newest first.
#[tracing::instrument(name = "outbox", skip_all)]
pub(crate) async fn outbox(State(app): State<App>) -> Answer<Response> {
    let now = app.clock.now();
    let rows = app.outbox.list().ok_or_else(none)?.into_iter().rev().map(|mail| {
        let (first, second) = mail.code.split_at(mail.code.len() / 2);
        Ok(OutboxRow {
            subject: mail.subject,
            code: format!("{first} {second}"),
            at: mail.at.to_offset(UtcOffset::UTC).format(&Rfc3339).map_err(ApiError::internal)?,
            ago: ago(now - mail.at),
            to: mail.to,
            link: mail.link,
        })
    });
    let mails = rows.collect::<Answer<_>>()?;
    page(&app, StatusCode::OK, &OutboxPage { frame: Frame::new(&app), mails })
}

/// Mails that are really sent are not shown.
fn none() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "feature_disabled", "There is no outbox: mail is sent by SMTP")
}

/// How long ago, in words.
fn ago(past: Duration) -> String {
    let words = |count: i64, unit: &str| format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" });
    match past.whole_minutes() {
        ..1 => "just now".to_owned(),
        minutes @ 1..60 => words(minutes, "minute"),
        minutes @ 60..1440 => words(minutes / 60, "hour"),
        minutes => words(minutes / 1440, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        assert_eq!(ago(Duration::seconds(59)), "just now");
        assert_eq!(ago(Duration::seconds(61)), "1 minute ago");
        assert_eq!(ago(Duration::minutes(61)), "1 hour ago");
        assert_eq!(ago(Duration::hours(50)), "2 days ago");
    }
}

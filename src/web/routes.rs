//! Any other path, the mount included: one path, one rule, one caller, one decision, then the gateway.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::Instant;

use super::error::{Code, Error};
use super::guard::{self, Caller};
use super::layers::cross_site;
use super::proof;
use super::visit::{Visit, see_other};
use super::{sockets, streams};
use crate::event::{self, Event, Outcome, Record};
use crate::gateway::path::{AllowEncoded, Path};
use crate::gateway::{self, Extra};
use crate::policy::{Allow, Denied, Permit, Rule};
use crate::session;

/// Serves `request` by the rules, or refuses it. What is sent on is taken out of it.
pub(super) async fn answer(visit: &Visit, request: &mut Request) -> Result<Response, Error> {
    let app = visit.app();
    if !gateway::is_forwarded(request.method()) {
        return Err(gateway::Error::Method.into()); // before the rules: no path takes it (S-57)
    }
    let headers = request.headers();
    let path = Path::judge(request.uri().path(), AllowEncoded::ALL)
        .map_err(|_| guard::refused(Code::BadPath.into(), None))?;
    let host = visit.public().host_str();
    let rule = match visit.policy().find(host, request.method(), &path) {
        Ok(rule) => rule.clone(),
        Err(Denied::NotFound) if &*path == "/" && matches!(*request.method(), Method::GET | Method::HEAD) => {
            return Ok(see_other("/auth/account"));
        }
        Err(denied) => return Err(refused(denied, None)),
    };
    visit.note_rule(&rule);
    let upstream = rule.upstream().and_then(|name| app.gateway.upstream(name)).ok_or(Code::NotFound)?;
    let public = rule.allow() == Allow::Public;
    let cors = super::layers::is_listed(app, visit.origin());
    upstream
        .check_fetch_context(rule.name(), request.method(), headers, public, cors)
        .map_err(|_| cross_site(Code::FetchContext, Some(rule.name())))?;
    let wish = sockets::wish(visit, upstream, request, &rule)?;
    let (permit, caller) = permit(visit, request.headers(), &rule).await?;
    let place = match &wish {
        Some(_) => {
            let place = sockets::admit(visit, request.uri().path(), &caller, &rule, upstream)?;
            Some((place, hyper::upgrade::on(&mut *request)))
        }
        None => None,
    };
    let begun = Instant::now();
    let extra = Extra {
        bearer: caller.bearer(),
        client: visit.client_value(),
        proto: if visit.public().scheme() == "https" { "https" } else { "http" },
        host: visit.host_value(),
        request_id: visit.request_id_value(),
        begun,
        socket: wish.as_ref().map(|wish| &wish.handshake),
    };
    let answer = app.gateway.forward(permit, request, extra).await;
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    visit.set_forwarded(millis);
    let mut response = streams::tie(app, &caller, answer?)?;
    if let (Some((place, client)), Some(wish)) = (place, wish) {
        sockets::carry(visit, rule, place, &wish, client, &mut response);
    }
    visit.note_answered();
    Ok(response)
}

/// Finds out who asks and has the policy decide. The one way to a permit, for the gateway and for another proxy.
pub(super) async fn permit(
    visit: &Visit,
    headers: &HeaderMap,
    rule: &Arc<Rule>,
) -> Result<(Permit, Caller), Error> {
    let app = visit.app();
    let caller = match rule.allow() {
        Allow::Public => Caller::Nobody,
        Allow::Optional | Allow::User => guard::caller(visit, headers, rule.bearer_allowed())
            .await
            .map_err(|error| guard::refused(error, Some(rule.name())))?,
    };
    let now = caller.at().unwrap_or_else(|| app.clock.now());
    let permit = visit.policy().decide(rule, &caller.who(), now).map_err(|denied| {
        let no = refused(denied, Some(rule));
        // The 401 after a session's end says why it ended, once the cookie itself is gone.
        match app.sessions.ended(visit.slot()) {
            Some(reason) if no.code == Code::SessionMissing => session::Error::Ended(reason).into(),
            _ => no,
        }
    })?;
    if rule.live() {
        guard::vouched(visit, &caller).await.map_err(|error| guard::refused(error, Some(rule.name())))?;
    }
    Ok((permit, caller))
}

/// A no of the policy, as RFC 6750 and RFC 9470 say it.
fn refused(denied: Denied, rule: Option<&Arc<Rule>>) -> Error {
    let code = match &denied {
        Denied::NotFound => Code::NotFound,
        Denied::MethodNotAllowed { .. } => Code::MethodNotAllowed,
        Denied::SignIn => Code::SessionMissing,
        Denied::AnonymousNotAllowed => Code::AnonymousNotAllowed,
        Denied::Limited => Code::SessionLimited,
        Denied::Scope { .. } => Code::InsufficientScope,
        Denied::Forbidden => Code::Forbidden,
        Denied::StepUp { .. } => Code::StepUp,
    };
    if let Some(rule) = rule {
        event::emit(&Record {
            code: Some(code.as_str()),
            rule: Some(rule.name()),
            ..Record::of(Event::PolicyRefused, Outcome::Refused)
        });
    }
    let mut error = Error::from(code);
    let challenge = match denied {
        Denied::MethodNotAllowed { allow } => {
            error.allow = HeaderValue::from_str(&allow).ok();
            None
        }
        Denied::Scope { needed } => {
            Some(format!(r#"Bearer realm="supabase-bff", error="insufficient_scope", scope="{needed}""#))
        }
        Denied::StepUp { aal2, max_age } => {
            return proof::step_up(aal2, max_age);
        }
        _ => None,
    };
    error.challenge = challenge.and_then(|text| HeaderValue::from_str(&text).ok());
    error
}

impl From<gateway::Error> for Error {
    fn from(error: gateway::Error) -> Self {
        let soon = std::time::Duration::from_secs(5);
        let dressed = match &error {
            gateway::Error::NoUpstream => Code::NotFound.into(),
            gateway::Error::BadPath(_) => Code::BadPath.into(),
            gateway::Error::Method => {
                let methods = HeaderValue::from_static(gateway::FORWARDED);
                Self { allow: Some(methods), ..Code::MethodNotAllowed.into() }
            }
            gateway::Error::NoToken => Code::SessionMissing.into(),
            gateway::Error::BodyTooLarge => Code::BodyTooLarge.into(),
            gateway::Error::RequestBroken(_) => Code::BadRequest.into(),
            gateway::Error::UpstreamFailed(_) | gateway::Error::ForbiddenRedirect(_) => {
                Self::later(Code::UpstreamFailed, soon)
            }
            gateway::Error::UpstreamTimeout => Self::later(Code::UpstreamTimeout, soon),
        };
        dressed.because(error)
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        refused(denied, None)
    }
}

//! Request headers on their way to an upstream: what is dropped first, what is added last (S-50).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::upstream::{Service, Upstream};
use crate::policy::Identity;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const APIKEY: HeaderName = HeaderName::from_static("apikey");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_USER: HeaderName = HeaderName::from_static("x-forwarded-user");
const X_FORWARDED_EMAIL: HeaderName = HeaderName::from_static("x-forwarded-email");
const X_FORWARDED_GROUPS: HeaderName = HeaderName::from_static("x-forwarded-groups");

/// Removes what a browser may not tell `upstream`. Comes before anything is added.
pub(super) fn strip(headers: &mut HeaderMap, upstream: &Upstream, service: Option<Service>) {
    headers.reserve(8); // for what follows, once
    let is_doomed = |name: &HeaderName| match service {
        None | Some(Service::Functions) => is_dropped(name),
        Some(_) => !is_taken_by_supabase(name.as_str()),
    };
    let doomed = names(headers, is_doomed);
    if doomed.contains(&header::CONNECTION) {
        strip_named_by_connection(headers);
    }
    let cookies = kept_cookies(headers, &upstream.pass_cookies);
    remove(headers, &doomed);
    if let Some(cookies) = cookies {
        headers.insert(header::COOKIE, cookies);
    }
}

/// The names in `headers` that are `wanted`.
pub(super) fn names(headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) -> Vec<HeaderName> {
    headers.keys().filter(|name| wanted(name)).cloned().collect()
}

pub(super) fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}

/// Removes the headers that `Connection` names (RFC 9110, section 7.6.1).
pub(super) fn strip_named_by_connection(headers: &mut HeaderMap) {
    let listed = |list: &HeaderValue| -> Vec<HeaderName> {
        let options = list.to_str().unwrap_or_default().split(',').map(|name| name.trim_matches([' ', '\t']));
        let names = options.filter(|name| !matches!(*name, "keep-alive" | "close"));
        names.filter_map(|name| name.parse().ok()).collect()
    };
    let named: Vec<HeaderName> = headers.get_all(header::CONNECTION).iter().flat_map(listed).collect();
    remove(headers, &named);
}

/// A name as upstreams read it: many take `X_Forwarded.User` for `X-Forwarded-User`. Names of a [`HeaderMap`] are in
/// lower case already.
pub(super) fn folded(name: &HeaderName) -> Cow<'_, [u8]> {
    let odd = |byte: &u8| matches!(byte, b'_' | b'.');
    let name = name.as_str().as_bytes();
    if !name.iter().any(odd) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.iter().map(|byte| if odd(byte) { b'-' } else { *byte }).collect())
}

fn is_dropped(name: &HeaderName) -> bool {
    let name = folded(name);
    match &*name {
        // The connection's own, and framing, which is written anew.
        b"connection" | b"keep-alive" | b"te" | b"trailer" | b"transfer-encoding" | b"upgrade"
        | b"content-length" | b"expect" | b"host" | b"http2-settings" => true,
        // Credentials.
        b"authorization" | b"apikey" | b"cookie" => true,
        // Who asks, and for what: known here, or nobody's to say.
        b"forwarded"
        | b"x-real-ip"
        | b"x-client-ip"
        | b"x-cluster-client-ip"
        | b"true-client-ip"
        | b"cf-connecting-ip"
        | b"sb-forwarded-for"
        | b"x-request-id"
        | b"x-jwt-aud"
        | b"redirect-to"
        | b"x-rewrite-url"
        | b"x-http-method"
        | b"x-http-method-override"
        | b"x-method-override" => true,
        _ => [&b"x-forwarded"[..], b"x-original", b"x-auth-request", b"proxy-"]
            .iter()
            .any(|p| name.starts_with(p)),
    }
}

/// What the official clients send to PostgREST, Storage (resumable uploads included) and GraphQL, and what a browser
/// adds that these answer to. Spelled exactly.
fn is_taken_by_supabase(name: &str) -> bool {
    let is_data = matches!(
        name,
        "accept"
            | "accept-encoding"
            | "accept-language"
            | "accept-profile"
            | "content-type"
            | "content-encoding"
            | "content-language"
            | "content-profile"
            | "prefer"
            | "range"
            | "range-unit"
    );
    let is_condition = matches!(
        name,
        "if-match"
            | "if-none-match"
            | "if-modified-since"
            | "if-unmodified-since"
            | "if-range"
            | "cache-control"
    );
    let is_upload = matches!(
        name,
        "x-upsert"
            | "x-metadata"
            | "x-signature"
            | "x-robots-tag"
            | "tus-resumable"
            | "upload-length"
            | "upload-offset"
            | "upload-metadata"
            | "upload-defer-length"
            | "upload-concat"
            | "upload-checksum"
    );
    let is_origin = matches!(
        name,
        "user-agent" | "x-client-info" | "x-retry-count" | "x-region" | "traceparent" | "tracestate"
    );
    is_data || is_condition || is_upload || is_origin
}

/// The cookies whose names are in `pass`, in one line. Names compare byte by byte (S-05).
fn kept_cookies(headers: &HeaderMap, pass: &[String]) -> Option<HeaderValue> {
    if pass.is_empty() {
        return None;
    }
    let mut kept = Vec::new();
    for pair in headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|b| *b == b';'))
    {
        let pair = trim(pair);
        let Some(end) = pair.iter().position(|b| *b == b'=') else { continue };
        let name = trim(&pair[..end]);
        if pass.iter().any(|p| p.as_bytes() == name) {
            if !kept.is_empty() {
                kept.extend(b"; ");
            }
            kept.extend(pair);
        }
    }
    (!kept.is_empty()).then(|| HeaderValue::from_maybe_shared(bytes::Bytes::from(kept)).ok()).flatten()
}

/// Without space and tab at the ends.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// What the gateway says about a request to an own upstream.
pub(super) struct About<'a> {
    pub(super) client: Option<&'a HeaderValue>,
    pub(super) proto: &'static str,
    pub(super) host: &'a HeaderValue,
    pub(super) request_id: &'a HeaderValue,
}

/// Says to an own upstream who asks and for which address. Values that no header can carry are left out.
pub(super) fn add_forwarded(
    headers: &mut HeaderMap,
    about: About<'_>,
    prefix: &str,
    identity: Option<&Identity>,
) {
    headers.insert(X_REQUEST_ID, about.request_id.clone());
    if let Some(client) = about.client {
        headers.insert(X_FORWARDED_FOR, client.clone());
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(about.proto));
    headers.insert(X_FORWARDED_HOST, about.host.clone());
    if !prefix.is_empty() {
        put(headers, X_FORWARDED_PREFIX, prefix);
    }
    let Some(identity) = identity else { return };
    put(headers, X_FORWARDED_USER, &identity.user_id.to_string());
    if !identity.email.is_empty() {
        put(headers, X_FORWARDED_EMAIL, &identity.email);
    }
    // A comma inside a name would make two groups of one.
    let groups: Vec<&str> = identity.groups.iter().map(String::as_str).filter(|g| !g.contains(',')).collect();
    if !groups.is_empty() {
        put(headers, X_FORWARDED_GROUPS, &groups.join(","));
    }
}

/// Says to the Supabase project which project is meant, and to log readers which request.
pub(super) fn add_key(headers: &mut HeaderMap, key: HeaderValue, request_id: HeaderValue) {
    headers.insert(APIKEY, key);
    headers.insert(X_REQUEST_ID, request_id);
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;

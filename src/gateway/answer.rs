//! Answers on their way to a browser: what an upstream may not say on our origin (S-09, S-54, S-55, S-67).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::headers::{folded, names, remove, strip_named_by_connection, trim};
use super::location::{self, Astray, Here};
use super::settings::{Cache, Kind};
use super::upstream::{Service, Upstream};

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");
const ATTACHMENT: HeaderValue = HeaderValue::from_static("attachment");

/// What the gateway knows about a request when its answer comes.
pub(super) struct Asked<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) service: Option<Service>,
    /// The rule asks for nobody, and nobody's token went along.
    pub(super) public: bool,
    /// The browser would show the answer as a page.
    pub(super) as_document: bool,
    pub(super) here: Here<'a>,
}

/// Makes the head of an answer fit for our origin.
///
/// # Errors
///
/// [`Astray`] when it sends the browser elsewhere.
pub(super) fn clean(
    headers: &mut HeaderMap,
    status: StatusCode,
    has_body: bool,
    asked: &Asked<'_>,
) -> Result<(), Astray> {
    headers.reserve(8); // for what follows, once
    correct_location(headers, asked)?;
    let doomed = names(headers, is_dropped);
    let framed_by_chunks = doomed.contains(&header::TRANSFER_ENCODING);
    if doomed.contains(&header::CONNECTION) {
        strip_named_by_connection(headers);
    }
    let cookies = kept_cookies(headers, &asked.upstream.pass_cookies);
    remove(headers, &doomed);
    if framed_by_chunks {
        headers.remove(header::CONTENT_LENGTH);
    }
    let sets_cookies = !cookies.is_empty();
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    let media = media_type(headers);
    let passive = media.is_some_and(is_passive);
    let inline = media.is_some_and(|media| is_inline(media, &asked.upstream.inline_types));
    correct_caching(headers, passive && !sets_cookies, sets_cookies, asked);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if asked.upstream.kind == Kind::App {
        headers.entry(header::REFERRER_POLICY).or_insert(SAME_ORIGIN); // its forms need an Origin (S-13)
        return Ok(());
    }
    headers.insert(header::REFERRER_POLICY, NO_REFERRER);
    if asked.service == Some(Service::PublicStorage) {
        headers.remove(CORP); // public files may be shown by other sites
    } else {
        headers.insert(CORP, SAME_ORIGIN);
    }
    if has_body && status != StatusCode::NOT_MODIFIED {
        if !passive {
            headers.insert(header::CONTENT_SECURITY_POLICY, SANDBOX);
        }
        if (!passive || asked.as_document) && !inline {
            attach(headers);
        }
    }
    Ok(())
}

/// Forbids every cache to keep an answer, whatever it said before (S-09). For answers that set one of our cookies, too.
pub fn never_cached(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    remove_other_caching(headers);
}

fn remove_other_caching(headers: &mut HeaderMap) {
    // Answers have few headers: those that are there are looked at, not those that could be.
    let caches = |name: &HeaderName| {
        matches!(
            name.as_str(),
            "cdn-cache-control" | "cloudflare-cdn-cache-control" | "surrogate-control" | "expires" | "pragma"
        )
    };
    let doomed = names(headers, caches);
    remove(headers, &doomed);
}

fn correct_caching(headers: &mut HeaderMap, may_be_private: bool, sets_cookies: bool, asked: &Asked<'_>) {
    let theirs = asked.service == Some(Service::PublicStorage) || asked.upstream.kind == Kind::App;
    if asked.public && theirs && !sets_cookies {
        return;
    }
    let private = (may_be_private && asked.upstream.cache == Cache::Private).then(|| made_private(headers));
    headers.insert(header::CACHE_CONTROL, private.flatten().unwrap_or(NO_STORE));
    remove_other_caching(headers);
}

/// What the upstream grants, for the browser alone. `None` if it grants nothing.
fn made_private(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut private = String::from("private");
    let mut grants = false;
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    for directive in lines.filter_map(|v| v.to_str().ok()).flat_map(|line| line.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.split('=').next()? {
            "no-store" => return None,
            "max-age" | "no-cache" => grants = true,
            "must-revalidate" | "immutable" | "stale-while-revalidate" => {}
            _ => continue,
        }
        private.push_str(", ");
        private.push_str(&directive);
    }
    grants.then(|| HeaderValue::from_str(&private).ok()).flatten()
}

fn is_dropped(name: &HeaderName) -> bool {
    let name = folded(name);
    match &*name {
        b"connection" | b"keep-alive" | b"te" | b"trailer" | b"transfer-encoding" | b"upgrade" => true,
        b"set-cookie"
        | b"clear-site-data"
        | b"service-worker-allowed"
        | b"strict-transport-security"
        | b"alt-svc"
        | b"refresh"
        | b"x-sendfile"
        | b"www-authenticate"
        | b"server"
        | b"x-powered-by" => true,
        // Ours to say, or an echo of what was sent there.
        b"x-request-id" | b"x-session-ended" | b"authorization" | b"apikey" => true,
        _ => {
            let prefixes = [&b"access-control-"[..], b"x-accel-", b"sb-auth-", b"proxy-"];
            prefixes.iter().any(|prefix| name.starts_with(prefix))
        }
    }
}

/// The cookies that the upstream may set, without `Domain`.
fn kept_cookies(headers: &HeaderMap, pass: &[String]) -> Vec<HeaderValue> {
    if pass.is_empty() {
        return Vec::new();
    }
    let kept = |value: &HeaderValue| {
        let mut parts = value.as_bytes().split(|b| *b == b';');
        let pair = trim(parts.next()?);
        let name = trim(&pair[..pair.iter().position(|b| *b == b'=')?]);
        if !pass.iter().any(|p| p.as_bytes() == name) {
            return None;
        }
        let mut line = pair.to_vec();
        for attribute in parts.map(trim) {
            let name = attribute.split(|b| *b == b'=').next().unwrap_or_default();
            if !attribute.is_empty() && !trim(name).eq_ignore_ascii_case(b"domain") {
                line.extend(b"; ");
                line.extend(attribute);
            }
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(line)).ok()
    };
    headers.get_all(header::SET_COOKIE).iter().filter_map(kept).collect()
}

fn correct_location(headers: &mut HeaderMap, asked: &Asked<'_>) -> Result<(), Astray> {
    let mut values = headers.get_all(header::LOCATION).iter();
    let Some(value) = values.next() else { return Ok(()) };
    if values.next().is_some() {
        return Err(Astray); // which one is followed differs
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Astray)?;
    if let Some(path) = location::judge(text, asked.upstream, asked.here)? {
        headers.insert(header::LOCATION, HeaderValue::try_from(path).map_err(|_| Astray)?);
    }
    Ok(())
}

/// The one content type of an answer without its parameters; `None` if there is none or the browser might see another.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() || value.as_bytes().contains(&b',') {
        return None;
    }
    let end = value.bytes().position(|byte| byte == b';').unwrap_or(value.len());
    Some(value[..end].trim())
}

/// Whether a browser only ever shows or stores such content: nothing in it runs.
fn is_passive(media_type: &str) -> bool {
    let Some((kind, subtype)) = media_type.split_once('/') else { return false };
    let is_of = |kinds: &[&str]| kinds.iter().any(|word| kind.eq_ignore_ascii_case(word));
    let is = |word: &str| subtype.eq_ignore_ascii_case(word);
    let ends = |suffix: &str| {
        subtype.len() >= suffix.len()
            && subtype.as_bytes()[subtype.len() - suffix.len()..].eq_ignore_ascii_case(suffix.as_bytes())
    };
    if is_of(&["application"]) {
        is("json") || is("octet-stream") || ends("+json")
    } else if is_of(&["text"]) {
        is("plain")
    } else {
        is_of(&["image", "audio", "video", "font"]) && !ends("xml") && !subtype.is_empty()
    }
}

fn is_inline(media_type: &str, types: &[String]) -> bool {
    types.iter().any(|inline| media_type.eq_ignore_ascii_case(inline))
}

/// Makes the browser save the body, under the name the upstream gave it.
fn attach(headers: &mut HeaderMap) {
    let given = headers.get(header::CONTENT_DISPOSITION).map(|value| {
        let bytes = value.as_bytes();
        let end = bytes.iter().position(|b| matches!(b, b';' | b' ' | b'\t')).unwrap_or(bytes.len());
        &bytes[end..]
    });
    let value = match given.map(trim) {
        Some(parameters) if parameters.starts_with(b";") => {
            let text = [b"attachment", parameters].concat();
            HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).unwrap_or(ATTACHMENT)
        }
        _ => ATTACHMENT,
    };
    headers.insert(header::CONTENT_DISPOSITION, value);
}

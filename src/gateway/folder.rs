//! Folders of static files: what lies in one, and nothing beside it.
//!
//! tower-http's `ServeDir` reads files, ranges, conditions and precompressed siblings. Before it is asked, the path was judged
//! like any other (S-49), and here every link is followed to where it leads: what lies outside is not there.

use std::path::{Path, PathBuf};

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use super::Error;

/// What `ServeDir` may know of a request.
const ASKED: [HeaderName; 7] = [
    header::ACCEPT_ENCODING,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const SAMEORIGIN: HeaderValue = HeaderValue::from_static("SAMEORIGIN");
/// The one name with a dot in front that the web itself asks for (RFC 8615).
const WELL_KNOWN: &str = ".well-known";
const INDEX: &str = "index.html";

/// A folder that is served.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// With every link followed.
    root: PathBuf,
    /// Paths without a file are those of one page.
    spa: bool,
    files: ServeDir,
}

/// What a path leads to.
enum Found {
    /// A file at this place below the root.
    File(String),
    /// A folder with an `index.html`, asked for without its slash.
    Slash,
    Nothing,
}

impl Folder {
    /// The folder at `path`, which must be there.
    pub(super) fn open(path: &Path, spa: bool) -> std::io::Result<Self> {
        let root = path.canonicalize()?;
        if !root.is_dir() {
            return Err(std::io::ErrorKind::NotADirectory.into());
        }
        let files = ServeDir::new(&root).append_index_html_on_directories(false);
        Ok(Self { files: files.precompressed_br().precompressed_gzip(), root, spa })
    }

    /// The file at `path`, which is the judged one below the rule's prefix.
    pub(super) async fn answer(
        &self,
        path: &str,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Error> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Error::Method);
        }
        if segments(path).is_none() {
            return Err(Error::NoUpstream); // nobody's business, whatever a page would make of it
        }
        let place = match self.find(path).await {
            Found::File(place) => place,
            Found::Slash => return Ok(to_slash(path)),
            Found::Nothing if self.spa && is_of_the_page(path, headers) => match self.find("/").await {
                Found::File(place) => place,
                Found::Slash | Found::Nothing => return Err(Error::NoUpstream),
            },
            Found::Nothing => return Err(Error::NoUpstream),
        };
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = place.parse::<Uri>().map_err(|_| Error::NoUpstream)?;
        for name in ASKED {
            if let Some(value) = headers.get(&name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        if !self.siblings_are_inside(&place).await {
            request.headers_mut().remove(header::ACCEPT_ENCODING);
        }
        let Ok(answer) = self.files.clone().oneshot(request).await;
        if answer.status() == StatusCode::NOT_FOUND {
            return Err(Error::NoUpstream); // it was taken away this very moment
        }
        let mut answer = answer.map(Body::new);
        dress(answer.headers_mut());
        Ok(answer)
    }

    async fn find(&self, path: &str) -> Found {
        let Some(segments) = segments(path) else { return Found::Nothing };
        let mut place = self.root.clone();
        place.extend(&segments);
        let raw = format!("/{}", path.trim_matches('/'));
        if self.is_file_inside(&place).await {
            return if path.ends_with('/') && path != "/" { Found::Nothing } else { Found::File(raw) };
        }
        if !self.is_file_inside(&place.join(INDEX)).await {
            return Found::Nothing;
        }
        match path {
            "" | "/" => Found::File(format!("/{INDEX}")),
            _ if path.ends_with('/') => Found::File(format!("{raw}/{INDEX}")),
            _ => Found::Slash,
        }
    }

    /// Whether a regular file of this folder is at `place`, with every link followed.
    async fn is_file_inside(&self, place: &Path) -> bool {
        let Ok(real) = tokio::fs::canonicalize(place).await else { return false };
        real.starts_with(&self.root) && tokio::fs::metadata(&real).await.is_ok_and(|found| found.is_file())
    }

    /// Whether the precompressed siblings of the file at `place` are files of this folder, as far as there are any.
    async fn siblings_are_inside(&self, place: &str) -> bool {
        let Some(segments) = segments(place) else { return false };
        for ending in ["br", "gz"] {
            let mut sibling = self.root.clone();
            sibling.extend(&segments);
            sibling.as_mut_os_string().push(format!(".{ending}"));
            let there = tokio::fs::symlink_metadata(&sibling).await.is_ok();
            if there && !self.is_file_inside(&sibling).await {
                return false;
            }
        }
        true
    }
}

/// The decoded segments of `path`; `None` if no file can be meant, or one that is nobody's business.
fn segments(path: &str) -> Option<Vec<String>> {
    let decode = |segment: &str| {
        let bytes = percent_decoded(segment)?;
        let text = String::from_utf8(bytes).ok()?;
        let hidden = text.starts_with('.') && text != WELL_KNOWN;
        (!hidden && !text.contains(['/', '\\', '\0'])).then_some(text)
    };
    path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect()
}

fn percent_decoded(segment: &str) -> Option<Vec<u8>> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    Some(decoded)
}

/// Whether a page that routes by itself would know `path`: a script or picture that is missing is missing.
fn is_of_the_page(path: &str, headers: &HeaderMap) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let html = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
    html || !last.contains('.')
}

/// To the same path with a slash at its end, so that the links of its page lead where they should. The target is relative: it
/// holds whatever the rule strips.
fn to_slash(path: &str) -> Response<Body> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(location) = HeaderValue::try_from(format!("./{last}/")) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

fn dress(headers: &mut HeaderMap) {
    headers.entry(header::CACHE_CONTROL).or_insert(NO_CACHE); // it may be kept, and is asked about
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let Some(kind) = kind else { return };
    if kind.starts_with("text/")
        && !kind.contains("charset")
        && let Ok(kind) = HeaderValue::try_from(format!("{kind}; charset=utf-8"))
    {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    if kind.starts_with("text/html") {
        headers.insert(header::X_FRAME_OPTIONS, SAMEORIGIN);
    }
}

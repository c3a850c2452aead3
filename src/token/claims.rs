//! What a token says about a person, with exact types (S-34).

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Invalid;

/// The last second of the year 9999: what lies behind it is no date.
const LAST_SECOND: i64 = 253_402_300_799;

/// The claims of a verified access token: those that every request asks for, and the text of all of them. That is small,
/// and there may be very many people.
#[derive(Clone, PartialEq)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// The person, together with [`iss`](Self::iss) (S-102).
    pub sub: Uuid,
    /// The session at GoTrue.
    pub session_id: Uuid,
    /// Whom it is for; GoTrue writes a text, a hook sometimes a list (contract, section 6).
    pub aud: Vec<String>,
    /// Seconds since 1970: not to be accepted from here on.
    pub exp: i64,
    /// Seconds since 1970: when it was made.
    pub iat: i64,
    /// Seconds since 1970: not to be accepted before.
    pub nbf: Option<i64>,
    /// The role in the database, usually `authenticated`.
    pub role: String,
    /// Assurance: 1, or 2 after a second factor. Absent counts as 1 (S-100).
    pub aal: u8,
    /// How the person proved who he is, newest first.
    pub amr: Vec<Amr>,
    /// Empty if there is none.
    pub email: String,
    /// Empty if there is none.
    pub phone: String,
    /// Signed in without an identity.
    pub is_anonymous: bool,
    text: Box<str>,
    worked_out: WorkedOut,
}

/// Every claim of a token, read from its text: the "JWT Claims Set" of RFC 7519.
pub struct ClaimsSet(Map<String, Value>);

/// What somebody made of these very claims, so that it need not be made again at every request.
#[derive(Default)]
struct WorkedOut(OnceLock<(u64, Arc<dyn Any + Send + Sync>)>);

/// A copy may be changed: it starts without.
impl Clone for WorkedOut {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// It follows from the claims and adds nothing to them.
impl PartialEq for WorkedOut {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// One proof of identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amr {
    /// Such as `password`, `oauth`, `totp`.
    pub method: String,
    /// Seconds since 1970; a hook may leave it out.
    pub timestamp: Option<i64>,
}

impl Claims {
    /// Reads claims with their exact types; a wrong type is a fault, never an absence. Who signed them, and
    /// whether they are of this day, is not asked: that is [`verify`](super::verify).
    ///
    /// # Errors
    ///
    /// [`Invalid::Claims`] names the first claim at fault.
    pub fn read(all: Map<String, Value>) -> Result<Self, Invalid> {
        Ok(Self {
            iss: needed(text(&all, "iss")?, "iss")?,
            sub: id(&all, "sub")?,
            session_id: id(&all, "session_id")?,
            aud: audiences(&all)?,
            exp: needed(instant(all.get("exp"), "exp")?, "exp")?,
            iat: needed(instant(all.get("iat"), "iat")?, "iat")?,
            nbf: instant(all.get("nbf"), "nbf")?,
            role: needed(text(&all, "role")?, "role")?,
            aal: assurance(&all)?,
            amr: proofs(&all)?,
            email: text(&all, "email")?.unwrap_or_default(),
            phone: text(&all, "phone")?.unwrap_or_default(),
            is_anonymous: match all.get("is_anonymous") {
                None => false,
                Some(Value::Bool(value)) => *value,
                Some(_) => return Err(Invalid::Claims("is_anonymous")),
            },
            text: Value::Object(all).to_string().into(),
            worked_out: WorkedOut::default(),
        })
    }

    /// What `make` makes of these claims. It is kept beside them for whoever asks first; `by` names him, and the rules
    /// by which he works: another gets his own, which is not kept.
    pub fn work_out<T: Send + Sync + 'static>(&self, by: u64, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some((whose, kept)) = self.worked_out.0.get() {
            let known = (*whose == by).then(|| Arc::clone(kept).downcast().ok()).flatten();
            return known.unwrap_or_else(|| Arc::new(make()));
        }
        let made = Arc::new(make());
        let _ = self.worked_out.0.set((by, made.clone())); // another was first: his is as good
        made
    }

    /// Claims that somebody made up to see what a rule would say: members that a token must have and these lack
    /// are filled in, for a user of role `authenticated` at `now`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), for the members that are there.
    pub fn suppose(mut some: Map<String, Value>, now: OffsetDateTime) -> Result<Self, Invalid> {
        let now = now.unix_timestamp();
        let nobody = Value::from(Uuid::nil().to_string());
        for (name, value) in [
            ("iss", Value::from("supposed")),
            ("sub", nobody.clone()),
            ("session_id", nobody),
            ("aud", Value::from("authenticated")),
            ("exp", Value::from(now.saturating_add(3600))),
            ("iat", Value::from(now)),
            ("role", Value::from("authenticated")),
        ] {
            some.entry(name).or_insert(value);
        }
        Self::read(some)
    }

    /// All of them. Reads their text, which takes some microseconds: ask once for several.
    pub fn set(&self) -> ClaimsSet {
        ClaimsSet(serde_json::from_str(&self.text).unwrap_or_default()) // it was written from such a map
    }

    /// When [`exp`](Self::exp) is.
    pub fn expires_at(&self) -> OffsetDateTime {
        moment(self.exp)
    }

    /// When the person last proved who he is; `None` if no proof has a time. A refresh does not change it.
    pub fn auth_time(&self) -> Option<OffsetDateTime> {
        self.amr.iter().filter_map(|proof| proof.timestamp).max().map(moment)
    }
}

impl ClaimsSet {
    /// The claim at a dotted path such as `app_metadata.role`. Never anything of `user_metadata`: every user can
    /// write that himself (S-99).
    pub fn at(&self, path: &str) -> Option<&Value> {
        let mut names = path.split('.');
        let first = names.next().filter(|name| *name != "user_metadata")?;
        names.try_fold(self.0.get(first)?, |value, name| value.as_object()?.get(name))
    }

    /// What the user says about himself: for display, never for a decision.
    pub fn user_metadata(&self) -> Option<&Map<String, Value>> {
        self.0.get("user_metadata")?.as_object()
    }

    /// What the project says about the user.
    pub fn app_metadata(&self) -> Option<&Map<String, Value>> {
        self.0.get("app_metadata")?.as_object()
    }

    /// Every claim as it came, `user_metadata` among them: to be shown or copied, never for a decision.
    pub fn all(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Prints nothing that belongs to a person.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("role", &self.role).field("exp", &self.exp).finish_non_exhaustive()
    }
}

/// Prints the names alone.
impl fmt::Debug for ClaimsSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn needed<T>(value: Option<T>, name: &'static str) -> Result<T, Invalid> {
    value.ok_or(Invalid::Claims(name))
}

fn text(all: &Map<String, Value>, name: &'static str) -> Result<Option<String>, Invalid> {
    match all.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Invalid::Claims(name)),
    }
}

/// A UUID in the one spelling that GoTrue writes: 36 characters with hyphens.
fn id(all: &Map<String, Value>, name: &'static str) -> Result<Uuid, Invalid> {
    let text = needed(text(all, name)?, name)?;
    let uuid = (text.len() == 36).then(|| Uuid::try_parse(&text).ok()).flatten();
    needed(uuid, name)
}

/// An integer, written as one, from 1970 to 9999.
fn instant(value: Option<&Value>, name: &'static str) -> Result<Option<i64>, Invalid> {
    let Some(value) = value else { return Ok(None) };
    let seconds = value.as_i64().filter(|s| (0..=LAST_SECOND).contains(s));
    needed(seconds, name).map(Some)
}

fn audiences(all: &Map<String, Value>) -> Result<Vec<String>, Invalid> {
    let wrong = Invalid::Claims("aud");
    match all.get("aud") {
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(many)) => {
            many.iter().map(|one| one.as_str().map(str::to_owned).ok_or(wrong)).collect()
        }
        _ => Err(wrong),
    }
}

fn assurance(all: &Map<String, Value>) -> Result<u8, Invalid> {
    match all.get("aal").map(Value::as_str) {
        None | Some(Some("aal1")) => Ok(1),
        Some(Some("aal2")) => Ok(2),
        Some(_) => Err(Invalid::Claims("aal")),
    }
}

fn proofs(all: &Map<String, Value>) -> Result<Vec<Amr>, Invalid> {
    let wrong = Invalid::Claims("amr");
    let proof = |entry: &Value| match entry {
        Value::String(method) => Ok(Amr { method: method.clone(), timestamp: None }),
        Value::Object(members) => {
            let method = members.get("method").and_then(Value::as_str).ok_or(wrong)?.to_owned();
            Ok(Amr { method, timestamp: instant(members.get("timestamp"), "amr")? })
        }
        _ => Err(wrong),
    };
    match all.get("amr") {
        None => Ok(Vec::new()),
        Some(Value::Array(entries)) => entries.iter().map(proof).collect(),
        Some(_) => Err(wrong),
    }
}

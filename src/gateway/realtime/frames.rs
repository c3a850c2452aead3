//! Frames of Supabase Realtime as far as tokens go (S-59): Phoenix's serializers 1.0.0 (objects) and 2.0.0 (arrays).
//!
//! Two events bring a token, `phx_join` and `access_token`; these are written anew. Every other frame passes as it came, once
//! it is clear that no reader takes it for one of the two.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base::secret::Secret;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

const JOIN: &str = "phx_join";
const LEAVE: &str = "phx_leave";
const TOKEN: &str = "access_token";
/// What else a join may bring in place of a token: names of earlier clients, and of the query.
const OTHERS: [&str; 3] = ["user_token", "apikey", "token"];
/// Most channels of one socket, and most bytes of a topic.
const CHANNELS: usize = 500;
const TOPIC: usize = 1024;
/// Tokens that frames from Realtime are looked through for: the newest, and those before it.
const REMEMBERED: usize = 4;

/// How a connection writes its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// 1.0.0: `{"topic","event","payload","ref","join_ref"}`.
    Objects,
    /// 2.0.0: `[join_ref, ref, topic, event, payload]`.
    Arrays,
}

impl Protocol {
    /// As `vsn` in the query says, which Phoenix reads the same way; `None` for a version that is neither.
    pub fn of(query: &str) -> Option<Self> {
        let mut named = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "vsn");
        match (named.next().map(|(_, vsn)| vsn).as_deref(), named.next()) {
            (None | Some("1.0.0"), None) => Some(Self::Objects),
            (Some("2.0.0"), None) => Some(Self::Arrays),
            _ => None,
        }
    }
}

/// Why a frame of the browser ends the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// No message of the protocol.
    Malformed,
    /// It means somebody else than whoever the socket belongs to.
    SomebodyElse,
    /// One channel too many.
    TooMany,
}

/// The channels of one socket and the tokens that it has had.
pub(super) struct Channels {
    protocol: Protocol,
    /// The join reference of each topic.
    joined: BTreeMap<String, Value>,
    /// The newest last.
    tokens: Vec<Secret<String>>,
}

#[derive(Deserialize)]
struct Object<'a, P> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default = "none")]
    payload: Option<P>,
    #[serde(default, rename = "ref")]
    reference: Value,
    #[serde(default)]
    join_ref: Value,
}

fn none<P>() -> Option<P> {
    None
}

#[derive(Deserialize)]
struct Array<'a, P>(Value, Value, #[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>, P);

impl Channels {
    /// No channel yet; `token` goes into every join.
    pub(super) fn new(protocol: Protocol, token: Secret<String>) -> Self {
        Self { protocol, joined: BTreeMap::new(), tokens: vec![token] }
    }

    /// What goes upstream in place of `text` of the browser; `None`: the same. `means_another` judges the token that it brought.
    pub(super) fn upward(
        &mut self,
        text: &str,
        means_another: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<Option<String>, Refused> {
        let (topic, event) = self.address(text)?;
        match event.as_ref() {
            JOIN | TOKEN => {}
            LEAVE => {
                self.joined.remove(topic.as_ref());
                return Ok(None);
            }
            _ => return Ok(None),
        }
        let mut whole = self.whole(text)?;
        let brought = std::iter::once(TOKEN).chain(OTHERS).filter_map(|name| whole.payload.remove(name));
        let brought: Vec<Value> = brought.collect();
        if brought.iter().filter_map(Value::as_str).any(means_another) {
            return Err(Refused::SomebodyElse);
        }
        if event == JOIN {
            let known = self.joined.contains_key(topic.as_ref());
            if topic.len() > TOPIC || (!known && self.joined.len() >= CHANNELS) {
                return Err(Refused::TooMany);
            }
            self.joined.insert(topic.into_owned(), whole.join_ref.clone());
        }
        whole.payload.insert(TOKEN.to_owned(), Value::from(self.token().expose().as_str()));
        Ok(Some(self.write(whole)))
    }

    /// Whether the binary frame `bytes` of the browser passes. A push (Phoenix's kind 0) can name any event; the two that bring
    /// a token are texts.
    pub(super) fn passes(bytes: &[u8]) -> bool {
        let [0, join_ref, reference, topic, event, rest @ ..] = bytes else { return true };
        let from = usize::from(*join_ref) + usize::from(*reference) + usize::from(*topic);
        let name = rest.get(from..from + usize::from(*event));
        name.is_some_and(|name| name != JOIN.as_bytes() && name != TOKEN.as_bytes())
    }

    /// From now on `token` counts: what tells every channel so.
    pub(super) fn renew(&mut self, token: Secret<String>) -> Vec<String> {
        if self.token() == &token {
            return Vec::new();
        }
        if self.tokens.len() == REMEMBERED {
            self.tokens.remove(0);
        }
        self.tokens.push(token);
        let text = self.token().expose().as_str();
        let channels = self.joined.iter().map(|(topic, join_ref)| Whole {
            topic: topic.clone(),
            event: TOKEN.to_owned(),
            payload: Map::from_iter([(TOKEN.to_owned(), Value::from(text))]),
            reference: Value::Null,
            join_ref: join_ref.clone(),
        });
        channels.map(|whole| self.write(whole)).collect()
    }

    /// What goes to the browser in place of `text`; `None`: the same.
    pub(super) fn downward(&self, text: &str) -> Option<String> {
        let mut cleaned = None;
        for token in self.tokens.iter().filter(|token| !token.expose().is_empty()) {
            let seen = cleaned.as_deref().unwrap_or(text);
            if memmem::find(seen.as_bytes(), token.expose().as_bytes()).is_some() {
                cleaned = Some(seen.replace(token.expose().as_str(), ""));
            }
        }
        cleaned
    }

    /// Whether a binary frame of Realtime holds a token.
    pub(super) fn holds_token(&self, bytes: &[u8]) -> bool {
        let mut tokens = self.tokens.iter().map(|token| token.expose().as_bytes());
        tokens.any(|token| !token.is_empty() && memmem::find(bytes, token).is_some())
    }

    fn token(&self) -> &Secret<String> {
        &self.tokens[self.tokens.len() - 1] // there is always one
    }

    /// Topic and event of `text`. A doubled member, which two readers take for two things, is malformed.
    fn address<'a>(&self, text: &'a str) -> Result<(Cow<'a, str>, Cow<'a, str>), Refused> {
        // A derived reader takes an array for an object with its members in order.
        let begin = match self.protocol {
            Protocol::Objects => '{',
            Protocol::Arrays => '[',
        };
        if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with(begin) {
            return Err(Refused::Malformed);
        }
        let read = match self.protocol {
            Protocol::Objects => serde_json::from_str::<Object<'a, IgnoredAny>>(text)
                .map(|object| (object.topic, object.event)),
            Protocol::Arrays => {
                serde_json::from_str::<Array<'a, IgnoredAny>>(text).map(|array| (array.2, array.3))
            }
        };
        read.map_err(|_| Refused::Malformed)
    }

    fn whole(&self, text: &str) -> Result<Whole, Refused> {
        let read = match self.protocol {
            Protocol::Objects => {
                serde_json::from_str::<Object<'_, Map<String, Value>>>(text).map(|o| Whole {
                    topic: o.topic.into_owned(),
                    event: o.event.into_owned(),
                    payload: o.payload.unwrap_or_default(),
                    reference: o.reference,
                    join_ref: o.join_ref,
                })
            }
            Protocol::Arrays => serde_json::from_str::<Array<'_, Map<String, Value>>>(text).map(|a| Whole {
                topic: a.2.into_owned(),
                event: a.3.into_owned(),
                payload: a.4,
                reference: a.1,
                join_ref: a.0,
            }),
        };
        read.map_err(|_| Refused::Malformed)
    }

    fn write(&self, whole: Whole) -> String {
        let Whole { topic, event, payload, reference, join_ref } = whole;
        let message = match self.protocol {
            Protocol::Objects => {
                json!({ "topic": topic, "event": event, "payload": payload, "ref": reference, "join_ref": join_ref })
            }
            Protocol::Arrays => json!([join_ref, reference, topic, event, payload]),
        };
        message.to_string()
    }
}

struct Whole {
    topic: String,
    event: String,
    payload: Map<String, Value>,
    reference: Value,
    join_ref: Value,
}

#[cfg(test)]
mod tests;

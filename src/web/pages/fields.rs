//! Small readers for fields that a form and JSON write differently.

use serde::{Deserialize, Deserializer};

/// A tick: `true`, or what a checked box sends.
pub(super) fn tick<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Flag(bool),
        Word(String),
        Nothing(()),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Flag(flag) => flag,
        Either::Word(word) => matches!(word.as_str(), "on" | "1" | "true" | "yes"),
        Either::Nothing(()) => false,
    })
}

//! Stories in a real browser.

mod forms;
mod keyboard;
mod script;

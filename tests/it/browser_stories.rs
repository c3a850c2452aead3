//! Stories in a real browser.

mod account;
mod barriers;
mod devices;
mod forms;
mod keyboard;
mod language;
mod look;
mod mails;
mod pictures;
mod script;
mod two_steps;
mod unexpected;
mod vite;

/// Calls of the demo page: label, name, status for a signed-in person of the role `user`, words of the answer.
const CALLS: [(&str, &str, &str, &str); 6] = [
    ("Read items", "read", "200", "A longer rope"),
    ("Create an item without the right to", "write", "403", "insufficient_scope"),
    ("Leave out the X-CSRF header", "header", "403", "csrf_header"),
    ("Ask for two steps", "steps", "401", "insufficient_user_authentication"),
    ("Ask who the API sees", "me", "200", "app_metadata"),
    ("Renew the session now", "refresh", "204", "POST /auth/refresh"),
];

//! `/supabase/*`: what supabase-js talks to in place of the project. The data services are a matter of rules and the
//! gateway (`web/routes.rs`); here is what this program itself has a part in.

pub(super) mod phantom;
pub(super) mod realtime;

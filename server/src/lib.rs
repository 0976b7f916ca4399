//! tenun-server: ingest, canonical store, exports and the coordinators' pages.
//!
//! `http` translates, `domain` decides, `store` alone knows SQL. One thread writes and commits in groups
//! ([`writer`]); readers look at snapshots ([`readers`]); another thread validates what came in ([`validator`]). `docs/ARCHITECTURE.md` walks through an answer's
//! way in.

pub mod answers_first;
pub mod depot;
pub mod domain;
pub mod http;
pub mod readers;
pub mod state;
pub mod store;
pub mod turns;
pub mod validator;
pub mod writer;

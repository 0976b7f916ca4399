//! What end-to-end tests and the demonstration share: a real server process, real devices, and households
//! from the fixtures typed into them, with an account of every answer.

pub mod account;
pub mod bench;
pub mod bucket;
pub mod field;
pub mod hub;
pub mod line;
pub mod mutants;
pub mod night;
pub mod photos;
pub mod powerloss;
pub mod raw;
pub mod review;
pub mod server;
pub mod sim;
pub mod survey;

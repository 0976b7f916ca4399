//! The simulator: the real engine and the real stores in a world that follows from a seed.
//!
//! Hundreds of devices, days of work in seconds, and any mix of what goes wrong: lines, crashes, clocks, copies, disks, people.
//! Time, chance and the network are simulated; devices, their databases, the server's store and its domain are the
//! real ones. After each run the laws are checked against an oracle that knows every answer ever tapped. The same seed gives
//! the same run, and a failing run shrinks to the events that it needs.
//!
//! | module | what it owns |
//! |---|---|
//! | [`plan`] | what happens: events from a seed |
//! | [`world`] | the world and its time; `work`, `network`, `desk`, `register`, `settle` are what happens in it |
//! | [`office`] | the real server in process, and the ways to kill it |
//! | [`phone`] | a real device, and the ways to kill, copy and lose it |
//! | [`oracle`] | every save and every ack |
//! | [`naive`] | the merge once more, from the words of the protocol alone |
//! | [`laws`] | what must hold in the end |
//! | [`run`] | one run of a plan, and how a failing one shrinks; [`soak`] many of them |

mod desk;
pub mod dice;
mod disk;
pub mod forms;
pub mod laws;
pub mod naive;
mod network;
pub mod office;
pub mod oracle;
pub mod phone;
pub mod plan;
mod register;
pub mod run;
mod settle;
pub mod soak;
mod work;
pub mod world;

//! The sans-IO sync engine: both halves, each over a small store trait.
//!
//! Server, hub, device and simulator run this code; none of it touches a clock, a network or a disk
//! except through the traits [`intake::Log`] and [`device::DeviceStore`].

pub mod device;
pub mod intake;
pub mod reauthor;

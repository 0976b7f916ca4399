//! What runs on an enumerator's device: the database, the capture of answers and the driver of the sync engine.
//!
//! A phone app embeds this crate: it opens a [`Device`], shows what the device tells and saves what the
//! enumerator enters. A save is one change and durable when the call returns. Clock and randomness come
//! from the [`Host`], the network from a [`transport`]; a browser brings others than a terminal.
//!
//! ```
//! use client_core::{Device, Edit, host::Fixed};
//! use sync_protocol::Value;
//!
//! let folder = tempfile::tempdir().unwrap();
//! let mut device = Device::open(&folder.path().join("device.sqlite"), Fixed::new(1)).unwrap();
//! let household = device.register_household("KP001", &[("head", Value::text("Maria Nalle"))]).unwrap();
//! let shown = device.record(household.into()).unwrap();
//! let head = shown.answer(&"head".parse().unwrap()).unwrap();
//! assert_eq!(*head.siblings[0].value, Value::text("Maria Nalle"));
//! assert_eq!(device.status().unwrap().unsent, 1);
//!
//! device.save(household.into(), "KP001", &[Edit::set("head", Value::text("Maria Bani")).unwrap()]).unwrap();
//! assert_eq!(device.status().unwrap().saved, 2);
//! ```
//!
//! | module | what it owns |
//! |---|---|
//! | [`Device`] | what a screen calls: list, start, save, finish, status |
//! | [`Interview`] | an interview in progress: its screens, what is wrong, where it stands |
//! | [`host`] | clock and randomness |
//! | [`files`] | where the bytes of photos and files lie |
//! | [`Line`] | what a device has learned of its line |
//! | [`night`] | when to sync by itself |
//! | `store` | the SQL: the only place that knows any |
//! | [`transport`] | the network: enrolment and `POST /v1/sync` |

mod device;
mod error;
pub mod files;
pub mod host;
mod interview;
mod line;
#[cfg(feature = "native")]
mod lock;
pub mod night;
#[cfg(feature = "native")]
mod picture;
mod store;
#[cfg(feature = "native")]
pub mod transport;

pub use device::{AttachmentLine, Device, Edit, Moved, RecordSummary, RemarkLine, ReturnedMark, Status, Whereabouts};
pub use error::{Error, FileProblem};
pub use host::Host;
pub use interview::{Asked, Choices, Content, Flaw, Given, Interview, Position, RowLine, Screen};
pub use line::{Crossing, Line};

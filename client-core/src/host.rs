//! Clock and randomness of the device, and marks outside its files: given by its host, never read here.

use sync_protocol::ReplicaId;

/// What the device asks of the machine that it runs on.
pub trait Host {
    /// The wall clock, in milliseconds since 1970; it may be years off.
    fn now_ms(&mut self) -> i64;

    /// Local time less UTC, in minutes; UTC where the host has no zone.
    fn offset_minutes(&mut self) -> i32 {
        0
    }

    /// Fills a buffer with random bytes that nobody can guess.
    fn random(&mut self, buffer: &mut [u8]);

    /// What was last marked of a replica, in a place that is never copied, backed up or restored with the device's files. A host
    /// without such a place knows nothing.
    fn marked(&mut self, replica: ReplicaId) -> Marked {
        let _ = replica;
        Marked::Unknown
    }

    /// Marks that a replica has written on this device, through a seq. A mark that is lost costs nothing but that a copy is
    /// found out later, by the server.
    fn mark(&mut self, replica: ReplicaId, seq: u64) {
        let _ = (replica, seq);
    }
}

/// What a host knows of a replica beside its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// It keeps no marks, or can't read this one.
    Unknown,
    /// The replica was never here.
    Never,
    /// It has written here, through this seq.
    Through(u64),
}

/// The host of a program with an operating system.
#[cfg(feature = "native")]
#[derive(Clone, Debug, Default)]
pub struct System {
    marks: Option<std::path::PathBuf>,
}

#[cfg(feature = "native")]
impl System {
    /// A host that keeps a mark of each device, one small file, in a folder of this machine.
    #[must_use]
    pub fn with_marks(folder: std::path::PathBuf) -> Self {
        Self { marks: Some(folder) }
    }

    /// Where programs of this user keep what belongs to this machine alone: `tenun` in the folder that `XDG_STATE_HOME` names, else in
    /// `.local/state` (XDG Base Directory Specification).
    #[must_use]
    pub fn state_folder() -> Option<std::path::PathBuf> {
        let named = |name| std::env::var_os(name).map(std::path::PathBuf::from).filter(|path| path.is_absolute());
        let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")))?;
        Some(state.join("tenun"))
    }
}

#[cfg(feature = "native")]
impl Host for System {
    #[expect(clippy::disallowed_methods, reason = "this is the place where a native device reads its clock")]
    fn now_ms(&mut self) -> i64 {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    }

    fn offset_minutes(&mut self) -> i32 {
        let now = jiff::Timestamp::from_millisecond(self.now_ms()).unwrap_or_default();
        jiff::tz::TimeZone::system().to_offset(now).seconds() / 60
    }

    #[expect(clippy::expect_used, reason = "without randomness ids would collide and answers be lost: stop instead")]
    fn random(&mut self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system has no randomness");
    }

    fn marked(&mut self, replica: ReplicaId) -> Marked {
        let Some(folder) = &self.marks else { return Marked::Unknown };
        match std::fs::read_to_string(folder.join(replica.to_string())) {
            Ok(text) => text.trim().parse().map_or(Marked::Unknown, Marked::Through),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Marked::Never,
            Err(_) => Marked::Unknown,
        }
    }

    fn mark(&mut self, replica: ReplicaId, seq: u64) {
        let Some(folder) = &self.marks else { return };
        let (file, new) = (folder.join(replica.to_string()), folder.join(format!("{replica}.new")));
        let write = || std::fs::write(&new, seq.to_string()).and_then(|()| std::fs::rename(&new, &file));
        if write().is_err() && std::fs::create_dir_all(folder).is_ok() {
            // Where the mark of a newer state can't be kept, an older one is still true.
            let _ = write();
        }
    }
}

/// A host for tests and examples: a clock that ticks one second a look, and numbers from a seed.
///
/// Its numbers can be guessed: never use it for a real device.
#[derive(Clone, Debug)]
pub struct Fixed {
    now_ms: i64,
    state: u64,
}

impl Fixed {
    /// Makes a host whose clock starts on 2026-01-01.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { now_ms: 1_767_225_600_000, state: seed }
    }
}

impl Host for Fixed {
    fn now_ms(&mut self) -> i64 {
        self.now_ms += 1000;
        self.now_ms
    }

    fn random(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            // The mixing step of SplitMix64 (Steele, Lea, Flood 2014).
            self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (mixed ^ (mixed >> 31)).to_le_bytes()[0];
        }
    }
}

//! A survey that has just been set up: an office, a running server, a logged-in coordinator.

use crate::{
    field::{Enumerator, Phone},
    raw::RawDevice,
    server::{Coordinator, Office, Running},
};
use anyhow::{Context, Result};
use client_core::transport::Http;
use fixtures::World;
use serde_json::json;

/// The coordinator's password in tests.
pub const PASSWORD: &str = "tenun-ikat";

/// A survey of a small world.
#[derive(Debug)]
pub struct Survey {
    /// Whom it is about.
    pub world: World,
    /// Its data and the operator's commands.
    pub office: Office,
    /// The server.
    pub server: Running,
    /// The way to it.
    pub http: Http,
    folder: tempfile::TempDir,
}

/// A survey taken apart.
#[derive(Debug)]
pub struct Parts {
    /// Whom it is about.
    pub world: World,
    /// Its data and the operator's commands.
    pub office: Office,
    /// The server.
    pub server: Running,
    /// Where the data is; removed when dropped.
    pub folder: tempfile::TempDir,
}

impl Parts {
    /// Ends the server, brings a backup back in its place and serves it under the same address.
    ///
    /// # Errors
    /// If a command failed.
    pub async fn restored(mut self, backup: &std::path::Path) -> Result<(Self, Coordinator)> {
        let port = self.server.port()?;
        self.server.kill()?;
        self.office.run("restore", &["--from", backup.to_str().context("a path")?])?;
        self.server = self.office.serve(port)?;
        let coordinator = Coordinator::log_in(&self.server.url, PASSWORD).await?;
        Ok((self, coordinator))
    }
}

impl Survey {
    /// Sets up a survey of so many households and enumerators.
    ///
    /// # Errors
    /// If a command failed.
    pub fn start(households: u64, enumerators: usize) -> Result<Self> {
        Self::start_in(&std::env::temp_dir(), households, enumerators)
    }

    /// Sets up a survey on a certain disk.
    ///
    /// # Errors
    /// If a command failed.
    pub fn start_in(disk: &std::path::Path, households: u64, enumerators: usize) -> Result<Self> {
        let folder = tempfile::tempdir_in(disk)?;
        let world = World::new(7, households, enumerators);
        let office = Office::new(folder.path().join("server"));
        office.prepare(&world, PASSWORD)?;
        let server = office.serve(0)?;
        Ok(Self { world, office, server, http: Http::new()?, folder })
    }

    /// Takes the survey apart, so that its server can be ended and started again.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        let Self { world, office, server, folder, .. } = self;
        Parts { world, office, server, folder }
    }

    /// Where devices keep their databases.
    #[must_use]
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The code of an enumerator.
    ///
    /// # Errors
    /// If there is none of that number.
    pub fn who(&self, number: usize) -> Result<String> {
        Ok(self.world.enumerators().nth(number).context("no such enumerator")?.code)
    }

    /// An area that an enumerator holds.
    ///
    /// # Errors
    /// If there is none of that number.
    pub fn area(&self, number: usize) -> Result<String> {
        let person = self.world.enumerators().nth(number).context("no such enumerator")?;
        Ok(person.areas.first().context("no area")?.clone())
    }

    /// Enrols a real device of an enumerator and syncs it once.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn device(&self, number: usize, name: &str) -> Result<Enumerator> {
        let who = self.who(number)?;
        let code = self.office.device_code(&who)?;
        let seed = name.bytes().fold(u64::try_from(number)?, |seed, byte| seed * 31 + u64::from(byte));
        let phone = Phone::new(seed, 1_767_225_600_000, 0);
        let url = &self.server.url;
        let mut person = Enumerator::enrol(&self.http, url, &code, &who, name, &self.file(name), phone).await?;
        self.sync(&mut person).await?;
        Ok(person)
    }

    /// Enrols a raw device of an enumerator.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn raw(&self, number: usize, seed: u64) -> Result<RawDevice> {
        let code = self.office.device_code(&self.who(number)?)?;
        RawDevice::enrol(&self.server.url, &code, seed).await
    }

    /// Syncs a device.
    ///
    /// # Errors
    /// If it gave up.
    pub async fn sync(&self, person: &mut Enumerator) -> Result<sync_protocol::engine::device::Report> {
        Ok(self.http.sync(&mut person.device, |_| ()).await?.0)
    }

    /// Takes a backup of the running server and verifies it; the folder that it is in.
    ///
    /// # Errors
    /// If the command failed.
    pub fn back_up(&self) -> Result<std::path::PathBuf> {
        let folder = self.file("backups");
        self.office.run("backup", &["--to", folder.to_str().context("a path")?])?;
        Ok(folder)
    }

    /// Takes the first backup of the running server and verifies it; its file, to restore from.
    ///
    /// # Errors
    /// If the command failed.
    pub fn backup(&self) -> Result<std::path::PathBuf> {
        let mut files = std::fs::read_dir(self.back_up()?)?.filter_map(|entry| Some(entry.ok()?.path()));
        files.find(|file| file.extension().is_some_and(|ending| ending == "sqlite")).context("a backup")
    }

    /// Logs the coordinator in.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn coordinator(&self) -> Result<Coordinator> {
        Coordinator::log_in(&self.server.url, PASSWORD).await
    }
}

/// The body of a change that registers a household.
#[must_use]
pub fn household(id: uuid::Uuid, area: &str, head: &str) -> Vec<u8> {
    let set = json!({ "": { "area": area, "head": head } });
    json!({ "household": id, "form": "household@1", "by": "KP001", "at": 1_767_225_600_000_i64, "set": set })
        .to_string()
        .into_bytes()
}

/// The body of a change that answers questions of a household's interview in round 1.
#[must_use]
pub fn interview(household: uuid::Uuid, form: &str, answers: &serde_json::Value) -> Vec<u8> {
    let set = json!({ "": answers });
    json!({ "household": household, "round": "1", "form": form, "by": "KP001", "at": 1_767_225_600_000_i64, "set": set })
        .to_string()
        .into_bytes()
}

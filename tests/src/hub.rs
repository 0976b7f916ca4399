//! Team leaders and their hubs: the real `tenun-field hub` process on a device's database.

use crate::{
    field::{Enumerator, Phone},
    server::program,
    survey::Survey,
};
use anyhow::{Context, Result, bail};
use client_core::transport::Meeting;
use serde_json::Value as Json;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A hub that answers; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    /// Its address.
    pub url: String,
}

impl Running {
    /// Starts a hub on a device's database; returns once it listens.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(database: &Path) -> Result<Self> {
        Self::start_with(database, "127.0.0.1:0", &[])
    }

    /// Starts a hub at an address, with further options.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_with(database: &Path, listen: &str, options: &[&str]) -> Result<Self> {
        // The test itself made the database, on a machine without marks: it is no copy.
        let mut child = Command::new(program("tenun-field")?)
            .env_remove("HOME")
            .env_remove("XDG_STATE_HOME")
            .arg("--db")
            .arg(database)
            .args(["--json", "hub", "--listen", listen])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let first: Json = serde_json::from_str(&line).unwrap_or_default();
        match first.get("listening").and_then(Json::as_str) {
            Some(url) => Ok(Self { child, lines, url: url.to_owned() }),
            None => {
                child.wait()?;
                bail!("the hub did not start: {first}")
            }
        }
    }

    /// The next line that it writes.
    ///
    /// # Errors
    /// If it wrote none and ended.
    pub fn tells(&mut self) -> Result<Json> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a battery that falls out would.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody in the same room who hears every byte.
#[derive(Debug)]
pub struct Overheard {
    heard: Arc<Mutex<Vec<u8>>>,
    /// Where a phone is deceived into going.
    pub url: String,
}

impl Overheard {
    /// Listens between phones and a hub.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start(hub: &str) -> Result<Self> {
        let to = hub.strip_prefix("http://").context("an address")?.to_owned();
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (listener, ear) = (TcpListener::from_std(listener)?, heard.clone());
        tokio::spawn(async move {
            while let Ok((phone, _)) = listener.accept().await {
                let Ok(hub) = TcpStream::connect(&to).await else { break };
                let ((phone_reads, phone_writes), (hub_reads, hub_writes)) = (phone.into_split(), hub.into_split());
                tokio::spawn(listen(phone_reads, hub_writes, ear.clone()));
                tokio::spawn(listen(hub_reads, phone_writes, ear.clone()));
            }
        });
        Ok(Self { heard, url })
    }

    /// All that was heard.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, ear: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let said = piece.get(..count).unwrap_or_default();
        ear.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(said);
        if to.write_all(said).await.is_err() {
            break;
        }
    }
}

impl Survey {
    /// Enrols a device of somebody who leads the team in all areas around those of some enumerators, and syncs it once.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn leader(&self, who: &str, name: &str, people: &[usize]) -> Result<Enumerator> {
        self.office.run("enumerator", &[who, "Ketua Tim"])?;
        let theirs: BTreeSet<String> = self
            .world
            .enumerators()
            .enumerate()
            .filter(|(number, _)| people.contains(number))
            .flat_map(|(_, person)| person.areas)
            .collect();
        let mut arguments = vec![who];
        arguments.extend(theirs.iter().map(String::as_str));
        self.office.run("lead", &arguments)?;
        let code = self.office.device_code(who)?;
        let seed = name.bytes().fold(900, |seed, byte| seed * 31 + u64::from(byte));
        let phone = Phone::new(seed, 1_767_225_600_000, 0);
        let url = &self.server.url;
        let mut person = Enumerator::enrol(&self.http, url, &code, who, name, &self.file(name), phone).await?;
        self.sync(&mut person).await?;
        Ok(person)
    }

    /// Syncs a device with a hub.
    ///
    /// # Errors
    /// If it gave up.
    pub async fn meet(&self, person: &mut Enumerator, hub: &Running) -> Result<Meeting> {
        Ok(self.http.sync_with_hub(&mut person.device, &hub.url, |_| ()).await?)
    }
}

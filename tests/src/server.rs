//! A real `tenun-server` process on a directory of its own, and what a coordinator asks of it.

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The coordinator's login in tests and in the demonstration.
pub const COORDINATOR: &str = "rini";

/// Finds a program of this workspace beside the one that runs.
///
/// # Errors
/// If it was not built.
pub fn program(name: &str) -> Result<PathBuf> {
    let mut folder = std::env::current_exe()?;
    while folder.pop() {
        let candidate = folder.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!("{name} is not built: run `cargo build --workspace` first")
}

/// A data directory and the operator's commands on it.
#[derive(Debug, Clone)]
pub struct Office {
    data: PathBuf,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Office {
    /// Speaks for a data directory.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), environment: Vec::new() }
    }

    /// Gives its programs more of an environment.
    #[must_use]
    pub fn with_environment(self, environment: Vec<(&'static str, PathBuf)>) -> Self {
        Self { environment, ..self }
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(program("tenun-server")?);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Runs an operator's command; what it printed.
    ///
    /// # Errors
    /// If it failed.
    pub fn run(&self, command: &str, arguments: &[&str]) -> Result<String> {
        self.run_with_input(command, arguments, "")
    }

    fn run_with_input(&self, command: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .command()?
            .args(command.split(' '))
            .arg("--data")
            .arg(&self.data)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("tenun-server {command}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Proves a backup; what was printed.
    ///
    /// # Errors
    /// If it is not sound.
    pub fn verify(&self, backup: &Path) -> Result<String> {
        let output = self.command()?.arg("verify-backup").arg(backup).output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Loads the areas, the questionnaire, the enumerators and their assignments of a world.
    ///
    /// # Errors
    /// If a command failed.
    pub fn prepare(&self, world: &fixtures::World, password: &str) -> Result<()> {
        std::fs::create_dir_all(&self.data)?;
        let areas = self.data.join("areas.csv");
        let mut csv = csv::Writer::from_path(&areas)?;
        csv.write_record(["code", "name", "level", "parent"])?;
        let mut official = csv::Reader::from_reader(fixtures::source::AREAS.as_bytes());
        for line in official.records() {
            csv.write_record(&line?)?;
        }
        for area in world.areas() {
            csv.write_record([area.code.as_str(), area.name.as_str(), "rt", area.kelurahan.as_str()])?;
        }
        csv.flush()?;
        let workbook = self.data.join("questionnaire.xlsx");
        std::fs::write(&workbook, fixtures::source::WORKBOOK)?;
        self.run("areas", &[&areas.display().to_string()])?;
        self.run("questionnaire load", &[&workbook.display().to_string()])?;
        for enumerator in world.enumerators() {
            self.run("enumerator", &[&enumerator.code, &enumerator.name])?;
            let mut arguments = vec![enumerator.code.as_str()];
            arguments.extend(enumerator.areas.iter().map(String::as_str));
            self.run("assign", &arguments)?;
        }
        self.run_with_input("coordinator", &[COORDINATOR], &format!("{password}\n"))?;
        Ok(())
    }

    /// Makes a one-time code for an enumerator's device.
    ///
    /// # Errors
    /// If the command failed.
    pub fn device_code(&self, enumerator: &str) -> Result<String> {
        self.run("device-code", &[enumerator])
    }

    /// Starts the server; returns once it listens.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve(&self, port: u16) -> Result<Running> {
        // However full the disk of whoever runs the tests is.
        self.serve_with(port, &["--keep-free", "0"])
    }

    /// Starts the server with further arguments; returns once it listens.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve_with(&self, port: u16, arguments: &[&str]) -> Result<Running> {
        let mut child = self
            .command()?
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match line.trim().strip_prefix("listening on ") {
            Some(url) => Ok(Running { child, url: url.to_owned() }),
            None => {
                child.wait()?;
                bail!("the server did not start on port {port}; its reason stands above")
            }
        }
    }
}

/// A server process; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Its address.
    pub url: String,
}

impl Running {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port that it listens on.
    ///
    /// # Errors
    /// If its address has none.
    pub fn port(&self) -> Result<u16> {
        Ok(self.url.rsplit(':').next().context("no port")?.parse()?)
    }

    /// Ends it at once, as a power cut would (SIGKILL).
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn wait(mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// A figure of the process from `/proc`, in KiB: `VmHWM` is the most memory it ever had.
    #[must_use]
    pub fn memory_kib(&self, figure: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// CPU time of the process so far, user and system, in milliseconds.
    #[must_use]
    pub fn cpu_ms(&self) -> Option<u64> {
        cpu_ms(&self.pid().to_string())
    }
}

/// CPU time of a process by its id, or `self`: user and system, in milliseconds, to the tick of 10.
#[must_use]
pub fn cpu_ms(process: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // 100 ticks a second on every Linux that Rust runs on.
    Some((ticks(11)? + ticks(12)?) * 10)
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A coordinator who is logged in to the API.
#[derive(Debug, Clone)]
pub struct Coordinator {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Coordinator {
    /// Logs in.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn log_in(url: &str, password: &str) -> Result<Self> {
        let client = reqwest::Client::new();
        let body = serde_json::json!({ "account": COORDINATOR, "password": password }).to_string();
        let answer = client.post(format!("{url}/api/v1/login")).body(body).send().await?.error_for_status()?;
        let answer: Json = serde_json::from_slice(&answer.bytes().await?)?;
        let token = answer.get("token").and_then(Json::as_str).context("no token")?.to_owned();
        Ok(Self { client, url: url.to_owned(), token })
    }

    /// Asks the read API.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn get(&self, path: &str) -> Result<Json> {
        let request = self.client.get(format!("{}/api/v1/{path}", self.url)).bearer_auth(&self.token);
        Ok(serde_json::from_slice(&request.send().await?.error_for_status()?.bytes().await?)?)
    }

    /// Decides something; the status, and the body if there is one.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn post(&self, path: &str, body: &Json) -> Result<(u16, Json)> {
        let request = self.client.post(format!("{}/api/v1/{path}", self.url)).bearer_auth(&self.token);
        let answer = request.body(body.to_string()).send().await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or(Json::Null)))
    }

    /// Asks until every interview that was acked is validated; the server's own answers are the clock.
    ///
    /// # Errors
    /// If the server refuses, or never comes to the end of its queue.
    pub async fn validated(&self) -> Result<()> {
        for _ in 0..20_000 {
            let total = self.get("progress?by=total").await?;
            if total.pointer("/items/0/unvalidated").and_then(Json::as_u64).context("no figure")? == 0 {
                return Ok(());
            }
        }
        bail!("the server does not come to the end of its queue")
    }

    /// Every item of a paged list.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn all(&self, list: &str) -> Result<Vec<Json>> {
        let (mut items, mut after) = (Vec::new(), 0);
        let sign = if list.contains('?') { '&' } else { '?' };
        loop {
            let page = self.get(&format!("{list}{sign}limit=1000&after={after}")).await?;
            items.extend(page.get("items").and_then(Json::as_array).cloned().unwrap_or_default());
            match page.get("next").and_then(Json::as_i64) {
                Some(next) => after = next,
                None => return Ok(items),
            }
        }
    }
}

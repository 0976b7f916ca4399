//! The operator's commands; each works on the data directory, beside a running server or without one.

mod assign;
mod attachments;
mod backup;
mod questionnaire;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use server::{
    depot::Reserve,
    domain::{Failure, catalogue::Catalogue, derive, export, identity, people},
    readers::Readers,
    state::{Server, now_ms},
    store::{self, Account},
};
use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use sync_protocol::{Code, Limits};

/// When a sweep that could not be finished is tried again.
const SWEEP_AGAIN: Duration = Duration::from_secs(3600);

/// Tenun's server: receives what enumerators' devices collected, merges it, and shows it to coordinators.
#[derive(Parser)]
#[command(name = "tenun-server", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve devices and coordinators.
    Serve {
        /// The data directory; made if it is not there.
        #[arg(long)]
        data: PathBuf,
        /// The address to listen on; port 0 picks a free one.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Take photos and files only as long as so many MiB of the disk stay free: answers need them more. 1024, or a
        /// twentieth of the disk where that is more, if it is not given.
        #[arg(long, value_name = "MIB")]
        keep_free: Option<u64>,
    },
    /// Load enumeration areas from a CSV file with the columns code, name, level, parent.
    Areas {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The CSV file.
        file: PathBuf,
    },
    /// Load, check or try a questionnaire: an XLSForm workbook.
    #[command(subcommand)]
    Questionnaire(questionnaire::Command),
    /// Add an enumerator, or give one another name.
    Enumerator {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The code that shows up as the author of answers.
        code: String,
        /// The name.
        name: String,
    },
    #[command(flatten)]
    Assign(assign::Command),
    /// Print a one-time code that enrols one device of an enumerator.
    DeviceCode {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The enumerator's code.
        enumerator: String,
        /// Days for which the code is good.
        #[arg(long, default_value_t = 14)]
        days: u32,
    },
    /// Revoke a device: it pulls nothing from then on, and what it pushes is kept apart.
    Revoke {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The device's number, as the page of devices shows it.
        device: i64,
    },
    /// Add a coordinator, or set a new password; it is read from the terminal's standard input.
    Coordinator {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The login.
        name: String,
    },
    /// Write the merged data as CSV: one file for interviews and one for each repeat.
    Export {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The questionnaire, as id@version.
        questionnaire: String,
        /// The folder to write to; made if it is not there.
        #[arg(long)]
        to: PathBuf,
        /// Write the labels of choices in this language instead of their codes; `default` is the
        /// questionnaire's own.
        #[arg(long)]
        labels: Option<String>,
        /// Include personal data.
        #[arg(long)]
        personal: bool,
    },
    #[command(flatten)]
    Backup(backup::Command),
    #[command(flatten)]
    Attachments(attachments::Command),
    /// Derive everything again from the changes, and say whether it is the same, byte for byte.
    Rebuild {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
    },
}

/// Runs the command that was given.
pub(crate) fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve { data, listen, keep_free } => serve(&data, listen, keep_free),
        Command::Areas { data, file } => areas(&data, &file),
        Command::Questionnaire(command) => questionnaire::run(command),
        Command::Enumerator { data, code, name } => enumerator(&data, &code, &name),
        Command::Assign(command) => assign::run(command),
        Command::DeviceCode { data, enumerator, days } => device_code(&data, &enumerator, days),
        Command::Revoke { data, device } => revoke(&data, device),
        Command::Coordinator { data, name } => coordinator(&data, &name),
        Command::Export { data, questionnaire, to, labels, personal } => {
            export(&data, &questionnaire, &to, labels, personal)
        }
        Command::Backup(command) => backup::run(command),
        Command::Attachments(command) => attachments::run(command),
        Command::Rebuild { data } => rebuild(&data),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenun-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn open(data: &Path) -> Result<rusqlite::Connection> {
    std::fs::create_dir_all(data).with_context(|| format!("{} can't be made", data.display()))?;
    let mut conn = store::open_writer(data).with_context(|| format!("{} can't be opened", data.display()))?;
    store::in_transaction(&mut conn, identity::Identity::load_or_make)?;
    Ok(conn)
}

/// Takes a data directory for this process alone, until the file is dropped.
fn lock(data: &Path) -> Result<std::fs::File> {
    let file = data.join("serving.lock");
    let held = std::fs::File::create(&file).with_context(|| format!("{} can't be made", file.display()))?;
    if held.try_lock().is_err() {
        bail!("a server runs on {}: end it first", data.display());
    }
    Ok(held)
}

fn serve(data: &Path, listen: SocketAddr, keep_free: Option<u64>) -> Result<()> {
    std::fs::create_dir_all(data).with_context(|| format!("{} can't be made", data.display()))?;
    let _held = lock(data)?;
    let listener = TcpListener::bind(listen).with_context(|| {
        format!("{listen} can't be listened on: it is taken, or not this machine's; pick another with --listen")
    })?;
    let address = listener.local_addr()?;
    let reserve = keep_free.map_or(Reserve::Usual, |mib| Reserve::Bytes(mib.saturating_mul(1 << 20)));
    let server = Server::open(data, Limits::default(), reserve)?;
    // Nobody waits for it: a backup may hold the bytes for long, or a bucket be out of reach.
    let data = data.to_owned();
    std::thread::Builder::new().name("sweep".into()).spawn(move || {
        while let Err(error) = attachments::finish_sweep(&data) {
            eprintln!(
                "tenun-server: what a sweep has begun to delete can't be sent again yet; next try in an hour: {error:#}"
            );
            std::thread::sleep(SWEEP_AGAIN);
        }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (_handle, running) = server::http::serve(server, listener)?;
    // Scripts read the address from here: it is the first line, and flushed.
    println!("listening on http://{address}");
    std::io::stdout().flush()?;
    tokio::task::LocalSet::new().block_on(&runtime, running)?;
    Ok(())
}

fn areas(data: &Path, file: &Path) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Line {
        code: String,
        name: String,
        level: String,
        parent: Option<String>,
    }
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("{} can't be read", file.display()))?;
    let lines = reader.deserialize::<Line>().collect::<Result<Vec<_>, _>>();
    let lines = lines.with_context(|| format!("{}: the columns are code, name, level, parent", file.display()))?;
    let mut conn = open(data)?;
    let new = store::in_transaction(&mut conn, |tx| {
        let mut new = 0;
        for line in &lines {
            let parent = line.parent.as_deref().filter(|parent| !parent.is_empty());
            new += u32::from(tx.put_area(&line.code, &line.name, &line.level, parent)?);
        }
        tx.raise_catalogue_version()?;
        Ok::<_, Failure>(new)
    })?;
    println!("{} areas, {new} of them new", lines.len());
    Ok(())
}

fn enumerator(data: &Path, code: &str, name: &str) -> Result<()> {
    let mut conn = open(data)?;
    store::in_transaction(&mut conn, |tx| Ok::<_, Failure>(tx.put_enumerator(code, name)?))?;
    println!("{code} is {name}");
    Ok(())
}

fn device_code(data: &Path, enumerator: &str, days: u32) -> Result<()> {
    let mut conn = open(data)?;
    let code = store::in_transaction(&mut conn, |tx| people::make_device_code(tx, enumerator, days, now_ms()))?;
    println!("{code}");
    Ok(())
}

fn revoke(data: &Path, device: i64) -> Result<()> {
    let mut conn = open(data)?;
    let known = store::in_transaction(&mut conn, |tx| Ok::<_, Failure>(tx.revoke_device(device, now_ms())?))?;
    if !known {
        bail!("there is no device {device}");
    }
    println!("device {device} is revoked");
    Ok(())
}

fn coordinator(data: &Path, name: &str) -> Result<()> {
    eprint!("password for {name}: ");
    let mut password = String::new();
    std::io::stdin().read_line(&mut password).context("the password can't be read")?;
    let password = people::hash_password(password.trim_end_matches(['\r', '\n']))?;
    let account = Account { name: name.to_owned(), password };
    let mut conn = open(data)?;
    store::in_transaction(&mut conn, |tx| Ok::<_, Failure>(tx.put_account(&account, now_ms())?))?;
    println!("{name} may log in");
    Ok(())
}

fn export(data: &Path, reference: &str, to: &Path, labels: Option<String>, personal: bool) -> Result<()> {
    let labels = labels.map(|language| if language == "default" { String::new() } else { language });
    let options = export::Options { labels, personal };
    std::fs::create_dir_all(to).with_context(|| format!("{} can't be made", to.display()))?;
    let readers = Readers::new(data.to_owned());
    let written = readers.read(|tx| {
        let catalogue = Catalogue::refresh(&Arc::default(), tx)?;
        let questionnaire = export::questionnaire(&catalogue, reference)?;
        let mut sinks = Vec::new();
        for table in export::tables(questionnaire) {
            let file = to.join(format!("{}.csv", table.name));
            let sink = std::fs::File::create(&file).map_err(|error| {
                Failure::problem(Code::Internal, format!("{} can't be written: {error}", file.display()))
            })?;
            sinks.push((table, std::io::BufWriter::new(sink)));
        }
        export::write(tx, &catalogue, questionnaire, &options, sinks, |n| eprint!("\r{n} interviews"))
    })?;
    eprintln!();
    println!("{written} interviews in {}", to.display());
    Ok(())
}

fn rebuild(data: &Path) -> Result<()> {
    let mut conn = open(data)?;
    let rebuilt = store::in_transaction(&mut conn, |tx| {
        let catalogue = Catalogue::refresh(&Arc::default(), tx)?;
        derive::rebuild(tx, &catalogue, |records| eprint!("\r{records} records"))
    })?;
    eprintln!("\r{} records", rebuilt.records);
    println!("before {}\nafter  {}", rebuilt.before, rebuilt.after);
    if rebuilt.before != rebuilt.after {
        bail!("what was derived differed from the changes; it is right now, tell the developers");
    }
    Ok(())
}

//! The command line.

use clap::{Parser, Subcommand};
use client_core::night::Window;
use std::{path::PathBuf, str::FromStr};

/// An enumerator's device in a terminal. Everything works without a network; `sync` sends and fetches.
#[derive(Parser)]
#[command(
    name = "tenun-field",
    version,
    after_help = "Ends with 0: done, 1: failed, 2: used wrongly, 3: the server could not be reached (nothing is lost), \
                  4: a sync of this device is running already."
)]
pub(crate) struct Arguments {
    /// The device's database; made if it is not there.
    #[arg(long)]
    pub(crate) db: PathBuf,
    /// Answer as one JSON document, for scripts.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make this device known to a server, with the one-time code from your coordinator.
    Enroll {
        /// The server's address, such as `https://survey.example`.
        #[arg(long)]
        server: String,
        /// The one-time code.
        #[arg(long)]
        code: String,
        /// What the device is called in the coordinators' lists.
        #[arg(long, default_value = "terminal")]
        name: String,
    },
    /// Send what was saved and fetch what others did, photos and files after the answers: now, or by night at a moment of
    /// the device's own.
    Sync {
        /// Sync with the hub at this address in place of the server, such as `http://192.168.43.1:8080`; photos wait for the server.
        #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["night", "answers_only"])]
        hub: Option<String>,
        /// Wait for these hours of the day (local time, such as 21:00-04:30), and try again until it is done or they are over.
        #[arg(long, value_name = "FROM-UNTIL")]
        night: Option<Window>,
        /// The language of messages, such as id or en.
        #[arg(long)]
        language: Option<String>,
        /// With --json: tell each step as a line of JSON on standard error.
        #[arg(long)]
        progress: bool,
        /// Leave photos and files for another time.
        #[arg(long)]
        answers_only: bool,
    },
    /// For team leaders: answer the phones nearby where there is no network, and carry their changes to the server. Runs until it
    /// is ended; `sync` meanwhile or afterwards, wherever there is a network.
    Hub {
        /// The address to listen on, such as 0.0.0.0:8080.
        #[arg(long)]
        listen: String,
        /// Take nothing from phones while less than so many MiB of the disk are free: the hub's own answers need them.
        #[arg(long, default_value_t = 256)]
        keep_free: u64,
        /// The language of messages, such as id or en.
        #[arg(long)]
        language: Option<String>,
    },
    /// For hubs: what is carried for whom, and what of it the server does not have yet.
    Load {
        /// The language of messages.
        #[arg(long)]
        language: Option<String>,
    },
    /// The photos and files that the records on this device name, and where their bytes are.
    Attachments {
        /// Fetch the original of this SHA-256.
        #[arg(long, value_name = "SHA256")]
        get: Option<String>,
        /// Write it to this file; to its name in the current folder if it is left out.
        #[arg(long, requires = "get")]
        to: Option<PathBuf>,
    },
    /// How many changes and interviews are saved, sent and safe.
    Status,
    /// The areas that you work in.
    Areas,
    /// For team leaders: who has synced when, and what they had not sent then.
    Team,
    /// The households on this device: those that come first in your work, then all others by area.
    Households,
    /// The interviews on this device: those first that were returned to you.
    Interviews,
    /// The records with answers that were not sent yet.
    Unsent,
    /// Answers that others answered differently at the same time.
    Conflicts,
    /// Register a household that is not in the list.
    Register {
        /// The area's code.
        #[arg(long)]
        area: String,
        /// What is known of it: head=…, address=…
        answers: Vec<Assignment>,
    },
    /// Start the interview of a household, or find the one that is there.
    Start {
        /// The household's id.
        household: String,
        /// The round; the newest one assigned if it is left out.
        #[arg(long)]
        round: Option<String>,
        /// The questionnaire as id@version; the newest one if it is left out.
        #[arg(long)]
        questionnaire: Option<String>,
    },
    /// Save answers as one change.
    Set {
        /// The record's id.
        record: String,
        /// The answers, as path=value.
        #[arg(required = true)]
        answers: Vec<Assignment>,
        /// Why: a remark that is saved with them.
        #[arg(long)]
        why: Option<String>,
    },
    /// Decide between values that `conflicts` shows.
    Resolve {
        /// The record's id.
        record: String,
        /// The decisions, as path=value.
        #[arg(required = true)]
        answers: Vec<Assignment>,
    },
    /// Add a roster row, with answers in it.
    AddRow {
        /// The record's id.
        record: String,
        /// The repeat, such as member, or member/ROW/job inside a row.
        repeat: String,
        /// Answers in the row, as name=value.
        answers: Vec<Assignment>,
    },
    /// Remove a roster row.
    RemoveRow {
        /// The record's id.
        record: String,
        /// The row, such as member/k3j9d8s7.
        row: String,
    },
    /// Add a remark.
    Note {
        /// The record's id.
        record: String,
        /// The remark.
        text: String,
        /// What it is about: an answer by its path, or a remark by its name, which it answers.
        #[arg(long)]
        on: Option<String>,
    },
    /// Finish an interview; of one that was returned, say that it is done.
    Finish {
        /// The record's id.
        record: String,
    },
    /// Hold an interview: one question after the other, from where it was left. With --json, show the screen that is up.
    Interview {
        /// The record's id.
        record: String,
        /// The language by its name or code, such as id or en; remembered for this interview.
        #[arg(long)]
        language: Option<String>,
    },
    /// What is wrong or missing in one interview, or in all that are finished.
    Problems {
        /// The record's id.
        record: Option<String>,
        /// The language of messages.
        #[arg(long)]
        language: Option<String>,
    },
    /// The time spent per question of an interview on this device, as CSV.
    Audit {
        /// The record's id.
        record: String,
    },
    /// Move an interview to a newer version of its questionnaire; no answer is lost.
    Move {
        /// The record's id.
        record: String,
        /// The version as id@version; the newest one if it is left out.
        #[arg(long)]
        to: Option<String>,
    },
    /// Show a record with all its answers.
    Show {
        /// The record's id.
        record: String,
    },
}

/// `path=text` from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl FromStr for Assignment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((path, text)) if !path.is_empty() => Ok(Self { path: path.into(), text: text.into() }),
            Some(_) | None => Err("expected path=value, such as floor=4".into()),
        }
    }
}

//! How far a sync is, for people.

use std::time::Duration;

/// What crossed the line in one sync, without headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Bytes of bodies sent, those included that did not arrive.
    pub up: u64,
    /// Bytes of bodies received.
    pub down: u64,
}

/// What a sync is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Sends, and waits for the server.
    #[default]
    Sending,
    /// Receives what others did.
    Receiving,
    /// Fetches a questionnaire that is new.
    Fetching,
    /// Everything that was to be sent is on the server.
    Sent,
}

/// How far a sync is; told before each request, with each piece of a reply, and at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// What crossed the line so far.
    pub traffic: Traffic,
    /// Households and interviews whose every change is on the server by now …
    pub records_sent: u64,
    /// … of so many that had something to send when the sync began.
    pub records: u64,
    /// About how long what is to be sent, or the reply that is coming, still takes, by what was seen of the line before;
    /// none while nothing was. In milliseconds in JSON.
    #[serde(rename = "left_ms", serialize_with = "millis")]
    pub left: Option<Duration>,
}

fn millis<S: serde::Serializer>(left: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)), serializer)
}

/// Tells the host how far its sync is.
pub(super) struct Teller<F> {
    tell: F,
    now: Progress,
}

impl<F: FnMut(&Progress)> Teller<F> {
    pub(super) fn new(tell: F, records: u64) -> Self {
        Self { tell, now: Progress { records, ..Progress::default() } }
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.now.traffic
    }

    /// A request is about to go out, and so many records still have something to send.
    pub(super) fn sending(&mut self, unsent: u64, left: Option<Duration>) {
        // What is saved meanwhile is to be sent, too.
        self.now.records = self.now.records.max(unsent);
        self.now.records_sent = self.now.records.saturating_sub(unsent);
        (self.now.stage, self.now.left) = (Stage::Sending, left);
        (self.tell)(&self.now);
    }

    /// So many bytes go out.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.now.traffic.up = self.now.traffic.up.saturating_add(bytes);
    }

    /// So many bytes came in.
    pub(super) fn received(&mut self, bytes: u64, left: Option<Duration>) {
        self.now.traffic.down = self.now.traffic.down.saturating_add(bytes);
        if self.now.stage == Stage::Sending {
            self.now.stage = Stage::Receiving;
        }
        self.now.left = left;
        (self.tell)(&self.now);
    }

    /// The sync itself is done.
    pub(super) fn sent_all(&mut self) {
        self.now.records_sent = self.now.records;
        (self.now.stage, self.now.left) = (Stage::Sent, None);
        (self.tell)(&self.now);
    }

    /// A questionnaire is about to be fetched.
    pub(super) fn fetching(&mut self) {
        self.now.stage = Stage::Fetching;
        (self.tell)(&self.now);
    }
}

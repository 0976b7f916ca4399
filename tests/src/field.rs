//! Enumerators at work: households from the fixtures typed into real devices.

use crate::account::Account;
use anyhow::Result;
use client_core::{Device, Edit, Host, host::Fixed, transport::Http};
use fixtures::{Household, Interview};
use std::path::{Path as File, PathBuf};
use sync_protocol::{
    HouseholdId, Path, QuestionnaireRef, RecordId, Subject, Value,
    engine::device::{Action, DeviceStore, Event, Turn},
    ids::FIRST_INTERVIEW,
};

/// The questionnaire of the fixtures.
///
/// # Panics
/// Never: the name is a constant.
#[must_use]
pub fn questionnaire() -> QuestionnaireRef {
    QuestionnaireRef { id: "kupang-household".into(), version: "2026-1".into() }
}

/// The record of a household's interview in a round.
#[must_use]
pub fn interview_of(household: uuid::Uuid, round: u8) -> RecordId {
    let household = HouseholdId(household);
    let subject = Subject::Interview { household, round: round.to_string().into(), purpose: FIRST_INTERVIEW.into() };
    subject.record(&questionnaire().id)
}

/// A phone: its clock is set by the scenario, and may be wrong.
#[derive(Debug, Clone)]
pub struct Phone {
    random: Fixed,
    now_ms: i64,
    /// What the clock shows less what it should show.
    pub offset_ms: i64,
}

/// The reference device's program on a database; its machine is the folder beside it.
///
/// # Errors
/// If the program is not built.
pub fn terminal(db: &std::path::Path) -> Result<std::process::Command> {
    let mut command = std::process::Command::new(crate::server::program("tenun-field")?);
    command.env("XDG_STATE_HOME", db.with_extension("machine")).arg("--db").arg(db);
    Ok(command)
}

impl Phone {
    /// Makes a phone whose numbers follow from a seed.
    #[must_use]
    pub fn new(seed: u64, now_ms: i64, offset_ms: i64) -> Self {
        Self { random: Fixed::new(seed), now_ms, offset_ms }
    }

    /// Lets time pass.
    pub fn wait_minutes(&mut self, minutes: u32) {
        self.now_ms += i64::from(minutes) * 60_000;
    }

    /// Sets the true time.
    pub fn set_time(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }
}

impl Host for Phone {
    fn now_ms(&mut self) -> i64 {
        self.now_ms += 1;
        self.now_ms + self.offset_ms
    }

    fn random(&mut self, buffer: &mut [u8]) {
        self.random.random(buffer);
    }
}

/// An enumerator with a device, and the account of what was typed into it.
#[derive(Debug)]
pub struct Enumerator {
    /// The code.
    pub code: String,
    /// The device.
    pub device: Device<Phone>,
    /// The device's database.
    pub file: PathBuf,
    /// Every answer typed.
    pub account: Account,
}

impl Enumerator {
    /// Whether a household stands in the device's list.
    ///
    /// # Errors
    /// If the device's database fails.
    pub fn has(&mut self, home: HouseholdId) -> Result<bool> {
        Ok(self.device.households()?.iter().any(|line| line.household == home))
    }

    /// Makes a new device and enrols it.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn enrol(
        http: &Http,
        url: &str,
        code: &str,
        who: &str,
        name: &str,
        file: &File,
        phone: Phone,
    ) -> Result<Self> {
        let mut device = Device::open(file, phone)?;
        http.enrol(&mut device, url, code, name).await?;
        Ok(Self { code: who.to_owned(), device, file: file.to_owned(), account: Account::default() })
    }

    /// An enumerator with a device that no server knows.
    #[must_use]
    pub fn unenrolled(device: Device<Phone>, file: &File, who: &str) -> Self {
        Self { code: who.to_owned(), device, file: file.to_owned(), account: Account::default() }
    }

    /// Registers a household under its id of the sample.
    ///
    /// # Errors
    /// If the device fails.
    pub fn register(&mut self, household: &Household, id: uuid::Uuid) -> Result<()> {
        let fields = [
            ("area", Value::text(&household.area)),
            ("head", Value::text(&household.head)),
            ("address", Value::text(&household.address)),
            ("gps", household.gps.clone()),
            ("cluster", Value::text(&household.cluster)),
            ("hh_no", Value::Integer(household.number)),
        ];
        let id = HouseholdId(id);
        self.device.register(id, &self.code, &fields)?;
        for (name, value) in &fields {
            self.account.note(id.into(), &name.parse()?, value);
        }
        Ok(())
    }

    /// Interviews a household: every save of the fixtures, then finishes.
    ///
    /// # Errors
    /// If the device fails.
    pub fn interview(&mut self, household: uuid::Uuid, interview: &Interview) -> Result<RecordId> {
        let round = interview.round.to_string();
        let record = self.device.start_interview(HouseholdId(household), &round, &questionnaire(), &self.code)?;
        for save in &interview.saves {
            self.device.host().wait_minutes(save.minutes_since_previous);
            let mut edits: Vec<Edit> = save.rows.iter().map(|row| Edit::AddRow(row.place.clone())).collect();
            edits.extend(save.answers.iter().map(|(path, value)| Edit::Set(path.clone(), value.clone())));
            self.device.save(record, &self.code, &edits)?;
            for (path, value) in &save.answers {
                self.account.note(record, path, value);
            }
        }
        self.device.save(record, &self.code, &[Edit::Finish])?;
        Ok(record)
    }

    /// What the next request weighs on the wire, in bytes without heads; it is not sent.
    ///
    /// # Errors
    /// If the device fails, or a request that it sent before got no answer.
    pub fn weigh(&mut self) -> Result<u64> {
        anyhow::ensure!(self.device.position()?.in_doubt.is_empty(), "the next request is a question");
        let mut turn = Turn::with_sizes("tenun/0.1.0", self.device.known_line()?.sizes());
        let Action::Send(body) = turn.step(&mut self.device, Event::Begin, 0)? else {
            anyhow::bail!("a turn begins with a request");
        };
        self.device.sending(&[])?;
        Ok(u64::try_from(client_core::transport::pack(&body)?.len())?)
    }

    /// Sets one answer.
    ///
    /// # Errors
    /// If the device fails.
    pub fn set(&mut self, record: RecordId, path: &Path, value: &Value) -> Result<()> {
        self.device.host().wait_minutes(2);
        self.device.save(record, &self.code, &[Edit::Set(path.clone(), value.clone())])?;
        self.account.note(record, path, value);
        Ok(())
    }

    /// Copies the device, as a phone-cloning app does: both go on under one replica.
    ///
    /// # Errors
    /// If the copy fails.
    pub fn cloned(self, to: &File) -> Result<(Self, Self)> {
        let Self { code, mut device, file, account } = self;
        let phone = device.host().clone();
        // Closing the device folds its journal into the file.
        drop(device);
        std::fs::copy(&file, to)?;
        let original = Self { device: Device::open(&file, phone.clone())?, code: code.clone(), file, account };
        // The copy's randomness goes its own way.
        let mut phone = phone;
        phone.random(&mut [0; 7]);
        let copy = Self { device: Device::open(to, phone)?, code, file: to.to_owned(), account: Account::default() };
        Ok((original, copy))
    }
}

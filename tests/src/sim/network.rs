//! The night: the real driver of the sync, over a line that loses, doubles, delays, cuts and reorders, to a server
//! that may be killed at each of its named points.

use super::{
    dice::Dice,
    hubs::lie_to_the_server,
    office::{self, problem},
    oracle::Shown,
    world::{Letter, World},
};
use anyhow::{Context, Result};
use client_core::Error;
use sync_protocol::{
    engine::device::{Action, Event, GaveUp, Report, Turn},
    problem::{Class, Code, Problem},
    wire::Request,
};

/// How a night ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Everything was sent and pulled.
    Done(Report),
    /// The device gave up for now.
    GaveUp(GaveUp),
    /// The device was killed.
    Crashed,
    /// The device's disk is full.
    Full,
}

/// Whether an error says that the disk is full.
#[must_use]
pub(super) fn is_full(error: &Error) -> bool {
    let Error::Database(error) = error else { return false };
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull))
}

impl World {
    /// Syncs one device, as its driver over HTTP does.
    ///
    /// # Errors
    /// If something fails that nothing excuses.
    pub fn night(&mut self, life: usize, dice: &mut Dice) -> Result<Ended> {
        self.count("nights");
        let mut turn = Turn::with_sizes("sim", self.shape.sizes);
        let mut event = Event::Begin;
        let ended = loop {
            let stores = matches!(event, Event::Answered(_));
            let before = self.phone(life)?.moment()?;
            let device = self.phone(life)?.device()?;
            let clock = client_core::Host::now_ms(device.host());
            let step = turn.step(device, event, clock);
            if stores && dice.chance(self.weather.crash) {
                self.count("phone: killed while it stored a reply");
                let thousandths = dice.roll() % 1300;
                self.phone(life)?.crash(before, thousandths)?;
                self.read_books(life, &Shown::new())?;
                return Ok(Ended::Crashed);
            }
            let action = match step {
                Ok(action) => action,
                Err(error) if is_full(&error) => {
                    self.count("phone: no space for a reply");
                    self.read_books(life, &Shown::new())?;
                    return Ok(Ended::Full);
                }
                Err(error) => return Err(error).context("a step of the sync"),
            };
            self.read_books(life, &Shown::new())?;
            match action {
                Action::Send(body) => event = self.exchange(life, body, dice)?,
                Action::Done(report) => break Ended::Done(report),
                Action::GiveUp(_, why) => break Ended::GaveUp(why),
            }
            self.pass(life, 2_000)?;
        };
        if matches!(ended, Ended::Done(_)) {
            self.fetch_questionnaires(life, dice)?;
        }
        Ok(ended)
    }

    fn fetch_questionnaires(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        for reference in self.phone(life)?.device()?.missing_questionnaires()? {
            if dice.chance(self.weather.lost) {
                self.count("network: request lost");
                continue;
            }
            let json = self.office.questionnaire(&reference)?.context("a questionnaire of the scope")?;
            match self.phone(life)?.device()?.store_questionnaire(&json) {
                Err(error) if !is_full(&error) => return Err(error).context("a questionnaire"),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Carries one request to the server and its reply back, or not.
    fn exchange(&mut self, life: usize, body: Vec<u8>, dice: &mut Dice) -> Result<Event> {
        let weather = self.weather;
        let token = self.phone(life)?.token.clone();
        self.count("requests");
        if dice.chance(weather.lost) {
            self.count("network: request lost");
            return Ok(Event::TimedOut);
        }
        if dice.chance(weather.delayed) {
            self.count("network: request delayed");
            self.mail.push(Letter { token, body });
            return Ok(Event::TimedOut);
        }
        if dice.chance(weather.doubled) {
            self.count("network: request doubled");
            let letter = Letter { token: token.clone(), body: body.clone() };
            if dice.chance(500) {
                self.mail.push(letter);
            } else {
                self.post(&letter, dice)?;
            }
        }
        let body = if dice.chance(weather.carried) {
            self.count("network: batches carried out of order");
            carry(&body, dice)?
        } else {
            body
        };
        let body = if weather.lies > 0 && office::leads(&self.phone(life)?.who) && dice.chance(weather.lies) {
            self.count("hub: lied to the server");
            lie_to_the_server(&body, dice)?
        } else {
            body
        };
        let body = if dice.chance(weather.cut) {
            self.count("network: request cut");
            cut(&body, dice)
        } else {
            body
        };
        let Some(reply) = self.post(&Letter { token, body }, dice)? else { return Ok(Event::TimedOut) };
        if dice.chance(weather.reply_lost) {
            self.count("network: reply lost");
            return Ok(Event::TimedOut);
        }
        Ok(match reply {
            Ok(body) if dice.chance(weather.reply_cut) => {
                self.count("network: reply cut");
                Event::Answered(cut(&body, dice))
            }
            Ok(body) => Event::Answered(body),
            Err(problem) if problem.code.class() == Class::Retry => Event::TimedOut,
            Err(problem) => Event::Rejected(problem),
        })
    }

    /// The server's three steps; none if it was killed, or the letter's answer is lost with it.
    ///
    /// # Errors
    /// If the server does not come back.
    pub fn post(&mut self, letter: &Letter, dice: &mut Dice) -> Result<Option<Result<Vec<u8>, Problem>>> {
        let mut deadly = || dice.chance(self.weather.killed);
        let deaths = [deadly(), deadly(), deadly()];
        let prepared = match self.office.take_in(&letter.token, &letter.body) {
            Ok(prepared) => prepared,
            Err(failure) => return Ok(Some(Err(problem(failure)))),
        };
        self.meanwhile(dice)?;
        let now_ms = self.office_ms();
        if deaths[0] {
            self.count("server: killed before the commit");
            self.office.die_before_commit(prepared, now_ms)?;
            return Ok(None);
        }
        if deaths[1] {
            self.count("server: killed in the commit");
            self.office.die_in_commit(prepared, now_ms, dice.roll() % 1300)?;
            return Ok(None);
        }
        let taken = match self.office.commit(prepared, now_ms) {
            Ok(taken) => taken,
            Err(failure) => {
                let problem = problem(failure);
                if problem.code == Code::Internal {
                    self.count("server: could not store");
                }
                return Ok(Some(Err(problem)));
            }
        };
        self.meanwhile(dice)?;
        if deaths[2] {
            self.count("server: killed before the reply");
            self.office.die()?;
            return Ok(None);
        }
        let now_ms = self.office_ms();
        Ok(Some(self.office.reply(taken, now_ms).map_err(problem)))
    }

    /// Lets a letter arrive between two steps of another request.
    fn meanwhile(&mut self, dice: &mut Dice) -> Result<()> {
        if !self.mail.is_empty() && dice.chance(150) {
            self.count("server: requests between each other's steps");
            self.deliver_late(dice)?;
        }
        Ok(())
    }

    /// Delivers one of the letters that the network kept; nobody waits for its answer.
    ///
    /// # Errors
    /// If the server does not come back.
    pub fn deliver_late(&mut self, dice: &mut Dice) -> Result<()> {
        if self.mail.is_empty() {
            return Ok(());
        }
        self.count("network: late request arrived");
        let letter = self.mail.swap_remove(dice.below(self.mail.len()));
        self.post(&letter, dice)?;
        Ok(())
    }
}

/// Cuts a body within one of its lines.
pub(super) fn cut(body: &[u8], dice: &mut Dice) -> Vec<u8> {
    let lines = body.split_inclusive(|byte| *byte == b'\n').count();
    let (whole, part) = (dice.below(lines), dice.below(1000));
    let mut lines = body.split_inclusive(|byte| *byte == b'\n');
    let mut kept: Vec<u8> = lines.by_ref().take(whole).flatten().copied().collect();
    if let Some(line) = lines.next() {
        kept.extend(line.iter().take(line.len() * part / 1000));
    }
    kept
}

/// The same batches as a careless carrier brings them: in another order, some twice, of the device's own some not yet. What a
/// request holds of others has come where it is answered.
fn carry(body: &[u8], dice: &mut Dice) -> Result<Vec<u8>> {
    let mut request =
        Request::from_bytes(body).map_err(|problem| anyhow::anyhow!("a device's own request: {problem}"))?;
    let mut carried = Vec::new();
    for batch in std::mem::take(&mut request.batches) {
        let is_own = batch.replica == request.header.replica;
        let copies = if dice.chance(250) && is_own { 0 } else { 1 + usize::from(dice.chance(100)) };
        carried.extend(std::iter::repeat_n(batch, copies));
    }
    for at in (1..carried.len()).rev() {
        carried.swap(at, dice.below(at + 1));
    }
    request.batches = carried;
    Ok(request.to_bytes())
}

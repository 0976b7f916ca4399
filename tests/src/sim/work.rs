//! What enumerators do: register, interview, correct, remove, remark, decide; each save is accounted for.

use super::{dice::Dice, forms, network::is_full, office, oracle::Shown, world::World};
use anyhow::{Context, Result, bail};
use client_core::Edit;
use std::collections::BTreeMap;
use sync_protocol::{
    Change, Dot, HouseholdId, Op, Path, Place, Record, RecordId, Subject, Value, engine::device::DeviceStore,
};

/// The round of every interview.
const ROUND: &str = "1";

impl World {
    /// A few saves of one enumerator.
    ///
    /// # Errors
    /// If something fails that nothing excuses.
    pub fn work(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        for _ in 0..=dice.below(4) {
            self.pass(life, 60_000)?;
            if !self.save_something(life, dice)? {
                break;
            }
        }
        Ok(())
    }

    /// One save; false if the device was killed or has no space left.
    fn save_something(&mut self, life: usize, dice: &mut Dice) -> Result<bool> {
        let households = self.phone(life)?.device()?.households()?;
        let Some(household) = dice.pick(&households).filter(|_| !dice.chance(150)) else {
            return self.register(life, dice);
        };
        let household = household.household;
        let interviews = self.phone(life)?.device()?.interviews()?;
        let mut interviews = interviews.into_iter().filter(|line| line.household == household);
        if dice.chance(250) {
            let edits = self.household_edits(life, household.into(), dice)?;
            return self.save(life, household.into(), &edits, dice);
        }
        let Some(interview) = interviews.next() else {
            let who = self.phone(life)?.who.clone();
            return self.attempt(life, &Shown::new(), dice, |device| {
                device.start_interview(household, ROUND, &forms::name(1), &who).map(|_| None)
            });
        };
        let newest = self.phone(life)?.device()?.newest_version("sim")?;
        if let Some(newest) = newest
            && newest.to_string() > interview.questionnaire
            && dice.chance(200)
        {
            let who = self.phone(life)?.who.clone();
            self.count("interview moved to a newer version");
            return self.attempt(life, &Shown::new(), dice, |device| {
                match device.move_interview(interview.id, &newest, &who) {
                    // The line was too bad for the questionnaire that it was begun with.
                    Err(client_core::Error::UnknownQuestionnaire(_)) => Ok(None),
                    moved => moved.map(|_| None),
                }
            });
        }
        let edits = self.interview_edits(life, interview.id, &interview.questionnaire, dice)?;
        self.save(life, interview.id, &edits, dice)
    }

    /// The next answer: no other is like it.
    fn answer(&mut self) -> Value {
        self.answers += 1;
        Value::text(format!("t{}", self.answers))
    }

    fn set(&mut self, path: &str, value: Value, dice: &mut Dice) -> Result<Edit> {
        let path: Path = path.parse()?;
        let resolves = self.shape.all_siblings || dice.chance(150);
        Ok(if resolves { Edit::Resolve(path, value) } else { Edit::Set(path, value) })
    }

    fn register(&mut self, life: usize, dice: &mut Dice) -> Result<bool> {
        let areas: Vec<String> = self
            .phone(life)?
            .device()?
            .scope()?
            .map_or_else(Vec::new, |scope| scope.areas.into_iter().map(|area| area.code).collect());
        let known = self.shape.areas;
        let area = match dice.pick(&areas) {
            Some(area) if !dice.chance(100) => area.clone(),
            Some(_) | None => office::area(dice.below(known)),
        };
        let head = self.answer();
        let who = self.phone(life)?.who.clone();
        let mut fields = vec![("head", head)];
        if !dice.chance(50) {
            fields.push(("area", Value::text(area)));
        }
        self.attempt(life, &Shown::new(), dice, |device| device.register_household(&who, &fields).map(|_| None))
    }

    fn household_edits(&mut self, life: usize, record: RecordId, dice: &mut Dice) -> Result<Vec<Edit>> {
        let poison = dice.chance(self.weather.poison);
        if poison {
            self.count("poison: unknown area");
            // An area that is loaded some day, or never.
            let area = Value::text(office::area(self.shape.areas + dice.below(2)));
            return Ok(vec![self.set("area", area, dice)?]);
        }
        Ok(match dice.below(12) {
            0 | 1 => {
                let area = Value::text(office::area(dice.below(self.shape.areas)));
                vec![self.set("area", area, dice)?]
            }
            2 => {
                let text = self.answer().to_string();
                self.voidance(life, record, text)?
            }
            3 | 4 => vec![Edit::Note(self.answer().to_string())],
            _ => {
                let head = self.answer();
                vec![self.set("head", head, dice)?]
            }
        })
    }

    fn voidance(&mut self, life: usize, record: RecordId, reason: String) -> Result<Vec<Edit>> {
        let record = self.phone(life)?.device()?.record(record)?;
        let is_valid = record.standing() == sync_protocol::record::Standing::Valid;
        Ok(vec![if is_valid { Edit::Void { reason } } else { Edit::Note(reason) }])
    }

    fn interview_edits(&mut self, life: usize, id: RecordId, form: &str, dice: &mut Dice) -> Result<Vec<Edit>> {
        let record = self.phone(life)?.device()?.record(id)?;
        let mut edits = Vec::new();
        if dice.chance(self.weather.poison) {
            self.count("poison: unknown question");
            let value = self.answer();
            edits.push(self.set("no_such_question", value, dice)?);
            return Ok(edits);
        }
        if self.shape.heavy && dice.chance(300) {
            self.count("saves of hundreds of kilobytes");
            let number = self.answer().to_string();
            let parts = 4 + dice.below(24);
            edits.extend((0..parts).map(|part| Edit::Note(format!("{number}.{part} {}", "lontar ".repeat(1150)))));
        }
        for _ in 0..=dice.below(3) {
            let edit = self.interview_edit(&record, form, dice)?;
            edits.extend(edit);
        }
        Ok(edits)
    }

    fn interview_edit(&mut self, record: &Record, form: &str, dice: &mut Dice) -> Result<Vec<Edit>> {
        let members = record.rows(&Place::record(), "member");
        let member = dice.pick(&members).map(|row| row.place.clone());
        Ok(match (dice.below(14), member) {
            (0, _) if !self.shape.all_siblings => vec![Edit::Finish],
            (1, _) => vec![Edit::Note(self.answer().to_string())],
            (2, _) => {
                let all = ["maize", "rice", "beans", "cassava"];
                let some = all.into_iter().filter(|_| dice.chance(500)).map(str::to_owned).collect();
                let question = if dice.chance(500) { "crops" } else { "animals" };
                vec![self.set(question, Value::Choices(some), dice)?]
            }
            (3, _) => {
                let unit = self.answer();
                let amount = Value::Integer(dice.between(0, 9));
                let fields = BTreeMap::from([("amount".to_owned(), amount), ("unit".to_owned(), unit)]);
                vec![self.set("harvest", Value::Fields(fields), dice)?]
            }
            (4, _) => {
                let head = self.answer();
                vec![self.set("head_now", head, dice)?]
            }
            (5 | 6, _) => {
                let row = Place::record().row("member", &self.row_id())?;
                let name = self.answer();
                vec![Edit::AddRow(row.clone()), self.set(&format!("{row}/m_name"), name, dice)?]
            }
            (7, Some(member)) => {
                let row = member.row("job", &self.row_id())?;
                let name = self.answer();
                vec![Edit::AddRow(row.clone()), self.set(&format!("{row}/j_name"), name, dice)?]
            }
            (8, Some(member)) => vec![Edit::RemoveRow(member)],
            (9 | 10, Some(member)) => {
                let name = self.answer();
                vec![self.set(&format!("{member}/m_name"), name, dice)?]
            }
            (11, _) => {
                let (question, value) = if form == "sim@1" {
                    ("rooms", Value::Integer(dice.between(0, 99)))
                } else {
                    ("roof", self.answer())
                };
                vec![self.set(question, value, dice)?]
            }
            (_, _) => {
                let floor = self.answer();
                vec![self.set("floor", floor, dice)?]
            }
        })
    }

    fn row_id(&mut self) -> String {
        self.answers += 1;
        format!("r{}", self.answers)
    }

    fn save(&mut self, life: usize, record: RecordId, edits: &[Edit], dice: &mut Dice) -> Result<bool> {
        let who = self.phone(life)?.who.clone();
        let shown = self.shown(life, record, edits)?;
        self.attempt(life, &shown, dice, |device| match device.save(record, &who, edits) {
            // A row that two edits of one save remove is gone for the second.
            Err(client_core::Error::BadAnswer(_)) => Ok(None),
            saved => saved.map(|seq| seq.map(|seq| (seq, edits.to_vec()))),
        })
    }

    /// What the screen shows of everything that the edits may replace.
    fn shown(&mut self, life: usize, id: RecordId, edits: &[Edit]) -> Result<Shown> {
        let device = self.phone(life)?.device()?;
        let record = device.record(id)?;
        let mut shown = Shown::new();
        for edit in edits {
            let (path, all) = match edit {
                Edit::Set(path, _) => (path, false),
                Edit::Resolve(path, _) => (path, true),
                Edit::Finish | Edit::AddRow(_) | Edit::RemoveRow(_) | Edit::Note(_) | Edit::Void { .. } => continue,
            };
            shown.insert((id, path.clone()), displayed(&record, path, all));
        }
        // What an interview says of its household replaces what it held itself, now or before.
        if let Some(Subject::Interview { household, .. }) = record.subject() {
            let (head, said): (Path, Path) = ("head".parse()?, "head_now".parse()?);
            let held = record.history(&said).into_iter().map(|(sibling, _)| sibling.value.clone());
            shown.insert((RecordId::from(*household), head), held.collect());
        }
        Ok(shown)
    }

    /// Lets a device store something, kills it perhaps, and reads the books; false if it was killed or is full.
    fn attempt(
        &mut self,
        life: usize,
        shown: &Shown,
        dice: &mut Dice,
        work: impl FnOnce(
            &mut client_core::Device<super::phone::Hand>,
        ) -> Result<Option<(u64, Vec<Edit>)>, client_core::Error>,
    ) -> Result<bool> {
        let before = self.phone(life)?.moment()?;
        let done = work(self.phone(life)?.device()?);
        if dice.chance(self.weather.crash) {
            self.count("phone: killed while it saved");
            // The enumerator does not know whether it was saved: the books tell what is there.
            let thousandths = dice.roll() % 1300;
            self.phone(life)?.crash(before, thousandths)?;
            self.read_books(life, shown)?;
            return Ok(false);
        }
        self.read_books(life, shown)?;
        match done {
            Ok(saved) => {
                self.count("saves");
                if let Some((seq, edits)) = saved {
                    self.check_capture(life, seq, &edits, shown)?;
                }
                Ok(true)
            }
            Err(error) if is_full(&error) => {
                self.count("phone: no space for a save");
                Ok(false)
            }
            Err(error) => bail!("a save failed: {error}"),
        }
    }

    /// Law L2 at the source: what was tapped is in the change, and it replaces what was shown and nothing else.
    fn check_capture(&mut self, life: usize, seq: u64, edits: &[Edit], shown: &Shown) -> Result<()> {
        let device = self.phone(life)?.device()?;
        let replica = device.position()?.replica;
        // A household's update follows its interview's save: the change that is asked for is the first of them.
        let bytes = device.own_changes(seq - 1, 0)?.into_iter().next().context("a save that is not there")?;
        let change =
            Change::from_stored(Dot { replica, seq }, &bytes).map_err(|problem| anyhow::anyhow!("{problem}"))?;
        let record = change.record();
        let mut wrong = Vec::new();
        for edit in edits {
            let (Edit::Set(path, value) | Edit::Resolve(path, value)) = edit else { continue };
            let later = edits.iter().rev().find(|e| matches!(e, Edit::Set(p, _) | Edit::Resolve(p, _) if p == path));
            let is_last = later == Some(edit);
            let found = change.ops.iter().find_map(|op| match op {
                Op::Set { path: at, value, preds } if at == path => Some((value, preds)),
                Op::Set { .. } | Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => None,
            });
            let before = shown.get(&(record, path.clone())).map_or(&[][..], Vec::as_slice);
            match found {
                Some((held, preds)) if is_last && (held != value || preds.len() != before.len()) => {
                    wrong.push(format!(
                        "life {life}: change {seq} at {path}: {held:?} over {} values, not {value:?} over {before:?}",
                        preds.len()
                    ));
                }
                None if is_last && !before.iter().any(|shown| shown.same_as(value)) => {
                    wrong.push(format!("life {life}: change {seq} lacks {path}"));
                }
                Some(_) | None => {}
            }
        }
        for what in wrong {
            self.oracle.broken("L2", what);
        }
        Ok(())
    }

    /// A household of a device, for strangers.
    pub(super) fn some_household(&mut self, life: usize, dice: &mut Dice) -> Result<Option<HouseholdId>> {
        Ok(dice.pick(&self.phone(life)?.device()?.households()?).map(|line| line.household))
    }
}

/// The values of an answer that a screen shows: the winner and its equals, or every sibling.
fn displayed(record: &Record, path: &Path, all: bool) -> Vec<Value> {
    let Some(answer) = record.answer(path) else { return Vec::new() };
    let winner = answer.siblings.iter().max_by_key(|sibling| (sibling.origin.effective_ms(), sibling.dot));
    let winner = winner.map(|sibling| sibling.value.clone());
    let shown =
        answer.siblings.iter().filter(|sibling| all || winner.as_ref().is_some_and(|w| w.same_as(sibling.value)));
    shown.map(|sibling| sibling.value.clone()).collect()
}

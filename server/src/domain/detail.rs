//! One record as coordinators see it: every answer with its siblings, who gave them, when, on which device.

use super::{
    Failure,
    attachments::{self, AttachmentDetail, Counted},
    catalogue::Catalogue,
    derive::merge,
    households::{self, Joined},
    review::{self, ReviewDetail},
    validate,
};
use crate::store::{RecordRow, StoreError, Tx};
use questionnaire::{
    Compiled, Evaluator, Item, Question, Questionnaire, Register, Text, Violation, ViolationKind, merge_of,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use sync_protocol::{
    Attachment, Dot, Path, Place, Record, RecordId, Sibling, Value, problem::Code, record::Standing, remark::About,
};

/// One record with all that is known of it.
#[derive(Debug, Serialize)]
pub struct Detail {
    /// Its line in the lists.
    #[serde(flatten)]
    pub row: RecordRow,
    /// `valid`, `void`, or `kept-despite-void`.
    pub standing: &'static str,
    /// Answers in the order of the questionnaire; those that it does not know stand last.
    pub answers: Vec<AnswerDetail>,
    /// The rules that the record breaks, in the order of the questionnaire.
    pub broken: Vec<BrokenDetail>,
    /// Where the review of an interview stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewDetail>,
    /// Remarks.
    pub notes: Vec<NoteDetail>,
    /// Why the record was voided.
    pub voids: Vec<NoteDetail>,
    /// Photos and files that the record shows: how many are here, still to come, refused.
    pub attachments: Counted,
    /// The households that are one with this one's; none where no link joins it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<Joined>,
    /// The questionnaire, for labels; none for a household.
    #[serde(skip)]
    pub questionnaire: Option<Arc<Questionnaire>>,
}

/// One answer.
#[derive(Debug, Serialize)]
pub struct AnswerDetail {
    /// Where it stands.
    pub path: String,
    /// The value that is shown.
    pub value: Value,
    /// Siblings with distinct values wait for a person.
    pub conflict: bool,
    /// The row that the answer stands in was kept against a concurrent removal.
    pub kept_row: bool,
    /// The record's questionnaire version does not ask for it any more.
    pub parked: bool,
    /// The answer is personal data.
    pub personal: bool,
    /// The live values, the shown one first.
    pub siblings: Vec<SiblingDetail>,
}

/// One live or replaced value.
#[derive(Clone, Debug, Serialize)]
pub struct SiblingDetail {
    /// The change that set it.
    pub dot: String,
    /// The value.
    pub value: Value,
    /// Who.
    pub author: String,
    /// On which device.
    pub device: String,
    /// The author's clock, uncorrected, in milliseconds since 1970.
    pub wall_ms: i64,
    /// The author's clock corrected by the measured skew, not after the receipt.
    pub effective_ms: i64,
    /// When the server received it.
    pub received_ms: i64,
    /// What was unusual when it arrived.
    pub flags: Vec<String>,
    /// The photo or file that it is, and whether its bytes are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<AttachmentDetail>,
    /// The changes that replaced it, in a history.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaced_by: Vec<String>,
}

/// One rule of the questionnaire that the record breaks.
#[derive(Debug, Serialize)]
pub struct BrokenDetail {
    /// Where the answer stands, or should.
    pub path: String,
    /// What is wrong with it.
    pub kind: ViolationKind,
    /// The question by language, with answers filled in; `""` where the questionnaire names no language.
    pub label: Text,
    /// What the questionnaire says of it, by language; empty where it says nothing.
    pub message: Text,
    /// The answers that the rule reads, its own first: each may be the wrong one.
    pub reads: Vec<ReadDetail>,
}

/// An answer that a broken rule reads, with who gave it.
#[derive(Debug, Serialize)]
pub struct ReadDetail {
    /// Where it stands.
    pub path: String,
    /// The question by language.
    pub label: Text,
    /// The shown value.
    #[serde(flatten)]
    pub given: SiblingDetail,
}

/// One remark.
#[derive(Debug, Serialize)]
pub struct NoteDetail {
    /// What it is about: an answer by its path, or another remark by its change; none: the record as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The remark.
    pub text: String,
    /// Who.
    pub author: String,
    /// When, by the author's corrected clock.
    pub effective_ms: i64,
}

/// Reads one record.
///
/// # Errors
/// [`Code::NotFound`].
pub fn detail(tx: Tx<'_>, id: RecordId, catalogue: &Catalogue) -> Result<Detail, Failure> {
    let (mut row, record) = read(tx, id, catalogue)?;
    let questionnaire = record.questionnaire().and_then(|form| catalogue.questionnaire(form)).cloned();
    let mut sources = Sources { tx, known: BTreeMap::new() };
    let rules = record.questionnaire().and_then(|form| catalogue.compiled(form));
    let broken = rules.map(|rules| broken(&record, rules, &mut sources)).transpose()?.unwrap_or_default();
    // What is shown of one record is never behind it, whether or not the queue has come to it.
    (row.violations, row.validated) = (u32::try_from(broken.len()).unwrap_or(u32::MAX), true);
    let kept: Vec<&Place> = record.all_rows().filter(|row| row.kept).map(|row| row.place).collect();
    let mut answers = Vec::new();
    for path in in_order(&record, questionnaire.as_deref()) {
        let Some(answer) = record.answer(&path) else {
            continue;
        };
        let register = questionnaire.as_ref().and_then(|questionnaire| questionnaire.register_at(&path));
        let merge = merge_of(questionnaire.as_deref(), &path);
        let siblings =
            answer.siblings.iter().map(|sibling| sources.sibling(*sibling)).collect::<Result<_, StoreError>>()?;
        answers.push(AnswerDetail {
            value: answer.value(merge).into_owned(),
            conflict: answer.is_conflict(merge),
            kept_row: kept.contains(&path.place()),
            parked: questionnaire.is_some() && register.is_none() && !path.is_reserved(),
            personal: register.is_some_and(is_personal),
            siblings,
            path: path.to_string(),
        });
    }
    let note = |dot: Dot, text: &str| {
        let origin = record.origin(dot);
        NoteDetail {
            about: None,
            text: text.to_owned(),
            author: origin.map(|origin| origin.author.to_string()).unwrap_or_default(),
            effective_ms: origin.map_or(0, |origin| origin.effective_ms()),
        }
    };
    let remarks = record.remarks().filter(|(_, remark)| !remark.text.is_empty());
    let remarks = remarks.map(|(dot, remark)| NoteDetail {
        about: remark.about.and_then(|about| match about {
            About::Record => None,
            About::Answer(path) => Some(path.to_string()),
            About::Remark(dot) => Some(dot.to_string()),
        }),
        ..note(dot, remark.text)
    });
    let remarks = remarks.collect();
    let key = tx.record_key(id)?.ok_or(StoreError::Corrupt("a record without a number"))?;
    let review = review::review_of(tx, key, &row, &record, catalogue)?;
    let shown = answers.iter().flat_map(|answer| &answer.siblings).filter_map(|sibling| sibling.attachment.as_ref());
    Ok(Detail {
        attachments: Counted::of(shown),
        row,
        standing: match record.standing() {
            Standing::Valid => "valid",
            Standing::Void => "void",
            Standing::KeptDespiteVoid => "kept-despite-void",
        },
        answers,
        broken,
        notes: remarks,
        review,
        voids: record.voids().map(|(dot, text)| note(dot, text)).collect(),
        joined: record.subject().map_or(Ok(None), |subject| households::of(tx, subject.household()))?,
        questionnaire,
    })
}

/// What is broken, each with the answers that the rule reads.
fn broken(record: &Record, rules: &Compiled, sources: &mut Sources<'_>) -> Result<Vec<BrokenDetail>, StoreError> {
    let evaluator = validate::evaluator(record, rules);
    let mut broken = Vec::new();
    for Violation { path, kind, message } in evaluator.broken(record) {
        let mut reads = Vec::new();
        for read in evaluator.reads(&path, kind) {
            if let Some((label, sibling, value)) = given(record, &evaluator, rules.questionnaire(), &read) {
                let given = SiblingDetail { value, ..sources.sibling(sibling)? };
                reads.push(ReadDetail { path: read.to_string(), label, given });
            }
        }
        let label = rules.questionnaire().question_at(&path).map(|question| label(&evaluator, question, &path));
        broken.push(BrokenDetail { path: path.to_string(), kind, label: label.unwrap_or_default(), message, reads });
    }
    Ok(broken)
}

/// What an answer is called, its shown sibling, and the value: of a merge group that of the member alone.
fn given<'a>(
    record: &'a Record,
    evaluator: &Evaluator,
    questionnaire: &Questionnaire,
    path: &Path,
) -> Option<(Text, Sibling<'a>, Value)> {
    let question = questionnaire.question_at(path)?;
    let register = Path::new(path.place().clone(), question.register()).ok()?;
    let answer = record.answer(&register)?;
    let shown = answer.value(questionnaire.merge_of(&register));
    let value = question.part(&shown)?.clone();
    Some((label(evaluator, question, path), *answer.siblings.first()?, value))
}

/// What a question is called, by language, with the answers that it quotes.
fn label(evaluator: &Evaluator, question: &Question, path: &Path) -> Text {
    let mut label = Text::default();
    for (language, _) in question.label.iter() {
        label.set(language, evaluator.text(path, &question.label, language));
    }
    label
}

/// Every value that one answer ever had, the oldest first.
///
/// # Errors
/// [`Code::NotFound`].
pub fn history(tx: Tx<'_>, id: RecordId, path: &Path, catalogue: &Catalogue) -> Result<Vec<SiblingDetail>, Failure> {
    let (_, record) = read(tx, id, catalogue)?;
    let mut sources = Sources { tx, known: BTreeMap::new() };
    let mut history = Vec::new();
    for (sibling, by) in record.history(path) {
        let mut sibling = sources.sibling(sibling)?;
        sibling.replaced_by = by.iter().map(ToString::to_string).collect();
        history.push(sibling);
    }
    if history.is_empty() {
        return Err(Failure::problem(Code::NotFound, format!("`{path}` was never answered")));
    }
    Ok(history)
}

fn read(tx: Tx<'_>, id: RecordId, catalogue: &Catalogue) -> Result<(RecordRow, Record), Failure> {
    let not_found = || Failure::problem(Code::NotFound, "no such record");
    let row = tx.record_row(id)?.ok_or_else(not_found)?;
    let key = tx.record_key(id)?.ok_or_else(not_found)?;
    Ok((row, merge(tx.changes_of(key.id)?, catalogue)?))
}

fn is_personal(register: Register<'_>) -> bool {
    match register {
        Register::One(question) => question.personal,
        Register::Group { members, .. } => members.iter().any(|member| member.personal),
    }
}

/// Devices of changes, each asked for once.
struct Sources<'a> {
    tx: Tx<'a>,
    known: BTreeMap<Dot, (String, Vec<String>)>,
}

impl Sources<'_> {
    fn sibling(&mut self, sibling: Sibling<'_>) -> Result<SiblingDetail, StoreError> {
        let (device, flags) = match self.known.get(&sibling.dot) {
            Some(known) => known.clone(),
            None => {
                let source = self.tx.change_source(sibling.dot)?;
                let source = source.map(|source| (source.device, source.flags)).unwrap_or_default();
                self.known.insert(sibling.dot, source.clone());
                source
            }
        };
        Ok(SiblingDetail {
            dot: sibling.dot.to_string(),
            value: sibling.value.clone(),
            author: sibling.origin.author.to_string(),
            device,
            wall_ms: sibling.origin.wall_ms,
            effective_ms: sibling.origin.effective_ms(),
            received_ms: sibling.origin.stamp.map_or(0, |stamp| stamp.received_ms),
            flags,
            attachment: match Attachment::from_value(sibling.value) {
                Some(named) => Some(attachments::look_up(self.tx, named)?),
                None => None,
            },
            replaced_by: Vec::new(),
        })
    }
}

/// The record's paths in the order of the questionnaire, rows in their order; unknown ones last.
fn in_order(record: &Record, questionnaire: Option<&Questionnaire>) -> Vec<Path> {
    let mut ordered = Ordered::default();
    if let Some(questionnaire) = questionnaire {
        ordered.walk(record, questionnaire.items(), &Place::record());
    }
    for (path, _) in record.shown_answers() {
        ordered.push(path.clone());
    }
    ordered.paths
}

/// Paths, each at its first place.
#[derive(Default)]
struct Ordered {
    paths: Vec<Path>,
    seen: BTreeSet<Path>,
}

impl Ordered {
    fn push(&mut self, path: Path) {
        if self.seen.insert(path.clone()) {
            self.paths.push(path);
        }
    }

    fn walk(&mut self, record: &Record, items: &[Item], place: &Place) {
        for item in items {
            match item {
                Item::Question(question) => {
                    if let Ok(path) = Path::new(place.clone(), question.register()) {
                        self.push(path);
                    }
                }
                Item::Group(group) => self.walk(record, &group.children, place),
                Item::Repeat(repeat) => {
                    for row in record.rows(place, &repeat.key) {
                        self.walk(record, &repeat.children, row.place);
                    }
                }
            }
        }
    }
}

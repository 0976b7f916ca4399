//! CSV: one table of interviews and one for each repeat, streamed record by record.
//!
//! Columns stand in the order of the questionnaire. Calculated values are computed from the merged view; an
//! answer that is not relevant stays in the record and is left out here, its name in `_irrelevant`. Conflicts
//! stand in `_conflicts`, the shown value in its column; broken rules in `_violations`; answers that the version does not
//! ask for any more in `_parked`; the household that stands for one that was registered twice in `_same_as`; where the review stands in `_review`. Personal data only
//! where it is asked for.

use super::{Failure, catalogue::Catalogue, derive::merge, households, validate};
use crate::store::{RecordFilter, RecordRow, Tx};
use questionnaire::{ChoiceSource, Evaluation, Evaluator, Item, Kind, Question, Questionnaire, Violation};
use std::{io::Write, sync::Arc};
use sync_protocol::{
    Attachment, HouseholdId, Path, Place, QuestionnaireRef, Record, Value,
    problem::Code,
    record::{Merge, Row},
};

/// Records read at once.
const PAGE: u32 = 200;

/// What an export holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Write choices as labels in this language; none writes their codes.
    pub labels: Option<String>,
    /// Include personal data.
    pub personal: bool,
}

/// The table of interviews, or of one repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The file's name without its ending: `interviews`, or the repeats joined by `-`.
    pub name: String,
    repeats: Vec<String>,
}

/// The tables of a questionnaire: interviews first, then its repeats in form order.
#[must_use]
pub fn tables(questionnaire: &Questionnaire) -> Vec<Table> {
    fn walk(items: &[Item], outer: &[String], tables: &mut Vec<Table>) {
        for item in items {
            match item {
                Item::Question(_) => {}
                Item::Group(group) => walk(&group.children, outer, tables),
                Item::Repeat(repeat) => {
                    let mut repeats = outer.to_vec();
                    repeats.push(repeat.key.clone());
                    tables.push(Table { name: repeats.join("-"), repeats: repeats.clone() });
                    walk(&repeat.children, &repeats, tables);
                }
            }
        }
    }
    let mut tables = vec![Table { name: "interviews".into(), repeats: Vec::new() }];
    walk(questionnaire.items(), &[], &mut tables);
    tables
}

/// Finds the questionnaire that is to be exported.
///
/// # Errors
/// [`Code::UnknownQuestionnaire`].
pub fn questionnaire<'a>(catalogue: &'a Catalogue, reference: &str) -> Result<&'a Arc<Questionnaire>, Failure> {
    let known = reference.parse().ok().and_then(|name: QuestionnaireRef| catalogue.questionnaire(&name));
    known.ok_or_else(|| Failure::problem(Code::UnknownQuestionnaire, format!("`{reference}` is not on this server")))
}

/// Writes tables of a questionnaire, each to its own sink, in one pass over the interviews.
///
/// # Errors
/// If the store or a sink fails.
pub fn write<W: Write>(
    tx: Tx<'_>,
    catalogue: &Catalogue,
    questionnaire: &Questionnaire,
    options: &Options,
    sinks: Vec<(Table, W)>,
    mut progress: impl FnMut(u64),
) -> Result<u64, Failure> {
    let name =
        QuestionnaireRef { id: questionnaire.id.as_str().into(), version: questionnaire.version.as_str().into() };
    let compiled = catalogue.compiled(&name);
    let mut writers = Vec::new();
    for (table, sink) in sinks {
        let columns = columns(questionnaire, &table, options);
        let mut csv = csv::Writer::from_writer(sink);
        let mut header: Vec<String> = fixed(&table).into_iter().map(str::to_owned).collect();
        header.extend(columns.iter().map(Column::header));
        header
            .extend(["_conflicts", "_violations", "_irrelevant", "_parked", "_same_as", "_review"].map(str::to_owned));
        csv.write_record(&header).map_err(|error| sink_failed(&error))?;
        writers.push((table, columns, csv));
    }
    let filter =
        RecordFilter { interviews: Some(true), questionnaire: Some(name.to_string()), ..RecordFilter::default() };
    let (mut after, mut written) = (0, 0);
    loop {
        let page = tx.records(&filter, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.number;
        for row in page {
            let record = merge(tx.changes_of(row.number)?, catalogue)?;
            let evaluator = compiled.map(|compiled| validate::evaluator(&record, compiled));
            let evaluation = evaluator.as_ref().map(Evaluator::evaluation).unwrap_or_default();
            let violations = evaluator.map(|evaluator| evaluator.broken(&record)).unwrap_or_default();
            let household = record.subject().map(|subject| subject.household());
            let joined = household.map_or(Ok(None), |household| households::of(tx, household))?;
            let same_as = joined.map(|joined| joined.first).filter(|first| Some(*first) != household);
            let shown = Shown {
                tx,
                questionnaire,
                options,
                row: &row,
                record: &record,
                evaluation: &evaluation,
                violations,
                same_as,
            };
            for (table, columns, csv) in &mut writers {
                for place in shown.places(&table.repeats) {
                    csv.write_record(shown.line(table, columns, &place)).map_err(|error| sink_failed(&error))?;
                }
            }
            written += 1;
        }
        progress(written);
    }
    for (_, _, csv) in &mut writers {
        csv.flush()
            .map_err(|error| Failure::problem(Code::Internal, format!("the export can't be written: {error}")))?;
    }
    Ok(written)
}

fn sink_failed(error: &csv::Error) -> Failure {
    Failure::problem(Code::Internal, format!("the export can't be written: {error}"))
}

/// The columns that every line of a table begins with.
fn fixed(table: &Table) -> Vec<&'static str> {
    let mut fixed = vec!["household", "interview", "round", "area"];
    if table.repeats.is_empty() {
        fixed.extend(["purpose", "enumerator", "finished", "void", "changes"]);
    } else {
        fixed.extend(["row", "order", "kept"]);
    }
    fixed
}

/// One column of a table.
struct Column<'a> {
    question: &'a Question,
    part: Part,
}

/// What of an answer stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// One part of a GPS fix, and the power of ten that its integers are in.
    Fix(&'static str, usize),
    /// A file's name, or else its hash.
    Name,
    /// Its SHA-256.
    Hash,
    /// Its media type.
    Type,
    /// Whether its bytes are on the server.
    IsHere,
}

/// The columns of a photo or file, by their ending.
const OF_FILE: [(Part, &str); 4] =
    [(Part::Name, ""), (Part::Hash, "_sha256"), (Part::Type, "_type"), (Part::IsHere, "_here")];

impl Column<'_> {
    fn header(&self) -> String {
        match self.part {
            Part::Fix(part, _) => format!("{}_{part}", self.question.key),
            Part::Whole => self.question.key.clone(),
            part @ (Part::Name | Part::Hash | Part::Type | Part::IsHere) => {
                let ending = OF_FILE.iter().find(|(known, _)| *known == part).map_or("", |(_, ending)| ending);
                format!("{}{ending}", self.question.key)
            }
        }
    }
}

fn columns<'a>(questionnaire: &'a Questionnaire, table: &Table, options: &Options) -> Vec<Column<'a>> {
    let mut columns = Vec::new();
    for (repeats, question) in questionnaire.questions() {
        let is_here = repeats.iter().eq(table.repeats.iter());
        if !is_here || !question.kind.holds_value() || (question.personal && !options.personal) {
            continue;
        }
        if question.kind == Kind::GeoPoint {
            let parts = [("lat", 7), ("lon", 7), ("alt", 3), ("acc", 3)];
            columns.extend(parts.map(|(part, scale)| Column { question, part: Part::Fix(part, scale) }));
        } else if question.kind.is_attachment() {
            columns.extend(OF_FILE.map(|(part, _)| Column { question, part }));
        } else {
            columns.push(Column { question, part: Part::Whole });
        }
    }
    columns
}

/// One record on its way out.
struct Shown<'a> {
    tx: Tx<'a>,
    questionnaire: &'a Questionnaire,
    options: &'a Options,
    row: &'a RecordRow,
    record: &'a Record,
    evaluation: &'a Evaluation,
    violations: Vec<Violation>,
    /// The household that stands for this one's.
    same_as: Option<HouseholdId>,
}

impl Shown<'_> {
    /// The places of a table's lines: the record itself, or the shown rows of the repeats, in order.
    fn places(&self, repeats: &[String]) -> Vec<Place> {
        let mut places = vec![Place::record()];
        for repeat in repeats {
            places =
                places.iter().flat_map(|outer| self.record.rows(outer, repeat)).map(|row| row.place.clone()).collect();
        }
        places
    }

    fn line(&self, table: &Table, columns: &[Column<'_>], place: &Place) -> Vec<String> {
        let yes = |is: bool| if is { "1" } else { "0" }.to_owned();
        let mut line = vec![
            self.row.household.to_string(),
            self.row.id.to_string(),
            self.row.round.clone().unwrap_or_default(),
            self.row.area.clone().unwrap_or_default(),
        ];
        if table.repeats.is_empty() {
            line.extend([
                self.row.purpose.clone().unwrap_or_default(),
                self.row.enumerator.clone(),
                yes(self.row.finished),
                yes(self.row.void),
                self.row.changes.to_string(),
            ]);
        } else {
            let row: Option<Row<'_>> = self.record.all_rows().find(|row| row.place == place);
            line.push(place.as_str().to_owned());
            line.push(row.as_ref().map(|row| row.order.to_string()).unwrap_or_default());
            line.push(yes(row.is_some_and(|row| row.kept)));
        }
        let (mut conflicts, mut irrelevant): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
        for column in columns {
            line.push(self.cell(column, place, &mut conflicts, &mut irrelevant));
        }
        conflicts.dedup();
        irrelevant.dedup();
        let same_as = self.same_as.map(|first| first.to_string()).unwrap_or_default();
        line.extend([conflicts.join("; "), self.broken(place), irrelevant.join(" "), self.parked(place), same_as]);
        line.push(self.row.review.clone().unwrap_or_default());
        line
    }

    /// The answers of a place that this version does not ask for: `colour: blue`. Whether such an answer is personal nobody
    /// can say any more: its value stands there only where personal data are asked for.
    fn parked(&self, place: &Place) -> String {
        let parked = self.questionnaire.parked(self.record);
        // Rows of a roster that is gone stand with the interview.
        let is_here =
            |path: &Path| path.place() == place || (place.is_record() && !self.questionnaire.has_place(path.place()));
        let told = parked.iter().filter(|(path, _)| is_here(path)).map(|(path, value)| {
            let name = if path.place() == place { path.name().to_owned() } else { path.to_string() };
            if self.options.personal { format!("{name}: {value}") } else { name }
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// What is broken in a place: `m_age: constraint; m_sex: choice`.
    fn broken(&self, place: &Place) -> String {
        let here = self.violations.iter().filter(|violation| violation.path.place() == place);
        here.map(|violation| format!("{}: {}", violation.path.name(), violation.kind)).collect::<Vec<_>>().join("; ")
    }

    fn cell<'q>(
        &self,
        column: &Column<'q>,
        place: &Place,
        conflicts: &mut Vec<String>,
        irrelevant: &mut Vec<&'q str>,
    ) -> String {
        let question = column.question;
        let Ok(path) = Path::new(place.clone(), question.key.as_str()) else { return String::new() };
        if let Some(calculated) = self.evaluation.calculated.get(&path) {
            return calculated.clone();
        }
        let Ok(register) = Path::new(place.clone(), question.register()) else { return String::new() };
        let Some(answer) = self.record.answer(&register) else { return String::new() };
        if self.evaluation.relevant.get(&path) == Some(&false) {
            irrelevant.push(&question.key);
            return String::new();
        }
        let merge = match question.merge {
            questionnaire::Merge::Union => Merge::Union,
            questionnaire::Merge::Alone | questionnaire::Merge::Group(_) => Merge::Register,
        };
        if answer.is_conflict(merge) {
            let values: Vec<String> = answer.siblings.iter().map(|sibling| sibling.value.to_string()).collect();
            conflicts.push(format!("{}: {}", register.name(), values.join(" | ")));
        }
        let shown = answer.value(merge);
        question.part(&shown).map(|value| self.text(column, value)).unwrap_or_default()
    }

    fn text(&self, column: &Column<'_>, value: &Value) -> String {
        match (value, column.part) {
            (value @ Value::Fields(_), part @ (Part::Name | Part::Hash | Part::Type | Part::IsHere)) => {
                Attachment::from_value(value).map(|named| self.of_file(part, named)).unwrap_or_default()
            }
            // Why there is none stands once.
            (_, Part::Hash | Part::Type | Part::IsHere) => String::new(),
            (Value::Fields(fields), Part::Fix(part, scale)) => match fields.get(part) {
                Some(Value::Integer(number)) => decimal(*number, scale),
                Some(Value::Text(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_)) | None => String::new(),
            },
            (Value::Text(code), Part::Whole) => self.label(column.question, code),
            (Value::Choices(codes), Part::Whole) => {
                let separator = if self.options.labels.is_some() { "; " } else { " " };
                codes.iter().map(|code| self.label(column.question, code)).collect::<Vec<_>>().join(separator)
            }
            (value, _) => value.to_string(),
        }
    }

    fn of_file(&self, part: Part, named: Attachment) -> String {
        match part {
            Part::Name => named.name.unwrap_or_else(|| named.hash.to_string()),
            Part::Hash => named.hash.to_string(),
            Part::Type => named.media,
            Part::IsHere | Part::Whole | Part::Fix(..) => {
                let is_here = self.tx.attachment(named.hash).is_ok_and(|found| found.is_some());
                if is_here { "1" } else { "0" }.to_owned()
            }
        }
    }

    /// A choice's label in the language that was asked for, else its code.
    fn label(&self, question: &Question, code: &str) -> String {
        let list = question.kind.select().and_then(|select| match &select.source {
            ChoiceSource::List(list) => self.questionnaire.lists.get(list),
            ChoiceSource::Rows(_) | ChoiceSource::File(_) | ChoiceSource::External(_) => None,
        });
        match (&self.options.labels, list.and_then(|list| list.get(code))) {
            (Some(language), Some(choice)) => self.questionnaire.text(&choice.label, language).to_owned(),
            (_, _) => code.to_owned(),
        }
    }
}

/// An integer of `10^-scale` as a decimal.
fn decimal(number: i64, scale: usize) -> String {
    let digits = format!("{:0width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    format!("{}{whole}.{fraction}", if number < 0 { "-" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn integers_of_small_parts_become_decimals() {
        let cases =
            [(-101_700_000, 7, "-10.1700000"), (1_236_000_001, 7, "123.6000001"), (5, 3, "0.005"), (0, 3, "0.000")];
        for (number, scale, text) in cases {
            assert_eq!(decimal(number, scale), text);
        }
    }
}

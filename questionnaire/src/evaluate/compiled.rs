//! A questionnaire with all its expressions resolved.

use std::sync::Arc;

use super::context::Context;
use super::evaluator::Evaluator;
use super::instance::Instance;
use super::lists::Tables;
use super::program::Program;
use super::report::Evaluation;
use crate::model::Questionnaire;
use crate::problem::{Problem, Problems};

/// Holds a questionnaire whose expressions are resolved; made once per version, cheap to clone.
///
/// ```
/// use questionnaire::{Compiled, Context, Instance, Questionnaire};
/// # let json = r#"{"id":"farm","version":"1","lists":{},"items":[
/// #  {"question":{"name":"ha","key":"ha","kind":"decimal","row":2,
/// #    "constraint":{"text":". < 50","row":2,"column":"constraint"}}},
/// #  {"question":{"name":"m2","key":"m2","kind":"calculate","row":3,
/// #    "calculation":{"text":"${ha} * 10000","row":3,"column":"calculation"}}}]}"#;
/// let farm: Questionnaire = serde_json::from_str(json)?;
/// let compiled = Compiled::new(&farm)?;
/// let mut answers = Instance::new();
/// answers.set(&"ha".parse()?, "1.5");
/// let evaluation = compiled.evaluate(&answers, &Context::default());
/// assert_eq!(evaluation.calculated[&"m2".parse()?], "15000");
/// assert!(evaluation.violations.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compiled {
    pub(crate) program: Arc<Program>,
}

impl Compiled {
    /// Resolves all expressions of a questionnaire.
    ///
    /// # Errors
    ///
    /// Returns every problem at once, each with sheet, row and column: what is no expression, a function that does not
    /// exist or takes other arguments, a name or path that leads nowhere, a circle of calculations and conditions.
    pub fn new(questionnaire: &Questionnaire) -> Result<Self, Problems> {
        Self::with_tables(Arc::new(questionnaire.clone()), Tables::new())
    }

    /// Resolves all expressions, with the entries of the files that come with the form.
    ///
    /// # Errors
    ///
    /// Returns every problem at once, as [`Compiled::new`] does.
    pub fn with_tables(questionnaire: Arc<Questionnaire>, tables: Tables) -> Result<Self, Problems> {
        Self::build(questionnaire, tables, false)
    }

    /// Resolves as [`Compiled::with_tables`] does, but only warns of paths that lead nowhere and of patterns that can't
    /// be used: the first are empty, the second forbid nothing.
    ///
    /// # Errors
    ///
    /// Returns all that can't be overlooked.
    pub fn lenient(questionnaire: Arc<Questionnaire>, tables: Tables) -> Result<Self, Problems> {
        Self::build(questionnaire, tables, true)
    }

    fn build(questionnaire: Arc<Questionnaire>, tables: Tables, lenient: bool) -> Result<Self, Problems> {
        let program = Program::build(questionnaire, tables, lenient)?;
        Ok(Self { program: Arc::new(program) })
    }

    /// Returns what someone should look at all the same; empty but for [`Compiled::lenient`].
    pub fn warnings(&self) -> &[Problem] {
        &self.program.warnings
    }

    /// Returns the questionnaire.
    pub fn questionnaire(&self) -> &Questionnaire {
        &self.program.questionnaire
    }

    /// Says what the rules make of a record.
    pub fn evaluate(&self, instance: &Instance, context: &Context) -> Evaluation {
        Evaluator::new(self, instance, context.clone()).evaluation()
    }
}

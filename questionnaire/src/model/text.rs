//! Text in several languages, and expressions as they stand in the workbook.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Holds one text per language; the language is `""` where the workbook names none.
///
/// ```
/// use questionnaire::Text;
/// let mut text = Text::default();
/// text.set("Bahasa Indonesia (id)", "Umur");
/// text.set("English (en)", "Age");
/// assert_eq!(text.in_language("English (en)"), "Age");
/// assert_eq!(text.in_language("Tetun"), "Umur");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(BTreeMap<String, String>);

impl Text {
    /// Sets the text of one language.
    pub fn set(&mut self, language: impl Into<String>, text: impl Into<String>) {
        self.0.insert(language.into(), text.into());
    }

    /// Returns the text in a language.
    ///
    /// Where it is missing, the text without a language stands in, then that of the first language in the alphabet that
    /// has one, then `""`: an enumerator reads something rather than nothing.
    pub fn in_language(&self, language: &str) -> &str {
        self.get(language)
            .or_else(|| self.get(""))
            .or_else(|| self.0.values().map(String::as_str).find(|text| !text.is_empty()))
            .unwrap_or("")
    }

    /// Returns the text of exactly this language.
    pub fn get(&self, language: &str) -> Option<&str> {
        self.0.get(language).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Yields each language with its text, by language.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(language, text)| (language.as_str(), text.as_str()))
    }

    /// Tells whether there is no text in any language.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(String::is_empty)
    }
}

/// Holds an expression as written, with the cell that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expression {
    /// The text of the cell. `yes` in a column of conditions is already `true()`.
    pub text: String,
    /// The spreadsheet row, counted from 1.
    pub row: u32,
    /// The header of the column as in the workbook.
    pub column: String,
}

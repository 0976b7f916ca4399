//! The kinds of question that XLSForm has, and where their choices come from.

use serde::{Deserialize, Serialize};

/// Says what a question asks for, as the `type` column declares it.
///
/// See <https://docs.getodk.org/form-question-types/>.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A whole number.
    Integer,
    /// A decimal number.
    Decimal,
    /// A number picked between the bounds in the parameters `start`, `end`, `step`.
    Range,
    /// Free text.
    Text,
    /// A calendar date.
    Date,
    /// A time of day.
    Time,
    /// A date with a time.
    DateTime,
    /// One GPS fix.
    GeoPoint,
    /// A line of GPS fixes.
    GeoTrace,
    /// A closed line of GPS fixes.
    GeoShape,
    /// One of several choices.
    SelectOne(Select),
    /// Any number of several choices.
    SelectMultiple(Select),
    /// All of several choices, in the order of preference.
    Rank(Select),
    /// A picture.
    Image,
    /// A sound recording.
    Audio,
    /// A film.
    Video,
    /// Any other file.
    File,
    /// A scanned code, as text.
    Barcode,
    /// A box to tick.
    Acknowledge,
    /// A text to read; holds no answer.
    Note,
    /// A value computed from other answers.
    Calculate,
    /// A value that no screen shows.
    Hidden,
    /// A value that the device fills in.
    Metadata(Metadata),
    /// An XML file for `instance()`; holds no answer.
    XmlExternal,
    /// A CSV file for `instance()`; holds no answer.
    CsvExternal,
}

impl Kind {
    /// Returns the name of the type as XLSForm writes it today, without its list.
    pub fn name(&self) -> &str {
        match self {
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Range => "range",
            Self::Text => "text",
            Self::Date => "date",
            Self::Time => "time",
            Self::DateTime => "dateTime",
            Self::GeoPoint => "geopoint",
            Self::GeoTrace => "geotrace",
            Self::GeoShape => "geoshape",
            Self::SelectOne(_) => "select_one",
            Self::SelectMultiple(_) => "select_multiple",
            Self::Rank(_) => "rank",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::File => "file",
            Self::Barcode => "barcode",
            Self::Acknowledge => "acknowledge",
            Self::Note => "note",
            Self::Calculate => "calculate",
            Self::Hidden => "hidden",
            Self::Metadata(metadata) => metadata.name(),
            Self::XmlExternal => "xml-external",
            Self::CsvExternal => "csv-external",
        }
    }

    /// Returns where the choices come from, if there are choices.
    pub fn select(&self) -> Option<&Select> {
        if let Self::SelectOne(select) | Self::SelectMultiple(select) | Self::Rank(select) = self {
            Some(select)
        } else {
            None
        }
    }

    /// Tells whether an answer is an attachment: a picture, a recording, a film or another file.
    pub fn is_attachment(&self) -> bool {
        matches!(self, Self::Image | Self::Audio | Self::Video | Self::File)
    }

    /// Tells whether an attachment of this media type answers the question.
    pub fn takes(&self, media: &str) -> bool {
        // Of pictures those that every device and the server can decode, scale and show.
        (*self == Self::Image && ["image/jpeg", "image/png", "image/webp"].contains(&media))
            || (*self == Self::Audio && media.starts_with("audio/"))
            || (*self == Self::Video && media.starts_with("video/"))
            || *self == Self::File
    }

    /// Tells whether a record can hold a value of this question at all.
    pub fn holds_value(&self) -> bool {
        !matches!(self, Self::Note | Self::XmlExternal | Self::CsvExternal)
    }

    /// Tells whether an enumerator is shown this question, and so reads its label.
    pub fn is_shown(&self) -> bool {
        !matches!(self, Self::Calculate | Self::Hidden | Self::Metadata(_) | Self::XmlExternal | Self::CsvExternal)
    }
}

/// Says where a select's choices come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// The source of the choices.
    pub source: ChoiceSource,
    /// Tells whether the form asked for an `other` choice with a text beside it; the loader adds both.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub or_other: bool,
}

/// Names the place that choices are read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceSource {
    /// A list of the `choices` sheet.
    List(String),
    /// The rows of a roster, written `select_one ${name}`; the answer is a row id, never a line number.
    Rows(RowChoice),
    /// A file that comes with the form (`select_one_from_file`): `.csv`, `.xml` or `.geojson`.
    File(String),
    /// A list of the `external_choices` sheet.
    External(String),
}

/// Names the roster whose rows are the choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChoice {
    /// The name as written in the workbook.
    pub name: String,
    /// The keys of the repeats, outermost first, down to the roster.
    #[serde(default)]
    pub repeats: Vec<String>,
    /// The key of the question whose answer is shown for a row; none where the roster itself was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
}

macro_rules! metadata {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// Names a value that the device fills in without asking.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Metadata {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
            /// A type that is not known; only the lenient reader lets it pass.
            #[serde(rename = "unknown")]
            Unknown(String),
        }

        impl Metadata {
            pub(crate) const NAMES: &[&str] = &[$($text),+];

            /// Returns the name as the `type` column writes it.
            pub fn name(&self) -> &str {
                match self { $(Self::$name => $text,)+ Self::Unknown(name) => name }
            }

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

metadata! {
    /// When the interview was opened first.
    Start = "start",
    /// When the interview was finished.
    End = "end",
    /// The day of the interview.
    Today = "today",
    /// The device's id.
    DeviceId = "deviceid",
    /// The enumerator's user name.
    Username = "username",
    /// The device's phone number.
    PhoneNumber = "phonenumber",
    /// The serial number of the SIM card.
    SimSerial = "simserial",
    /// The subscriber's id on the SIM card.
    SubscriberId = "subscriberid",
    /// The enumerator's e-mail address.
    Email = "email",
    /// A log of the time spent per question.
    Audit = "audit",
    /// A sound recording made while the form is open.
    BackgroundAudio = "background-audio",
    /// A GPS fix taken when another answer changes.
    BackgroundGeopoint = "background-geopoint",
    /// A GPS fix taken when the form is opened.
    StartGeopoint = "start-geopoint",
}

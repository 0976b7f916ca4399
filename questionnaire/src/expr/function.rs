//! The functions that expressions may call, with how many arguments each takes.
//!
//! The list is that of the ODK XForms specification (<https://getodk.github.io/xforms-spec/#xpath-functions>), of its
//! documentation (<https://docs.getodk.org/form-operators-functions/>), and of XPath 1.0 where forms use it.

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arity {
    pub(crate) least: usize,
    pub(crate) most: usize,
    /// Arguments after the least come in groups of this many.
    pub(crate) group: usize,
}

impl Arity {
    pub(crate) fn admits(self, count: usize) -> bool {
        count >= self.least && count <= self.most && (count - self.least).is_multiple_of(self.group)
    }

    /// Says in words how many arguments are right.
    pub(crate) fn words(self) -> String {
        let some = |count: usize| match count {
            0 => "no arguments".to_owned(),
            1 => "one argument".to_owned(),
            other => format!("{other} arguments"),
        };
        if self.least == self.most {
            some(self.least)
        } else if self.most == usize::MAX {
            let grouped = if self.group > 1 { format!(", then {} at a time", self.group) } else { String::new() };
            format!("at least {}{grouped}", some(self.least))
        } else if self.group > 1 {
            let counts: Vec<String> =
                (self.least..=self.most).step_by(self.group).map(|count| count.to_string()).collect();
            format!("{} arguments", counts.join(", "))
        } else {
            format!("{} to {} arguments", self.least, self.most)
        }
    }
}

macro_rules! functions {
    ($($name:ident = $($text:literal)|+, $least:expr, $most:expr, $group:expr;)+) => {
        /// Names a function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Function { $($name,)+ }

        impl Function {
            /// All names that can be called.
            pub(crate) const NAMES: &[&str] = &[$($($text,)+)+];

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name { $($($text)|+ => Some(Self::$name),)+ _ => None }
            }

            pub(crate) fn arity(self) -> Arity {
                match self {
                    $(Self::$name => Arity { least: $least, most: $most, group: $group },)+
                }
            }
        }
    };
}

const MANY: usize = usize::MAX;

functions! {
    // Booleans.
    True = "true", 0, 0, 1;
    False = "false", 0, 0, 1;
    Not = "not", 1, 1, 1;
    Boolean = "boolean", 1, 1, 1;
    BooleanFromString = "boolean-from-string", 1, 1, 1;
    If = "if", 3, 3, 1;
    Coalesce = "coalesce", 2, MANY, 1;
    Checklist = "checklist", 2, MANY, 1;
    WeightedChecklist = "weighted-checklist", 2, MANY, 2;
    Selected = "selected" | "is-selected", 2, 2, 1;
    SelectedAt = "selected-at", 2, 2, 1;
    CountSelected = "count-selected", 1, 1, 1;
    ChoiceName = "jr:choice-name", 2, 2, 1;
    Itext = "jr:itext", 1, 1, 1;
    // Texts.
    Text = "string", 1, 1, 1;
    Concat = "concat", 1, MANY, 1;
    Join = "join", 2, MANY, 1;
    Substr = "substr", 2, 3, 1;
    Substring = "substring", 2, 3, 1;
    SubstringBefore = "substring-before", 2, 2, 1;
    SubstringAfter = "substring-after", 2, 2, 1;
    StringLength = "string-length", 0, 1, 1;
    NormalizeSpace = "normalize-space", 0, 1, 1;
    Translate = "translate", 3, 3, 1;
    Contains = "contains", 2, 2, 1;
    StartsWith = "starts-with", 2, 2, 1;
    EndsWith = "ends-with", 2, 2, 1;
    UpperCase = "upper-case", 1, 1, 1;
    LowerCase = "lower-case", 1, 1, 1;
    Regex = "regex", 2, 2, 1;
    Digest = "digest", 2, 3, 1;
    Base64Decode = "base64-decode", 1, 1, 1;
    ThousandsSep = "thousands-sep", 1, 1, 1;
    // Numbers.
    Number = "number", 1, 1, 1;
    Int = "int", 1, 1, 1;
    Round = "round", 1, 2, 1;
    Floor = "floor", 1, 1, 1;
    Ceiling = "ceiling", 1, 1, 1;
    Abs = "abs", 1, 1, 1;
    Pow = "pow", 2, 2, 1;
    Sqrt = "sqrt", 1, 1, 1;
    Exp = "exp", 1, 1, 1;
    Exp10 = "exp10", 1, 1, 1;
    Log = "log", 1, 1, 1;
    Log10 = "log10", 1, 1, 1;
    Sin = "sin", 1, 1, 1;
    Cos = "cos", 1, 1, 1;
    Tan = "tan", 1, 1, 1;
    Asin = "asin", 1, 1, 1;
    Acos = "acos", 1, 1, 1;
    Atan = "atan", 1, 1, 1;
    Atan2 = "atan2", 2, 2, 1;
    Pi = "pi", 0, 0, 1;
    Random = "random", 0, 0, 1;
    // Dates and times.
    Today = "today", 0, 0, 1;
    Now = "now", 0, 0, 1;
    Date = "date", 1, 1, 1;
    DateTime = "date-time", 1, 1, 1;
    DecimalDateTime = "decimal-date-time", 1, 1, 1;
    DecimalTime = "decimal-time", 1, 1, 1;
    FormatDate = "format-date" | "format-date-time", 2, 2, 1;
    // Sets of nodes.
    Count = "count", 1, 1, 1;
    CountNonEmpty = "count-non-empty", 1, 1, 1;
    Sum = "sum", 1, 1, 1;
    Min = "min", 1, MANY, 1;
    Max = "max", 1, MANY, 1;
    Position = "position", 0, 1, 1;
    Last = "last", 0, 0, 1;
    IndexedRepeat = "indexed-repeat", 3, 17, 2;
    Randomize = "randomize", 1, 2, 1;
    Instance = "instance", 1, 1, 1;
    Current = "current", 0, 0, 1;
    PullData = "pulldata", 4, 4, 1;
    // Places.
    Area = "area" | "enclosed-area", 1, 1, 1;
    Distance = "distance", 1, MANY, 1;
    Geofence = "geofence", 2, 2, 1;
    // What the device knows.
    Once = "once", 1, 1, 1;
    Uuid = "uuid", 0, 1, 1;
    Version = "version", 0, 0, 1;
    Property = "property", 1, 1, 1;
    Depend = "depend", 1, MANY, 1;
}

impl Function {
    /// Returns the known name that is most like a name that is not known.
    pub(crate) fn alike(name: &str) -> Option<&'static str> {
        let plain = |text: &str| text.to_lowercase().replace(['-', '_', ':'], "");
        let wanted = plain(name);
        Self::NAMES.iter().copied().find(|known| plain(known) == wanted).or_else(|| {
            Self::NAMES
                .iter()
                .copied()
                .filter(|known| distance(&wanted, &plain(known)) <= 1.max(wanted.len() / 5))
                .min_by_key(|known| distance(&wanted, &plain(known)))
        })
    }
}

/// Counts the letters to insert, remove or replace between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before: Vec<usize> = (0..=b.len()).collect();
    for (at, left) in a.chars().take(64).enumerate() {
        let mut line = vec![at + 1];
        for (right, pair) in b.iter().zip(before.windows(2)) {
            if let (&[diagonal, above], Some(&last)) = (pair, line.last()) {
                let replaced = diagonal + usize::from(left != *right);
                line.push(replaced.min(above + 1).min(last + 1));
            }
        }
        before = line;
    }
    before.last().copied().unwrap_or(0)
}

//! Which names are allowed.

/// Longest key of an answer, in bytes, as the sync protocol has it.
pub(super) const MAX_KEY: usize = 128;

/// Tells whether a name is an XML name without a colon (NCName of Namespaces in XML 1.0) that a path can hold.
///
/// A path of the sync protocol holds letters and digits of any script, `_`, `-` and the point, and at most
/// [`MAX_KEY`] bytes in one name.
pub(super) fn is_xml_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= MAX_KEY
        && chars.next().is_some_and(starts_name)
        && chars.all(continues_name)
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Tells whether a key is XML names joined by points.
pub(super) fn is_key(key: &str) -> bool {
    key.split('.').all(is_xml_name)
}

fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | 'a'..='z' | '_' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

fn continues_name(c: char) -> bool {
    starts_name(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_xml_names_without_a_colon() {
        for good in ["age", "_start", "a1", "a-b.c", "usia_α"] {
            assert!(is_xml_name(good), "{good}");
        }
        for bad in ["", "1a", "a b", "a:b", "-a", "a/b", "a[1]", "a\u{301}"] {
            assert!(!is_xml_name(bad), "{bad}");
        }
    }
}

//! From characters to tokens.
//!
//! Whether `*`, `and`, `or`, `div` and `mod` are operators follows from the token before (XPath 1.0, section 3.7).

use super::{Op, SyntaxError};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(String),
    Name(String),
    /// `${name}`.
    Reference(String),
    /// `${last-saved#name}`.
    LastSaved(String),
    Op(Op),
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Comma,
    Slash,
    DoubleSlash,
    Dot,
    DotDot,
    Star,
    At,
    Axis(String),
}

/// Splits an expression into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut lexer = Lexer { rest: text, tokens: Vec::new() };
    while lexer.next()? {}
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Token>,
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

impl<'a> Lexer<'a> {
    /// Reads one token; false at the end.
    fn next(&mut self) -> Result<bool, SyntaxError> {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let Some(first) = self.rest.chars().next() else {
            return Ok(false);
        };
        let second = self.rest.chars().nth(1);
        let token = match (first, second) {
            ('$', Some('{')) => return self.reference(),
            ('\'', _) => return self.text(&['\'']),
            ('"', _) => return self.text(&['"']),
            ('\u{2018}' | '\u{2019}', _) => return self.text(&['\u{2018}', '\u{2019}', '\'']),
            ('\u{201c}' | '\u{201d}', _) => return self.text(&['\u{201c}', '\u{201d}', '"']),
            ('0'..='9', _) | ('.', Some('0'..='9')) => return self.number(),
            (c, _) if is_name_start(c) => return self.name(),
            ('.', Some('.')) => self.symbol(2, Token::DotDot),
            ('.', _) => self.symbol(1, Token::Dot),
            ('/', Some('/')) => self.symbol(2, Token::DoubleSlash),
            ('/', _) => self.symbol(1, Token::Slash),
            ('<', Some('=')) => self.symbol(2, Token::Op(Op::AtMost)),
            ('<', Some('>')) => {
                return Err(SyntaxError::new("<> is no operator.", "Write != for \"is not\"."));
            }
            ('<', _) => self.symbol(1, Token::Op(Op::Less)),
            ('>', Some('=')) => self.symbol(2, Token::Op(Op::AtLeast)),
            ('>', _) => self.symbol(1, Token::Op(Op::More)),
            ('!', Some('=')) => self.symbol(2, Token::Op(Op::Differs)),
            ('=', Some('=')) => {
                return Err(SyntaxError::new("== is no operator.", "Write = for \"is equal to\"."));
            }
            ('=', _) => self.symbol(1, Token::Op(Op::Equal)),
            ('+', _) => self.symbol(1, Token::Op(Op::Plus)),
            ('-', _) => self.symbol(1, Token::Op(Op::Minus)),
            ('|', _) => self.symbol(1, Token::Op(Op::Union)),
            ('*', _) if self.after_operand() => self.symbol(1, Token::Op(Op::Times)),
            ('*', _) => self.symbol(1, Token::Star),
            ('(', _) => self.symbol(1, Token::Open),
            (')', _) => self.symbol(1, Token::Close),
            ('[', _) => self.symbol(1, Token::OpenBracket),
            (']', _) => self.symbol(1, Token::CloseBracket),
            (',', _) => self.symbol(1, Token::Comma),
            ('@', _) => self.symbol(1, Token::At),
            (other, _) => {
                return Err(SyntaxError::new(
                    format!("The character {other} has no meaning in an expression."),
                    "Remove it, or put text in quotes.",
                ));
            }
        };
        self.tokens.push(token);
        Ok(true)
    }

    fn symbol(&mut self, length: usize, token: Token) -> Token {
        self.rest = self.rest.get(length..).unwrap_or_default();
        token
    }

    fn after_operand(&self) -> bool {
        matches!(
            self.tokens.last(),
            Some(
                Token::Number(_)
                    | Token::Text(_)
                    | Token::Name(_)
                    | Token::Reference(_)
                    | Token::LastSaved(_)
                    | Token::Close
                    | Token::CloseBracket
                    | Token::Dot
                    | Token::DotDot
                    | Token::Star
            )
        )
    }

    fn reference(&mut self) -> Result<bool, SyntaxError> {
        let inside = self.rest.strip_prefix("${").unwrap_or_default();
        let Some((name, rest)) = inside.split_once('}') else {
            return Err(SyntaxError::new("A ${ has no } after its name.", "Write the name in braces: ${name}."));
        };
        self.rest = rest;
        let name = name.trim();
        self.tokens.push(match name.strip_prefix("last-saved#") {
            Some(name) => Token::LastSaved(name.to_owned()),
            None => Token::Reference(name.to_owned()),
        });
        Ok(true)
    }

    fn text(&mut self, closing: &[char]) -> Result<bool, SyntaxError> {
        let mut chars = self.rest.chars();
        chars.next();
        let inside = chars.as_str();
        let Some(end) = inside.find(closing) else {
            return Err(SyntaxError::new(
                format!("The text that begins with {} has no end.", shown(self.rest)),
                "Close it with the quotation mark that it was opened with.",
            ));
        };
        let (text, rest) = inside.split_at_checked(end).unwrap_or((inside, ""));
        let mut rest = rest.chars();
        rest.next();
        self.rest = rest.as_str();
        self.tokens.push(Token::Text(text.to_owned()));
        Ok(true)
    }

    fn number(&mut self) -> Result<bool, SyntaxError> {
        let whole = self.take(|c| c.is_ascii_digit());
        let mut text = whole.to_owned();
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            text.push('.');
            text.push_str(self.take(|c| c.is_ascii_digit()));
        }
        let number = text.parse().unwrap_or(f64::NAN);
        self.tokens.push(Token::Number(number));
        Ok(true)
    }

    fn name(&mut self) -> Result<bool, SyntaxError> {
        let operator = self.after_operand();
        let name = self.take(is_name_part);
        if operator {
            let op = match name {
                "and" => Some(Op::And),
                "or" => Some(Op::Or),
                "div" => Some(Op::Div),
                "mod" => Some(Op::Mod),
                // Authors write them in capitals; no name can stand here.
                "AND" | "And" => Some(Op::And),
                "OR" | "Or" => Some(Op::Or),
                _ => None,
            };
            if let Some(op) = op {
                self.tokens.push(Token::Op(op));
                return Ok(true);
            }
        }
        let mut full = name.to_owned();
        if let Some(rest) = self.rest.strip_prefix("::") {
            self.rest = rest;
            self.tokens.push(Token::Axis(full));
            return Ok(true);
        }
        if let Some(rest) = self.rest.strip_prefix(':')
            && rest.starts_with(is_name_start)
        {
            self.rest = rest;
            full.push(':');
            full.push_str(self.take(is_name_part));
        }
        self.tokens.push(Token::Name(full));
        Ok(true)
    }

    fn take(&mut self, part: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c: char| !part(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

/// Returns the beginning of a text for a message.
pub(super) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(20).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

//! From tokens to the syntax tree, by precedence (XPath 1.0, section 3).
//!
//! Depth is bounded, operators of one level make one flat chain: no expression can exhaust the stack, here or later.

use super::lexer::{Token, tokens};
use super::{Ast, Axis, DEPTH_MAX, Op, Path, Start, Step, SyntaxError};

/// The level of unary minus; unions bind tighter.
const UNARY: u8 = 6;

/// Parses one expression.
pub(crate) fn parse(text: &str) -> Result<Ast, SyntaxError> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err(SyntaxError::new("The expression is empty.", "Write one, or clear the cell."));
    }
    let mut parser = Parser { tokens: &tokens, depth: 0 };
    let ast = parser.expression()?;
    if let Some(token) = parser.tokens.first() {
        return Err(parser.unexpected(token));
    }
    Ok(ast)
}

struct Parser<'a> {
    tokens: &'a [Token],
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.first()
    }

    fn peek_second(&self) -> Option<&'a Token> {
        self.tokens.get(1)
    }

    fn advance(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn accept(&mut self, token: &Token) -> bool {
        if self.peek() == Some(token) {
            self.advance();
            return true;
        }
        false
    }

    fn expect(&mut self, token: &Token, missing: &str) -> Result<(), SyntaxError> {
        if self.accept(token) {
            return Ok(());
        }
        Err(match self.peek() {
            None => SyntaxError::new(
                format!("The expression ends, but a {missing} is missing."),
                format!("Add the {missing}."),
            ),
            Some(found) => SyntaxError::new(
                format!("A {missing} is missing before {}.", describe(found)),
                format!("Add the {missing}, or an operator or a comma."),
            ),
        })
    }

    fn unexpected(&self, token: &Token) -> SyntaxError {
        SyntaxError::new(
            format!("{} can't stand where it does.", describe(token)),
            "Check the operator before it, the brackets and the quotation marks.",
        )
    }

    fn expression(&mut self) -> Result<Ast, SyntaxError> {
        if self.depth >= DEPTH_MAX {
            return Err(SyntaxError::new(
                format!("Brackets are nested deeper than {DEPTH_MAX} levels."),
                "Split the expression over several calculations.",
            ));
        }
        self.depth += 1;
        let ast = self.chain(0);
        self.depth -= 1;
        ast
    }

    /// Reads operands of one level and what binds tighter.
    fn chain(&mut self, level: u8) -> Result<Ast, SyntaxError> {
        if level == UNARY {
            return self.unary();
        }
        let first = self.chain(level + 1)?;
        let mut rest = Vec::new();
        while let Some(Token::Op(op)) = self.peek()
            && op.level() == level
        {
            self.advance();
            rest.push((*op, self.chain(level + 1)?));
        }
        Ok(if rest.is_empty() { first } else { Ast::Chain(Box::new(first), rest) })
    }

    fn unary(&mut self) -> Result<Ast, SyntaxError> {
        let mut negative = false;
        let mut signed = false;
        while self.accept(&Token::Op(Op::Minus)) {
            negative = !negative;
            signed = true;
        }
        let first = self.path()?;
        let mut rest = Vec::new();
        while self.accept(&Token::Op(Op::Union)) {
            rest.push((Op::Union, self.path()?));
        }
        let ast = if rest.is_empty() { first } else { Ast::Chain(Box::new(first), rest) };
        Ok(match (signed, negative) {
            (false, _) => ast,
            (true, true) => Ast::Negate(Box::new(ast)),
            // Two signs still make a number of it.
            (true, false) => Ast::Negate(Box::new(Ast::Negate(Box::new(ast)))),
        })
    }

    fn path(&mut self) -> Result<Ast, SyntaxError> {
        let Some(token) = self.peek() else {
            return Err(SyntaxError::new(
                "The expression ends where a value should follow.",
                "Complete it after the last operator.",
            ));
        };
        let start = match token {
            Token::Number(number) => {
                self.advance();
                return Ok(Ast::Number(*number));
            }
            Token::Text(text) => {
                self.advance();
                return Ok(Ast::Text(text.clone()));
            }
            Token::LastSaved(name) => {
                self.advance();
                return Ok(Ast::LastSaved(name.clone()));
            }
            Token::Reference(name) => {
                self.advance();
                Start::Reference(name.clone())
            }
            Token::Open => {
                self.advance();
                let inner = self.expression()?;
                self.expect(&Token::Close, "closing bracket")?;
                Start::Inner(Box::new(inner))
            }
            Token::Name(name) if self.peek_second() == Some(&Token::Open) => {
                self.advance();
                self.advance();
                Start::Inner(Box::new(Ast::Call(name.clone(), self.arguments()?)))
            }
            Token::Slash => {
                self.advance();
                return self.steps(Start::Root, Vec::new());
            }
            Token::Dot | Token::DotDot | Token::Star | Token::Name(_) | Token::Axis(_) => {
                return self.steps(Start::Here, Vec::new());
            }
            Token::DoubleSlash => return Err(no_descendants()),
            Token::At => return Err(no_attributes()),
            Token::Op(_) | Token::Close | Token::OpenBracket | Token::CloseBracket | Token::Comma => {
                return Err(self.unexpected(token));
            }
        };
        let filters = self.predicates()?;
        if self.peek() == Some(&Token::DoubleSlash) {
            return Err(no_descendants());
        }
        if self.accept(&Token::Slash) {
            return self.steps(start, filters);
        }
        if filters.is_empty()
            && let Start::Inner(inner) = start
        {
            return Ok(*inner);
        }
        Ok(Ast::Path(Path { start, filters, steps: Vec::new() }))
    }

    fn arguments(&mut self) -> Result<Vec<Ast>, SyntaxError> {
        let mut arguments = Vec::new();
        if self.accept(&Token::Close) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if !self.accept(&Token::Comma) {
                self.expect(&Token::Close, "closing bracket")?;
                return Ok(arguments);
            }
        }
    }

    fn predicates(&mut self) -> Result<Vec<Ast>, SyntaxError> {
        let mut predicates = Vec::new();
        while self.accept(&Token::OpenBracket) {
            predicates.push(self.expression()?);
            self.expect(&Token::CloseBracket, "closing ]")?;
        }
        Ok(predicates)
    }

    fn steps(&mut self, start: Start, filters: Vec<Ast>) -> Result<Ast, SyntaxError> {
        let mut steps = Vec::new();
        loop {
            let axis = self.axis()?;
            let predicates = self.predicates()?;
            steps.push(Step { axis, predicates });
            if self.peek() == Some(&Token::DoubleSlash) {
                return Err(no_descendants());
            }
            if !self.accept(&Token::Slash) {
                return Ok(Ast::Path(Path { start, filters, steps }));
            }
        }
    }

    fn axis(&mut self) -> Result<Axis, SyntaxError> {
        let Some(token) = self.advance() else {
            return Err(SyntaxError::new("The path ends with a /.", "Write the name that is meant after it."));
        };
        match token {
            Token::Dot => Ok(Axis::Itself),
            Token::DotDot => Ok(Axis::Parent),
            Token::Star => Ok(Axis::AnyChild),
            Token::Name(name) => {
                if self.peek() == Some(&Token::Open) {
                    return Err(SyntaxError::new(
                        format!("{name}() can't be a step of a path."),
                        "Write a name, . or .. after a /.",
                    ));
                }
                Ok(Axis::Child(name.clone()))
            }
            Token::Reference(name) => Ok(Axis::Child(name.clone())),
            Token::Axis(axis) => self.named_axis(axis),
            Token::At => Err(no_attributes()),
            Token::Number(_)
            | Token::Text(_)
            | Token::LastSaved(_)
            | Token::Op(_)
            | Token::Open
            | Token::Close
            | Token::OpenBracket
            | Token::CloseBracket
            | Token::Comma
            | Token::Slash
            | Token::DoubleSlash => Err(self.unexpected(token)),
        }
    }

    fn named_axis(&mut self, axis: &str) -> Result<Axis, SyntaxError> {
        let test = self.advance();
        let any_node = matches!(test, Some(Token::Name(name)) if name == "node")
            && self.accept(&Token::Open)
            && self.accept(&Token::Close);
        match (axis, test) {
            ("self", _) if any_node => Ok(Axis::Itself),
            ("parent", _) if any_node => Ok(Axis::Parent),
            ("child", _) if any_node => Ok(Axis::AnyChild),
            ("child", Some(Token::Name(name))) => Ok(Axis::Child(name.clone())),
            ("child", Some(Token::Star)) => Ok(Axis::AnyChild),
            _ => Err(SyntaxError::new(
                format!("The axis {axis}:: is not known here."),
                "Paths go down by name and up by .. only.",
            )),
        }
    }
}

fn no_descendants() -> SyntaxError {
    SyntaxError::new("// is not known in forms.", "Write the whole path, or ${name}.")
}

fn no_attributes() -> SyntaxError {
    SyntaxError::new("Attributes (@) can't be read.", "Use a question or a column of the choices.")
}

fn describe(token: &Token) -> String {
    match token {
        Token::Number(number) => crate::number::to_text(*number),
        Token::Text(text) => format!("the text '{}'", super::lexer::shown(text)),
        Token::Name(name) => name.clone(),
        Token::Reference(name) => format!("${{{name}}}"),
        Token::LastSaved(name) => format!("${{last-saved#{name}}}"),
        Token::Op(op) => format!("the operator {}", symbol(*op)),
        Token::Open => "(".to_owned(),
        Token::Close => ")".to_owned(),
        Token::OpenBracket => "[".to_owned(),
        Token::CloseBracket => "]".to_owned(),
        Token::Comma => "a comma".to_owned(),
        Token::Slash => "/".to_owned(),
        Token::DoubleSlash => "//".to_owned(),
        Token::Dot => ".".to_owned(),
        Token::DotDot => "..".to_owned(),
        Token::Star => "*".to_owned(),
        Token::At => "@".to_owned(),
        Token::Axis(axis) => format!("{axis}::"),
    }
}

fn symbol(op: Op) -> &'static str {
    match op {
        Op::Or => "or",
        Op::And => "and",
        Op::Equal => "=",
        Op::Differs => "!=",
        Op::Less => "<",
        Op::AtMost => "<=",
        Op::More => ">",
        Op::AtLeast => ">=",
        Op::Plus => "+",
        Op::Minus => "-",
        Op::Times => "*",
        Op::Div => "div",
        Op::Mod => "mod",
        Op::Union => "|",
    }
}

//! Function calls: whether the function is known, how many arguments it takes, and those that need more than a value.

use std::sync::Arc;

use super::{Candidate, Here, Resolver, Source, empty};
use crate::evaluate::code::{Code, From, Indexed, ListName};
use crate::evaluate::form::NodeKind;
use crate::evaluate::functions::pattern;
use crate::evaluate::lists::stem;
use crate::expr::{Ast, Axis, Function, Path, Start, Step};
use crate::problem::ProblemCode;

impl Resolver<'_> {
    pub(super) fn call(&mut self, name: &str, arguments: &[Ast], here: Here) -> Code {
        let Some(function) = Function::from_name(name) else {
            let fix = match Function::alike(name) {
                Some(alike) => format!("Did you mean {alike}()?"),
                None => "Look it up in the list of functions of ODK.".to_owned(),
            };
            return self.nothing(ProblemCode::FunctionUnknown, format!("There is no function {name}()."), fix);
        };
        let arity = function.arity();
        if !arity.admits(arguments.len()) {
            return self.nothing(
                ProblemCode::FunctionArguments,
                format!("{name}() has {} arguments.", arguments.len()),
                format!("{name}() takes {}.", arity.words()),
            );
        }
        match (function, arguments) {
            (Function::True, _) => Code::Boolean(true),
            (Function::False, _) => Code::Boolean(false),
            (Function::Pi, _) => Code::Number(std::f64::consts::PI),
            (Function::Version, _) => Code::Text(Arc::from(self.questionnaire.version.as_str())),
            (Function::Instance, _) => self.instance_alone(arguments, here),
            (Function::Current, _) => {
                self.itself(Start::Inner(Box::new(Ast::Call("current".to_owned(), Vec::new()))), here)
            }
            (Function::StringLength | Function::NormalizeSpace, []) => {
                let itself = self.itself(Start::Here, here);
                Code::Call(function, vec![itself])
            }
            (Function::Position, []) if matches!(here.candidate, Candidate::None) => {
                // Outside of predicates: where the node itself stands.
                let itself = self.itself(Start::Here, here);
                Code::Call(function, vec![itself])
            }
            (Function::PullData, [Ast::Text(file), _, Ast::Text(key), _]) => {
                self.lists.index(&ListName::File(stem(file).to_owned()), key);
                self.plain(function, arguments, here)
            }
            (Function::Once, [value]) => self.once(value, here),
            (Function::IndexedRepeat, _) => self.indexed(arguments, here),
            (Function::ChoiceName, [value, question]) => self.choice_name(value, question, here),
            (Function::Itext, [id]) => self.itext(id, here),
            (Function::Regex, [value, Ast::Text(text)]) => {
                let value = self.code(value, here);
                match pattern(text) {
                    Ok(pattern) => Code::Matches(Box::new(value), pattern),
                    Err(reason) => {
                        self.problem(
                            ProblemCode::PatternInvalid,
                            format!("The pattern {text} can't be used: {reason}."),
                            "Correct the pattern; looking ahead or behind and back references are not known.",
                        );
                        // Read leniently, the pattern forbids nothing.
                        Code::Boolean(true)
                    }
                }
            }
            (Function::Random | Function::Uuid | Function::Randomize, _) => {
                if function != Function::Randomize || arguments.len() == 1 {
                    self.volatile = true;
                }
                self.plain(function, arguments, here)
            }
            (Function::Count | Function::CountNonEmpty | Function::Sum | Function::Min | Function::Max, [only])
                if !matches!(function, Function::Min | Function::Max) && !can_be_nodes(only) =>
            {
                self.nothing(
                    ProblemCode::FunctionArguments,
                    format!("{name}() takes questions or rows, not a single value."),
                    format!("Write {name}(${{name}})."),
                )
            }
            _ => self.plain(function, arguments, here),
        }
    }

    fn plain(&mut self, function: Function, arguments: &[Ast], here: Here) -> Code {
        let arguments = arguments.iter().map(|argument| self.code(argument, here)).collect();
        Code::Call(function, arguments)
    }

    /// Resolves the node at hand.
    fn itself(&mut self, start: Start, here: Here) -> Code {
        let path =
            Path { start, filters: Vec::new(), steps: vec![Step { axis: Axis::Itself, predicates: Vec::new() }] };
        self.path(&path, here)
    }

    fn instance_alone(&mut self, arguments: &[Ast], here: Here) -> Code {
        let path = Path {
            start: Start::Inner(Box::new(Ast::Call("instance".to_owned(), arguments.to_vec()))),
            filters: Vec::new(),
            steps: Vec::new(),
        };
        self.path(&path, here)
    }

    /// Resolves `jr:itext` of a choice: other tools find its text by its id, here the label is at hand.
    fn itext(&mut self, id: &Ast, here: Here) -> Code {
        if let Code::Items(mut path) = self.code(id, here)
            && path.column.as_deref() == Some("itextId")
        {
            path.column = Some(Arc::from("label"));
            return Code::Items(path);
        }
        self.nothing(
            ProblemCode::FunctionArguments,
            "jr:itext() takes the itextId of a choice.",
            "Write jr:itext(instance('list')/root/item[…]/itextId), or jr:choice-name().",
        )
    }

    fn once(&mut self, value: &Ast, here: Here) -> Code {
        self.volatile = true;
        let value = self.code(value, here);
        let Some(question) = self.question_of(here.spot.node) else {
            return value;
        };
        if !self.calculating {
            self.need(Source::Cell(question), here.spot.scope);
        }
        Code::Once(Box::new(value), question)
    }

    /// Resolves `indexed-repeat(${question}, ${repeat}, index, …)`.
    fn indexed(&mut self, arguments: &[Ast], here: Here) -> Code {
        let Some((first, pairs)) = arguments.split_first() else {
            return empty();
        };
        let target = self.target(first, here);
        let Some((from, question)) = target.and_then(|(from, node)| Some((from, self.question_of(node)?))) else {
            return self.nothing(
                ProblemCode::FunctionArguments,
                "The first argument of indexed-repeat() is no question.",
                "Write indexed-repeat(${question}, ${repeat}, index).",
            );
        };
        let form = self.form;
        let inside = form.asked(question).map_or(0, |asked| asked.scope);
        let mut wanted = Vec::new();
        for pair in pairs.chunks(2) {
            let [repeat, index] = pair else { continue };
            let scope = self
                .target(repeat, here)
                .map(|(_, node)| form.node(node))
                .filter(|node| node.kind == NodeKind::Repeat)
                .map(|node| node.scope)
                .filter(|&scope| form.common(scope, inside) == scope);
            let Some(scope) = scope else {
                return self.nothing(
                    ProblemCode::FunctionArguments,
                    "indexed-repeat() names a repeat that the question is not in.",
                    "Write the repeat that holds the question, then the index of its row.",
                );
            };
            wanted.push((scope, self.code(index, here)));
        }
        let around = match (from, here.candidate) {
            (From::Candidate, Candidate::Node { node, .. }) => form.node(node).scope,
            (From::Candidate | From::Current, _) => here.spot.scope,
        };
        let outermost = wanted.iter().map(|(scope, _)| *scope).min_by_key(|&scope| form.scope(scope).depth);
        let above = outermost.map_or(0, |scope| form.scope(scope).parent);
        let bound = form.common(around, above);
        let mut levels: Vec<_> = form.chain(bound, inside).into_iter().map(|scope| (scope, None)).collect();
        for (scope, index) in wanted {
            if let Some(level) = levels.iter_mut().find(|(known, _)| *known == scope) {
                level.1 = Some(index);
            }
        }
        let common = match (from, here.candidate) {
            (From::Candidate, Candidate::Node { fixed, .. }) => form.common(fixed, bound),
            (From::Candidate | From::Current, _) => bound,
        };
        for (scope, _) in &levels {
            self.need(Source::Rows(*scope), common);
        }
        self.need(Source::Cell(question), common);
        Code::Indexed(Box::new(Indexed { from, bound, levels, question }))
    }

    /// Resolves `jr:choice-name(value, '${question}')`: the second argument is a path in quotes.
    fn choice_name(&mut self, value: &Ast, question: &Ast, here: Here) -> Code {
        let value = self.code(value, here);
        let parsed = if let Ast::Text(text) = question {
            crate::expr::parse(text).ok()
        } else {
            // Many forms leave the quotes out.
            Some(question.clone())
        };
        let question = parsed.and_then(|ast| self.target(&ast, here)).and_then(|(_, node)| self.question_of(node));
        let select =
            question.and_then(|id| self.form.asked(id)).is_some_and(|asked| asked.question.kind.select().is_some());
        let (Some(question), true) = (question, select) else {
            return self.nothing(
                ProblemCode::FunctionArguments,
                "The second argument of jr:choice-name() names no question with choices.",
                "Write jr:choice-name(${question}, '${question}').",
            );
        };
        self.choice_needs(question, here);
        Code::ChoiceName(Box::new(value), question)
    }

    /// Notes what the shown name of a row choice hangs on.
    fn choice_needs(&mut self, question: usize, here: Here) {
        use crate::model::ChoiceSource;
        let form = self.form;
        let Some(asked) = form.asked(question) else {
            return;
        };
        let Some(ChoiceSource::Rows(rows)) = asked.question.kind.select().map(|select| &select.source) else {
            return;
        };
        let mut scope = 0;
        for key in &rows.repeats {
            let Some(inner) = form.inner_scope(scope, key) else {
                return;
            };
            scope = inner;
        }
        let common = form.common(here.spot.scope, form.scope(scope).parent);
        self.need(Source::Rows(scope), common);
        if let Some(shown) = rows.shown.as_ref().and_then(|key| form.question_at(scope, key)) {
            self.need(Source::Cell(shown), common);
        }
    }
}

fn can_be_nodes(ast: &Ast) -> bool {
    match ast {
        Ast::Path(_) => true,
        Ast::Chain(_, rest) => rest.iter().all(|(op, _)| *op == crate::expr::Op::Union),
        Ast::Call(name, _) => matches!(name.as_str(), "if" | "randomize" | "instance" | "current" | "coalesce"),
        Ast::Number(_) | Ast::Text(_) | Ast::Negate(_) | Ast::LastSaved(_) => false,
    }
}

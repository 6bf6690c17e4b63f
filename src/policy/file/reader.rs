//! Reads spanned TOML tables key by key and remembers all that is wrong, not only the first.
//!
//! A [`Table`] is asked for the keys it may have; what nobody asked for is reported by
//! [`Table::finish`]. A value that is missing or wrong gives the default (the error is in the
//! [`Report`] and no policy comes out), so that reading goes on and finds the rest.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use super::nearest;
use super::unbuilt;
use crate::policy::diagnose::{Diagnostic, Severity};

/// Everything found so far. Shared by all readers of one file.
#[derive(Default)]
pub(super) struct Report(RefCell<Vec<Diagnostic>>);

impl Report {
    pub(super) fn add(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.borrow().iter().any(|d| d.severity == Severity::Error)
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// In the file's order.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut all = self.0.into_inner();
        all.sort_by_key(|d| d.span.start);
        all
    }
}

/// What is wrong with a value: what stands under the caret, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) label: String,
    pub(super) help: Option<String>,
}

impl Problem {
    pub(super) fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A value with the place it stands at and the path of its key.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub(super) report: &'a Report,
    /// As a person writes it: `origin.shop.servers`.
    pub(super) path: String,
    pub(super) span: Range<usize>,
    raw: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.span.clone(), message)
    }

    /// Reports that this value is wrong.
    pub(super) fn wrong(&self, problem: Problem) {
        let message = format!("`{}` has a value that cannot be used", self.path);
        self.report.add(self.error(message).label(problem.label).maybe_help(problem.help));
    }

    /// Reports a value that the design knows and this version does not do.
    pub(super) fn unbuilt(&self, what: &str, instead: &str) {
        let message = format!("{what} is known, but not built yet");
        self.report.add(self.error(message).label("not built yet").help(instead));
    }

    pub(super) fn as_str(&self) -> Option<&'a str> {
        self.raw.as_str()
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        self.raw.as_bool()
    }

    pub(super) fn is_table(&self) -> bool {
        self.raw.is_table()
    }

    /// An integer that fits; out of range or no integer: none.
    pub(super) fn as_u64(&self) -> Option<u64> {
        self.raw.as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok())
    }

    /// A date, a time, or both; with or without an offset.
    pub(super) fn as_datetime(&self) -> Option<&'a Datetime> {
        self.raw.as_datetime()
    }

    /// A number with or without a fraction, between `min` and `max`.
    pub(super) fn number(&self, min: f64, max: f64) -> Option<f64> {
        let Some(text) = self.is_number() else {
            self.wrong_type(&format!("a number from {min} to {max}"));
            return None;
        };
        let number = text.parse().ok().filter(|n| (min..=max).contains(n));
        if number.is_none() {
            self.wrong(Problem::new(format!("expected a number from {min} to {max}")));
        }
        number
    }

    /// The value as it is written, for hints.
    pub(super) fn is_number(&self) -> Option<String> {
        self.raw.as_integer().map(ToString::to_string).or_else(|| self.raw.as_float().map(ToString::to_string))
    }

    pub(super) fn string(&self, expected: &str) -> Option<&'a str> {
        let text = self.raw.as_str();
        if text.is_none() {
            self.wrong_type(expected);
        }
        text
    }

    pub(super) fn bool(&self) -> Option<bool> {
        let value = self.raw.as_bool();
        if value.is_none() {
            self.wrong_type("true or false");
        }
        value
    }

    /// A whole number between `min` and `max`.
    pub(super) fn integer(&self, min: u64, max: u64) -> Option<u64> {
        let expected = format!("a whole number from {min} to {max}");
        if !self.raw.is_integer() {
            self.wrong_type(&expected);
            return None;
        }
        let number = self.as_u64().filter(|n| (min..=max).contains(n));
        if number.is_none() {
            self.wrong(Problem::new(format!("expected {expected}")));
        }
        number
    }

    /// A string that `parse` understands.
    pub(super) fn parse<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        if let Some(number) = self.is_number() {
            let help = match parse(&number) {
                Err(Problem { help: Some(help), .. }) => help,
                _ => format!("write it as a string: \"{number}\""),
            };
            self.wrong(Problem::new(format!("expected {expected}, found a number")).help(help));
            return None;
        }
        parse(self.string(expected)?).map_err(|problem| self.wrong(problem)).ok()
    }

    /// One string or a list of strings; what else stands in the list is reported.
    pub(super) fn one_or_many(&self) -> Vec<Value<'a>> {
        match self.raw {
            DeValue::Array(_) => self.list(),
            _ => vec![self.clone()],
        }
    }

    /// The list's elements; reported and empty if it is none.
    pub(super) fn list(&self) -> Vec<Value<'a>> {
        let Some(items) = self.raw.as_array() else {
            self.wrong_type("a list");
            return Vec::new();
        };
        items.iter().map(|item| self.child(self.path.clone(), item)).collect()
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        match self.raw {
            DeValue::Table(table) => Some(Table::new(self.report, self.path.clone(), self.span.clone(), table)),
            DeValue::Array(_) if self.path.split('.').count() <= 2 => {
                self.report.add(
                    self.error(format!("`{}` is a table, not a list of tables", self.path))
                        .label("expected a table")
                        .help(format!("write [{}], with single brackets", self.path)),
                );
                None
            }
            _ => {
                self.wrong_type("a table");
                None
            }
        }
    }

    pub(super) fn wrong_type(&self, expected: &str) {
        let found = match self.raw {
            DeValue::Array(_) => "a list",
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a moment",
            DeValue::Table(_) => "a table",
        };
        self.wrong(Problem::new(format!("expected {expected}, found {found}")));
    }

    fn child(&self, path: String, item: &'a Spanned<DeValue<'a>>) -> Value<'a> {
        Value { report: self.report, path, span: item.span(), raw: item.get_ref() }
    }
}

/// A table whose keys are taken one by one.
pub(super) struct Table<'a> {
    pub(super) report: &'a Report,
    pub(super) path: String,
    /// Its header, or the whole of an inline table.
    pub(super) span: Range<usize>,
    left: Vec<(&'a Spanned<std::borrow::Cow<'a, str>>, &'a Spanned<DeValue<'a>>)>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(report: &'a Report, path: String, span: Range<usize>, table: &'a DeTable<'a>) -> Self {
        let mut left: Vec<_> = table.iter().collect();
        left.sort_by_key(|(key, _)| key.span().start);
        Self { report, path, span, left, asked: Vec::new() }
    }

    pub(super) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.span.clone(), message)
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of `key`, which is allowed here.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        let at = self.left.iter().position(|(k, _)| k.get_ref() == key)?;
        let (_, item) = self.left.remove(at);
        Some(self.value(key, item))
    }

    /// Whether `key` stands here, and nobody has taken it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.left.iter().any(|(k, _)| k.get_ref() == key)
    }

    /// A table that is allowed here.
    pub(super) fn take_table(&mut self, key: &'static str) -> Option<Table<'a>> {
        self.take(key)?.table()
    }

    /// All keys that are left: for tables whose keys are names.
    pub(super) fn take_all(&mut self) -> Vec<(&'a str, Range<usize>, Value<'a>)> {
        std::mem::take(&mut self.left)
            .into_iter()
            .map(|(key, item)| (key.get_ref().as_ref(), key.span(), self.value(key.get_ref(), item)))
            .collect()
    }

    /// The key's value through `read`, or `default` where it is missing or wrong.
    pub(super) fn read<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(&Value<'a>) -> Option<T>) -> T {
        self.take(key).and_then(|value| read(&value)).unwrap_or(default)
    }

    /// A key that must be there.
    pub(super) fn require(&mut self, key: &'static str, why: &str, example: &str) -> Option<Value<'a>> {
        let value = self.take(key);
        if value.is_none() {
            let message = format!("`{}` is missing: {why}", self.path_of(key));
            self.report.add(self.error(message).label("nothing here says it").help(format!("add: {example}")));
        }
        value
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self) {
        for (key, _) in &self.left {
            let name = key.get_ref().as_ref();
            let path = self.path_of(name);
            let diagnostic = match unbuilt::find(&path) {
                Some(instead) => Diagnostic::error(key.span(), format!("`{path}` is known, but not built yet"))
                    .label("not built yet")
                    .help(instead),
                None => self.unknown(key.span(), name),
            };
            self.report.add(diagnostic);
        }
    }

    fn unknown(&self, span: Range<usize>, name: &str) -> Diagnostic {
        let place = if self.path.is_empty() { "the policy".to_owned() } else { format!("`{}`", self.path) };
        let known = self.asked.iter().copied().chain(unbuilt::keys_in(&self.path));
        let diagnostic = Diagnostic::error(span, format!("unknown key `{name}` in {place}"));
        match nearest(name, known) {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")),
            None => {
                let mut keys = self.asked.clone();
                keys.sort_unstable();
                keys.dedup();
                diagnostic.label("no such key").help(format!("known here: {}", keys.join(", ")))
            }
        }
    }

    fn value(&self, key: &str, item: &'a Spanned<DeValue<'a>>) -> Value<'a> {
        Value { report: self.report, path: self.path_of(key), span: item.span(), raw: item.get_ref() }
    }
}

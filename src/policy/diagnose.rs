//! What is wrong with a policy file, and how that is shown: as rustc does, or as JSON.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

/// Whether a policy with this finding may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is used; it may not do what its author thinks.
    Warning,
}

/// One finding in a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Bytes of the file it is about. `0..0`: the file as a whole.
    pub span: Range<usize>,
    /// Stands under the caret: what was expected there. May be empty.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places that explain this one, each with its label.
    pub related: Vec<(Range<usize>, String)>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, span, message.into())
    }

    /// A warning at `span`.
    pub fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, span, message.into())
    }

    /// With what stands under the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With what to write instead, if something is known.
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// With another place that explains this one.
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    fn new(severity: Severity, span: Range<usize>, message: String) -> Self {
        Self { severity, message, span, label: String::new(), help: None, related: Vec::new() }
    }
}

/// A policy file's text and the name to show it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub text: String,
}

impl Source {
    /// Line and column of a byte offset, both from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..floor_char(&self.text, offset)).unwrap_or_default();
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// All that was found in one policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    pub source: Source,
    /// In the file's order.
    pub diagnostics: Vec<Diagnostic>,
}

impl Findings {
    /// True if one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// For a person: file, line, column, the line itself with a caret, what to write instead.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        self.diagnostics.iter().map(|d| render_one(&renderer, &self.source, d) + "\n\n").collect()
    }

    /// For a program: one object a finding.
    pub fn to_json(&self) -> serde_json::Value {
        self.diagnostics.iter().map(|d| json_one(&self.source, d)).collect()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

fn render_one(renderer: &Renderer, source: &Source, d: &Diagnostic) -> String {
    let level = match d.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut snippet = Snippet::source(source.text.as_str()).path(source.name.as_str()).annotation(annotation(
        AnnotationKind::Primary,
        source,
        &d.span,
        &d.label,
    ));
    for (span, label) in &d.related {
        snippet = snippet.annotation(annotation(AnnotationKind::Context, source, span, label));
    }
    let mut group = level.primary_title(d.message.as_str()).element(snippet);
    if let Some(help) = &d.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

fn annotation<'a>(
    kind: AnnotationKind,
    source: &Source,
    span: &Range<usize>,
    label: &'a str,
) -> annotate_snippets::Annotation<'a> {
    let annotation = kind.span(within(&source.text, span));
    if label.is_empty() { annotation } else { annotation.label(label) }
}

fn json_one(source: &Source, d: &Diagnostic) -> serde_json::Value {
    let (line, column) = source.position(d.span.start);
    let (end_line, end_column) = source.position(d.span.end);
    serde_json::json!({
        "severity": d.severity,
        "message": d.message,
        "file": source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "label": (!d.label.is_empty()).then_some(&d.label),
        "help": d.help,
        "related": d.related.iter().map(|(span, label)| related(source, span, label)).collect::<Vec<_>>(),
    })
}

fn related(source: &Source, span: &Range<usize>, label: &str) -> serde_json::Value {
    let (line, column) = source.position(span.start);
    serde_json::json!({ "line": line, "column": column, "label": label })
}

/// The span, held inside the text and on whole characters, as the renderer demands.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor_char(text, span.start);
    start..floor_char(text, span.end).max(start)
}

fn floor_char(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

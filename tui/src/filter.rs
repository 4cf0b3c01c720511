//! What `/` takes: a regular expression; with `!` in front, what does not match.

use regex::{Regex, RegexBuilder};

/// Compiled size allowed: an expression that is typed must not take the memory.
const SIZE_MAX: usize = 1 << 20;

/// Which rows of a view are shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    text: String,
    expression: Option<Regex>,
    inverse: bool,
}

impl Filter {
    /// Compiles what was typed; empty shows everything.
    ///
    /// # Errors
    /// A sentence that says why it is no regular expression.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (inverse, pattern) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if pattern.is_empty() {
            return Ok(Self::default());
        }
        let compiled = RegexBuilder::new(pattern).case_insensitive(true).size_limit(SIZE_MAX).build();
        let expression = compiled.map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("`{pattern}` is no regular expression: {why}")
        })?;
        Ok(Self { text: text.to_owned(), expression: Some(expression), inverse })
    }

    /// What was typed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether anything is hidden by it.
    pub(crate) fn is_active(&self) -> bool {
        self.expression.is_some()
    }

    /// Whether a row with this text is shown.
    pub(crate) fn shows(&self, text: &str) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.is_match(text) != self.inverse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_its_inverse_and_nothing() {
        let shows = |filter: &str, text: &str| Filter::parse(filter).expect("valid").shows(text);
        assert!(shows("prim|stand", "a PRIMARY") && !shows("prim|stand", "c offline"));
        assert!(!shows("!prim", "a primary") && shows("!prim", "b standby"));
        assert!(shows("", "x") && shows("!", "x"));
        let error = Filter::parse("(").expect_err("unclosed");
        assert!(error.starts_with("`(` is no regular expression: "), "{error}");
    }
}

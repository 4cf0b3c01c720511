//! What a view draws, and what a person may do with it: select a thing, open it, sort a table.

use std::cmp::Ordering;
use std::ops::Range;

use ratatui::text::Line;

use crate::format::magnitude;
use crate::look::Look;

/// What a line is about. A selection is one of these: it stays with its thing when rows move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    Node(String),
    /// By its seq.
    Write(u64),
    Finding {
        node: String,
        code: String,
        /// Its page. Empty = none.
        runbook: String,
    },
    /// By its name; there is nothing to open.
    Segment(String),
}

/// A title of a table, and the columns of the screen that it stands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Title {
    pub(crate) at: Range<usize>,
    pub(crate) name: &'static str,
}

/// Part of a line that names a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) at: Range<usize>,
    pub(crate) runbook: String,
}

/// A line and what may be done with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drawn {
    pub(crate) line: Line<'static>,
    pub(crate) about: Option<About>,
    /// In the header of a table that can be sorted.
    pub(crate) titles: Vec<Title>,
    pub(crate) link: Option<Link>,
}

impl From<Line<'static>> for Drawn {
    fn from(line: Line<'static>) -> Self {
        Self { line, ..Self::default() }
    }
}

impl Drawn {
    pub(crate) fn about(line: Line<'static>, about: About) -> Self {
        Self { line, about: Some(about), ..Self::default() }
    }
}

/// Lines that nothing can be done with.
pub(crate) fn plain(lines: impl IntoIterator<Item = Line<'static>>) -> impl Iterator<Item = Drawn> {
    lines.into_iter().map(Drawn::from)
}

/// What a view draws: a head that stays, and rows that scroll.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) head: Vec<Drawn>,
    pub(crate) rows: Vec<Drawn>,
}

impl Page {
    /// A page that only says why it is empty.
    pub(crate) fn saying(line: Line<'static>) -> Self {
        Self { head: vec![line.into()], rows: Vec::new() }
    }

    fn lines(&self) -> impl Iterator<Item = &Drawn> {
        self.head.iter().chain(&self.rows)
    }

    /// Everything that can be selected, from top to bottom.
    pub(crate) fn things(&self) -> Vec<&About> {
        let mut things: Vec<&About> = Vec::new();
        for about in self.lines().filter_map(|drawn| drawn.about.as_ref()) {
            if !things.contains(&about) {
                things.push(about);
            }
        }
        things
    }

    /// The rows that are about it; those of the head always stand on the screen.
    pub(crate) fn rows_of(&self, thing: &About) -> Option<Range<usize>> {
        let is_about = |drawn: &Drawn| drawn.about.as_ref() == Some(thing);
        let first = self.rows.iter().position(is_about)?;
        Some(first..first + self.rows[first..].iter().take_while(|drawn| is_about(drawn)).count())
    }

    /// The columns that rows can be sorted by.
    pub(crate) fn titles(&self) -> Vec<&'static str> {
        let mut titles: Vec<&'static str> = Vec::new();
        for title in self.lines().flat_map(|drawn| &drawn.titles) {
            if !titles.contains(&title.name) {
                titles.push(title.name);
            }
        }
        titles
    }
}

/// The order of a view's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    /// Title of the column.
    pub(crate) by: &'static str,
    /// The largest first.
    pub(crate) down: bool,
}

impl Sort {
    /// The sign beside the title.
    pub(crate) fn sign(self, look: &Look) -> &'static str {
        look.direction(self.down)
    }

    /// Compares two cells as they are shown. What nobody knows comes last, whatever the direction.
    pub(crate) fn compare(self, a: &str, b: &str) -> Ordering {
        let unknown = |text: &str| text.is_empty() || text.starts_with('?') || text == "-" || text == "never";
        let known = unknown(a).cmp(&unknown(b));
        let value = match (magnitude(a), magnitude(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a_value, b_value) => b_value.is_some().cmp(&a_value.is_some()).then_with(|| a.cmp(b)),
        };
        known.then(if self.down { value.reverse() } else { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(down: bool, texts: &[&str]) -> Vec<String> {
        let mut texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        texts.sort_by(|a, b| Sort { by: "", down }.compare(a, b));
        texts
    }

    #[test]
    fn values_are_in_the_order_of_what_they_mean_and_the_unknown_is_last() {
        assert_eq!(sorted(false, &["1.5 s", "?", "900 ms", "12 us"]), ["12 us", "900 ms", "1.5 s", "?"]);
        assert_eq!(sorted(true, &["1.5 s", "?", "900 ms", "2m03s"]), ["2m03s", "1.5 s", "900 ms", "?"]);
        assert_eq!(sorted(true, &["3.0 MiB", "40 B", "-", "1.0 GiB"]), ["1.0 GiB", "3.0 MiB", "40 B", "-"]);
        assert_eq!(sorted(false, &["10 / 5.0 ms", "9 / 1.0 s"]), ["9 / 1.0 s", "10 / 5.0 ms"]);
        assert_eq!(sorted(false, &["b", "a", "now"]), ["now", "a", "b"], "now is no time ago");
        assert_eq!(sorted(false, &["10.0.0.2:1", "10.0.0.1:1"]), ["10.0.0.1:1", "10.0.0.2:1"], "no numbers");
    }
}

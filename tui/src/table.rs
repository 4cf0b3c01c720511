//! Tables that fit: columns that matter less go first, and what stays is cut with a mark.

use ratatui::text::{Line, Span};

use crate::format::{cut, width};
use crate::look::{Look, Tone};

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) right: bool,
    /// 0 stays; of the others the highest leaves first when the table is too wide.
    pub(crate) rank: u8,
    /// Narrower than this it never is, so that values may change without moving the screen.
    pub(crate) least: usize,
}

/// A column of numbers.
pub(crate) const fn right(title: &'static str, rank: u8, least: usize) -> Column {
    Column { title, right: true, rank, least }
}

/// A column of words.
pub(crate) const fn left(title: &'static str, rank: u8, least: usize) -> Column {
    Column { title, right: false, rank, least }
}

/// A value and what it means.
pub(crate) type Cell = (String, Tone);

/// A row; `whole` overrides the tones of its cells.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    pub(crate) whole: Option<Tone>,
}

impl Row {
    pub(crate) fn new(cells: Vec<Cell>) -> Self {
        Self { cells, whole: None }
    }

    /// The text that a filter is asked about.
    pub(crate) fn text(&self) -> String {
        self.cells.iter().map(|(text, _)| &**text).collect::<Vec<_>>().join(" ")
    }
}

const GAP: usize = 2;

/// Header and rows, each at most `columns` wide.
pub(crate) fn lay(
    look: &Look,
    columns: &[Column],
    rows: &[Row],
    room: usize,
) -> (Line<'static>, Vec<Line<'static>>) {
    let shown = fit(columns, rows, room);
    let titles = columns.iter().map(|column| (column.title.to_owned(), Tone::Title)).collect();
    let header = Row { cells: titles, whole: None };
    let line = |row: &Row| line_of(look, columns, &shown, row);
    (line(&header), rows.iter().map(line).collect())
}

/// Which columns stay, and how wide they are.
fn fit(columns: &[Column], rows: &[Row], room: usize) -> Vec<(usize, usize)> {
    let wants = |(index, column): (usize, &Column)| {
        let cells = rows.iter().filter_map(|row| row.cells.get(index)).map(|(text, _)| width(text));
        let widest = cells.max().unwrap_or_default();
        (index, widest.max(width(column.title)).max(column.least))
    };
    let mut shown: Vec<(usize, usize)> = columns.iter().enumerate().map(wants).collect();
    let total =
        |shown: &[(usize, usize)]| shown.iter().map(|(_, w)| w + GAP).sum::<usize>().saturating_sub(GAP);
    while total(&shown) > room {
        let last = shown.iter().enumerate().max_by_key(|(_, (index, _))| columns[*index].rank);
        match last {
            Some((at, (index, _))) if columns[*index].rank > 0 => {
                shown.remove(at);
            }
            _ => break,
        }
    }
    // Only columns that must stay: the widest gives until the row fits.
    while total(&shown) > room {
        match shown.iter_mut().max_by_key(|(_, w)| *w) {
            Some((_, w)) if *w > 1 => *w -= 1,
            _ => break,
        }
    }
    shown
}

fn line_of(look: &Look, columns: &[Column], shown: &[(usize, usize)], row: &Row) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::with_capacity(shown.len() * 2);
    for (nr, (index, room)) in shown.iter().enumerate() {
        let (text, tone) = row.cells.get(*index).cloned().unwrap_or((String::new(), Tone::Plain));
        let text = cut(&text, *room);
        let pad = " ".repeat(room - width(&text));
        let last = nr + 1 == shown.len();
        let padded = match (columns[*index].right, last) {
            (true, _) => pad + &text,
            (false, true) => text,
            (false, false) => text + &pad,
        };
        spans.push(look.paint(row.whole.unwrap_or(tone), padded));
        if !last {
            spans.push(Span::raw(" ".repeat(GAP)));
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] =
        &[left("NAME", 0, 4), right("TAIL", 0, 5), left("WHY", 2, 3), left("MORE", 1, 4)];

    fn shown(room: usize) -> Vec<String> {
        let cell = |text: &str| (text.to_owned(), Tone::Plain);
        let rows = [Row::new(vec![cell("a"), cell("12"), cell("because"), cell("x")])];
        let (header, rows) = lay(&Look::default(), COLUMNS, &rows, room);
        std::iter::once(header).chain(rows).map(|line| line.to_string()).collect()
    }

    #[test]
    fn columns_leave_by_rank_and_what_stays_is_cut() {
        assert_eq!(shown(80), ["NAME   TAIL  WHY      MORE", "a        12  because  x"]);
        assert_eq!(shown(20), ["NAME   TAIL  MORE", "a        12  x"]);
        assert_eq!(shown(12), ["NAME   TAIL", "a        12"]);
        assert!(shown(7).iter().all(|line| width(line) <= 7), "{:?}", shown(7));
    }
}

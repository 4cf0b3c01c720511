//! Tables that fit: columns that matter less go first, and what stays is cut with a mark.

use ratatui::text::{Line, Span};

use crate::format::{cut, width};
use crate::look::{Look, Tone};
use crate::page::{About, Drawn, Sort, Title};

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
    /// What can be selected in it.
    pub(crate) about: Option<About>,
}

impl Row {
    pub(crate) fn new(cells: Vec<Cell>) -> Self {
        Self { cells, whole: None, about: None }
    }

    pub(crate) fn about(self, about: About) -> Self {
        Self { about: Some(about), ..self }
    }

    /// The text that a filter is asked about.
    pub(crate) fn text(&self) -> String {
        self.cells.iter().map(|(text, _)| &**text).collect::<Vec<_>>().join(" ")
    }
}

const GAP: usize = 2;

/// Header and rows, each at most `room` wide.
pub(crate) fn lay(
    look: &Look,
    columns: &[Column],
    rows: &[Row],
    room: usize,
) -> (Line<'static>, Vec<Line<'static>>) {
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let shown = fit(columns, &titles, rows, room);
    let header = line_of(look, columns, &shown, &header(titles));
    (header, rows.iter().map(|row| line_of(look, columns, &shown, row)).collect())
}

/// The same for a table that can be sorted, and whose rows can be selected. Header first.
pub(crate) fn sortable(
    look: &Look,
    columns: &[Column],
    mut rows: Vec<Row>,
    room: usize,
    sort: Option<Sort>,
) -> (Drawn, Vec<Drawn>) {
    let mut titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let by = sort.and_then(|sort| Some((sort, columns.iter().position(|column| column.title == sort.by)?)));
    if let Some((sort, column)) = by {
        titles[column].push_str(sort.sign(look));
        let text = |row: &Row| row.cells.get(column).map_or(String::new(), |(text, _)| text.clone());
        rows.sort_by(|a, b| sort.compare(&text(a), &text(b)));
    }
    let shown = fit(columns, &titles, &rows, room);
    let mut left = 0;
    let title = |(index, room): &(usize, usize)| {
        let at = left..left + room;
        left = at.end + GAP;
        Title { at, name: columns[*index].title }
    };
    let named = shown.iter().map(title).collect();
    let header = Drawn { titles: named, ..line_of(look, columns, &shown, &header(titles)).into() };
    let drawn =
        |row: Row| Drawn { line: line_of(look, columns, &shown, &row), about: row.about, ..Drawn::default() };
    (header, rows.into_iter().map(drawn).collect())
}

fn header(titles: Vec<String>) -> Row {
    Row::new(titles.into_iter().map(|title| (title, Tone::Title)).collect())
}

/// Which columns stay, and how wide they are.
fn fit(columns: &[Column], titles: &[String], rows: &[Row], room: usize) -> Vec<(usize, usize)> {
    let wants = |(index, column): (usize, &Column)| {
        let cells = rows.iter().filter_map(|row| row.cells.get(index)).map(|(text, _)| width(text));
        let widest = cells.max().unwrap_or_default();
        (index, widest.max(width(&titles[index])).max(column.least))
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
    #[test]
    fn a_sorted_table_says_by_which_column_and_where_its_titles_are() {
        let cell = |text: &str| (text.to_owned(), Tone::Plain);
        let row = |name: &str, tail: &str| {
            Row::new(vec![cell(name), cell(tail), cell(""), cell("")]).about(About::Node(name.to_owned()))
        };
        let rows = vec![row("a", "9"), row("b", "?"), row("c", "10")];
        let sort = Some(Sort { by: "TAIL", down: true });
        let (header, rows) = sortable(&Look::default(), COLUMNS, rows, 80, sort);
        assert!(header.line.to_string().starts_with("NAME  TAIL↓"), "{}", header.line);
        assert_eq!((header.titles[1].at.clone(), header.titles[1].name), (6..11, "TAIL"));
        let names: Vec<_> = rows.iter().filter_map(|row| row.about.clone()).collect();
        assert_eq!(names, ["c", "a", "b"].map(|name| About::Node(name.to_owned())), "the unknown last");
    }
}

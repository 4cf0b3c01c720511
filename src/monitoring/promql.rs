//! Reads expressions as far as the lint rules need it: which series are selected, inside which function,
//! and which labels are grouped by.

/// A selector in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) name: String,
    /// Label, operator and value.
    pub(super) matchers: Vec<(String, String, String)>,
    /// The function directly around it; empty when there is none.
    pub(super) function: String,
    /// What stands in `[...]`; empty when nothing does.
    pub(super) range: String,
}

/// What an expression names.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) selectors: Vec<Selector>,
    /// Labels in `by`, `on` and `group_left`.
    pub(super) labels: Vec<String>,
}

const WORDS: &[&str] = &["and", "or", "unless", "bool", "offset"];
const GROUPINGS: &[&str] = &["by", "on", "without", "ignoring", "group_left", "group_right"];

pub(super) fn read(expr: &str) -> Result<Named, String> {
    let mut reader = Reader { rest: expr, around: Vec::new(), named: Named::default() };
    while reader.step()? {}
    if !reader.around.is_empty() {
        return Err(format!("a bracket is open at the end of `{expr}`"));
    }
    Ok(reader.named)
}

struct Reader<'a> {
    rest: &'a str,
    /// Functions and plain brackets that are open.
    around: Vec<String>,
    named: Named,
}

impl Reader<'_> {
    fn step(&mut self) -> Result<bool, String> {
        self.rest = self.rest.trim_start();
        let Some(c) = self.rest.chars().next() else { return Ok(false) };
        if c.is_ascii_alphabetic() || c == '_' {
            let word = self.take(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
            self.word(word)?;
            return Ok(true);
        }
        if c.is_ascii_digit() {
            self.take(|c| c.is_ascii_alphanumeric() || c == '.');
            return Ok(true);
        }
        match c {
            '(' => self.around.push(String::new()),
            ')' => drop(self.around.pop().ok_or("a bracket too many")?),
            '+' | '-' | '*' | '/' | '>' | '<' | '=' | '!' | ',' => {}
            other => return Err(format!("`{other}` is not understood at `{}`", self.rest)),
        }
        self.rest = &self.rest[1..];
        Ok(true)
    }

    fn word(&mut self, word: String) -> Result<(), String> {
        self.rest = self.rest.trim_start();
        if GROUPINGS.contains(&&*word) {
            let inner = self.bracketed('(', ')')?.unwrap_or_default();
            self.named.labels.extend(inner.split(',').map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()));
        } else if self.rest.starts_with('(') && !WORDS.contains(&&*word) {
            self.around.push(word);
            self.rest = &self.rest[1..];
        } else if !WORDS.contains(&&*word) && !self.is_aggregation() {
            let matchers = self.bracketed('{', '}')?.map_or(Ok(Vec::new()), |m| matchers(&m))?;
            let range = self.bracketed('[', ']')?.unwrap_or_default();
            let function = self.around.last().cloned().unwrap_or_default();
            self.named.selectors.push(Selector { name: word, matchers, function, range });
        }
        Ok(())
    }

    /// `sum by (x) (...)`: the word is followed by a grouping.
    fn is_aggregation(&self) -> bool {
        ["by ", "by(", "without "].iter().any(|g| self.rest.starts_with(g))
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn bracketed(&mut self, open: char, close: char) -> Result<Option<String>, String> {
        self.rest = self.rest.trim_start();
        let Some(inner) = self.rest.strip_prefix(open) else { return Ok(None) };
        let (inner, rest) = inner.split_once(close).ok_or_else(|| format!("`{open}` stays open"))?;
        self.rest = rest;
        Ok(Some(inner.to_owned()))
    }
}

fn matchers(text: &str) -> Result<Vec<(String, String, String)>, String> {
    let each = text.split(", ").flat_map(|part| part.split("\",")).map(str::trim).filter(|p| !p.is_empty());
    each.map(|part| {
        let at = part.find(['=', '!']).ok_or_else(|| format!("`{part}` is no matcher"))?;
        let (label, rest) = part.split_at(at);
        let value = rest.trim_start_matches(['=', '!', '~']);
        let operator = &rest[..rest.len() - value.len()];
        Ok((label.trim().to_owned(), operator.to_owned(), value.trim_matches('"').to_owned()))
    })
    .collect()
}

#[test]
fn what_an_expression_names_is_found() {
    let named = read(
        "histogram_quantile(0.99, sum by (cluster, le) (rate(x_bucket{a=\"b\", c=~\"d|e\"}[5m]))) > 2 \
         and on (instance) cluster:y:max == 1 or absent(z)",
    )
    .expect("readable");
    let shown: Vec<(&str, &str, &str, usize)> =
        named.selectors.iter().map(|s| (&*s.name, &*s.function, &*s.range, s.matchers.len())).collect();
    assert_eq!(shown, [("x_bucket", "rate", "5m", 2), ("cluster:y:max", "", "", 0), ("z", "absent", "", 0)]);
    assert_eq!(named.selectors[0].matchers[1], ("c".to_owned(), "=~".to_owned(), "d|e".to_owned()));
    assert_eq!(named.labels, ["cluster", "le", "instance"]);
    assert!(read("sum(x").is_err() && read("x{").is_err() && read("x ? y").is_err());
}

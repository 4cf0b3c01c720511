//! `standfast runbook`: what to do, for whoever was paged.

use clap::Args;
use serde_json::json;

use super::exit::{Exit, Failure};
use super::text;
use crate::monitoring::runbook::{self, PAGES, Page};

/// Flags of `standfast runbook`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunbookArgs {
    /// Name of the alert or procedure; without it, all are listed
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Prints a page, or the list of all.
pub(crate) fn run(is_json: bool, args: &RunbookArgs) -> Result<Exit, Failure> {
    let lines = match &args.name {
        None if is_json => {
            let pages: Vec<_> = PAGES.iter().map(|p| json!({"name": p.name, "gist": p.gist()})).collect();
            vec![json!({"schema": 1, "pages": pages}).to_string()]
        }
        None => list(),
        Some(asked) => {
            let page = runbook::find(asked).ok_or_else(|| unknown(asked))?;
            if is_json {
                vec![json!({"schema": 1, "name": page.name, "text": page.text}).to_string()]
            } else {
                page.text.lines().map(str::to_owned).collect()
            }
        }
    };
    // Whoever closed stdout has seen enough.
    drop(text::print(&lines));
    Ok(Exit::Ok)
}

fn list() -> Vec<String> {
    let line = |page: &Page| text::cut(&format!("  {:<28} {}", page.name, page.gist()), text::COLUMNS);
    let (alerts, procedures): (Vec<&Page>, Vec<&Page>) = PAGES.iter().partition(|p| p.is_alert());
    let mut lines = vec!["Alerts:".to_owned()];
    lines.extend(alerts.into_iter().map(line));
    lines.push("Procedures:".to_owned());
    lines.extend(procedures.into_iter().map(line));
    lines
}

fn unknown(asked: &str) -> Failure {
    let distance = |page: &&Page| {
        let name = page.name.rsplit('/').next().unwrap_or(page.name);
        strsim::damerau_levenshtein(&asked.to_ascii_lowercase(), &name.to_ascii_lowercase())
    };
    let nearest = PAGES.iter().min_by_key(distance).map_or("", |page| page.name);
    let failure = Failure::new(Exit::Usage, format!("there is no page `{}`", text::cut(asked, 60)));
    failure.cure(format!("standfast runbook {nearest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_fits_a_terminal_and_names_every_page() {
        let lines = list();
        assert_eq!(lines.len(), PAGES.len() + 2);
        assert!(lines.iter().all(|line| line.chars().count() <= text::COLUMNS), "{lines:?}");
    }

    #[test]
    fn a_name_that_is_nearly_right_is_cured() {
        let failure = run(false, &RunbookArgs { name: Some("NoPrimry".into()) }).expect_err("no such page");
        assert_eq!(
            (failure.exit, failure.cure.as_deref()),
            (Exit::Usage, Some("standfast runbook NoPrimary"))
        );
    }
}

//! Colours and glyphs. A colour only repeats what a word and a glyph say; every theme keeps to the 16 colours that
//! each terminal has, and to its own foreground and background.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Plain text.
    Plain,
    /// As it should be.
    Ok,
    /// Needs a look.
    Warn,
    /// Needs a hand.
    Crit,
    /// Nobody knows.
    Unknown,
    /// Was true once: older than two intervals.
    Stale,
    /// Labels and hints.
    Label,
    /// Headings of tables and sections.
    Title,
    /// The primary.
    Primary,
    /// What is selected or typed.
    Focus,
    /// The header and footer bars.
    Bar,
}

/// The themes there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light background.
    Light,
    /// Bold and reverse where others have colours, and colours besides.
    Contrast,
    /// Blue and yellow instead of green and red.
    ColourBlind,
    /// No colour at all.
    Mono,
}

impl Theme {
    /// All of them, in the order of the `t` key.
    pub const ALL: [Self; 5] = [Self::Dark, Self::Light, Self::Contrast, Self::ColourBlind, Self::Mono];

    /// The word for the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Contrast => "high-contrast",
            Self::ColourBlind => "colour-blind",
            Self::Mono => "mono",
        }
    }

    /// The theme of that word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.word() == word)
    }

    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|theme| *theme == self).unwrap_or_default();
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// How `tone` looks.
    #[must_use]
    pub fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        let (bold, dim, reverse) = (Modifier::BOLD, Modifier::DIM, Modifier::REVERSED);
        // Without colour the tones still differ where they can.
        let mono = match tone {
            Tone::Plain | Tone::Ok => plain,
            Tone::Warn | Tone::Title | Tone::Primary => plain.add_modifier(bold),
            Tone::Crit | Tone::Bar | Tone::Focus => plain.add_modifier(reverse),
            Tone::Unknown | Tone::Stale | Tone::Label => plain.add_modifier(dim),
        };
        let colour = |ok, warn, crit, primary| match tone {
            Tone::Ok => plain.fg(ok),
            Tone::Warn => plain.fg(warn).add_modifier(bold),
            Tone::Crit => plain.fg(crit).add_modifier(bold),
            Tone::Primary => plain.fg(primary).add_modifier(bold),
            Tone::Plain
            | Tone::Unknown
            | Tone::Stale
            | Tone::Label
            | Tone::Title
            | Tone::Focus
            | Tone::Bar => mono,
        };
        match self {
            Self::Dark => colour(Color::LightGreen, Color::LightYellow, Color::LightRed, Color::LightCyan),
            // Yellow on white cannot be read.
            Self::Light => colour(Color::Green, Color::Magenta, Color::Red, Color::Blue),
            Self::ColourBlind => {
                colour(Color::LightBlue, Color::LightYellow, Color::LightYellow, Color::LightCyan)
                    .add_modifier(if tone == Tone::Crit { reverse } else { Modifier::empty() })
            }
            Self::Contrast => match tone {
                // Dim text is what high contrast is not.
                Tone::Unknown | Tone::Stale | Tone::Label => plain.add_modifier(Modifier::UNDERLINED),
                Tone::Crit => plain.fg(Color::Red).add_modifier(bold | reverse),
                Tone::Warn => plain.fg(Color::Yellow).add_modifier(bold | reverse),
                Tone::Ok | Tone::Primary => mono.add_modifier(bold),
                Tone::Plain | Tone::Title | Tone::Focus | Tone::Bar => mono,
            },
            Self::Mono => mono,
        }
    }
}

/// Where the cluster runs: production must be unmistakable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Environment {
    /// Nobody said.
    #[default]
    Unnamed,
    /// The real thing.
    Production,
    /// Rehearsals of the real thing.
    Staging,
    /// Everything else.
    Test,
}

impl Environment {
    /// The words for the command line.
    pub const WORDS: [&'static str; 3] = ["production", "staging", "test"];

    /// The environment of that word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "production" => Some(Self::Production),
            "staging" => Some(Self::Staging),
            "test" => Some(Self::Test),
            _ => None,
        }
    }

    /// Its label in the header.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unnamed => "",
            Self::Production => "PRODUCTION",
            Self::Staging => "STAGING",
            Self::Test => "TEST",
        }
    }
}

/// Theme and glyphs of one console.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// The colours.
    pub theme: Theme,
    /// Only characters that every terminal has.
    pub ascii: bool,
    /// Colours the header.
    pub environment: Environment,
}

/// Heights of a sparkline, from nothing to full.
const SPARKS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const SPARKS_ASCII: [&str; 9] = ["_", ".", ".", ":", ":", "-", "=", "+", "#"];

impl Look {
    /// `text` in the style of `tone`.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: impl Into<String>) -> Span<'static> {
        Span::styled(text.into(), self.theme.style(tone))
    }

    /// How the header's label for the environment looks.
    pub(crate) fn environment_style(&self) -> Style {
        let reverse = Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD);
        match (self.theme, self.environment) {
            (Theme::Mono, _) | (_, Environment::Unnamed) => reverse,
            (Theme::ColourBlind, Environment::Production) => reverse.fg(Color::LightYellow),
            (_, Environment::Production) => reverse.fg(Color::Red),
            (_, Environment::Staging) => reverse.fg(Color::Magenta),
            (_, Environment::Test) => reverse.fg(Color::Blue),
        }
    }

    fn pick(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { unicode }
    }

    /// Glyph and word of a verdict: never the colour alone.
    pub(crate) fn badge(&self, tone: Tone) -> &'static str {
        match tone {
            Tone::Ok => self.pick("OK ●", "OK *"),
            Tone::Warn => self.pick("WARN ▲", "WARN !"),
            Tone::Crit => self.pick("CRIT ■", "CRIT #"),
            _ => "UNKNOWN ?",
        }
    }

    pub(crate) fn mark(&self, tone: Tone) -> &'static str {
        match tone {
            Tone::Ok => self.pick("●", "*"),
            Tone::Warn => self.pick("▲", "!"),
            Tone::Crit => self.pick("■", "#"),
            _ => "?",
        }
    }

    pub(crate) fn arrow(&self) -> &'static str {
        self.pick("→", ">")
    }

    /// Beside the title of the column that a table is sorted by.
    pub(crate) fn direction(&self, down: bool) -> &'static str {
        if down { self.pick("↓", "v") } else { self.pick("↑", "^") }
    }

    pub(crate) fn rule(&self) -> &'static str {
        self.pick("─", "-")
    }

    pub(crate) fn full(&self) -> &'static str {
        self.pick("█", "#")
    }

    pub(crate) fn empty(&self) -> &'static str {
        self.pick("░", ".")
    }

    /// One column each; a value that is not known is a gap.
    pub(crate) fn sparkline(&self, values: &[Option<f64>]) -> String {
        let most = values.iter().flatten().fold(0.0, |most: f64, v| most.max(*v));
        let glyphs = if self.ascii { &SPARKS_ASCII } else { &SPARKS };
        let glyph = |value: &Option<f64>| match value {
            None => {
                if self.ascii {
                    " "
                } else {
                    "·"
                }
            }
            Some(v) if most <= 0.0 || *v <= 0.0 => {
                if self.ascii {
                    "_"
                } else {
                    SPARKS[1]
                }
            }
            Some(v) => glyphs[((v / most * 8.0).ceil() as usize).clamp(1, 8)],
        };
        values.iter().map(glyph).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TONES: [Tone; 11] = [
        Tone::Plain,
        Tone::Ok,
        Tone::Warn,
        Tone::Crit,
        Tone::Unknown,
        Tone::Stale,
        Tone::Label,
        Tone::Title,
        Tone::Primary,
        Tone::Focus,
        Tone::Bar,
    ];

    #[test]
    fn mono_has_no_colour_and_no_theme_sets_white_or_black() {
        for tone in TONES {
            assert_eq!((Theme::Mono.style(tone).fg, Theme::Mono.style(tone).bg), (None, None));
            for theme in Theme::ALL {
                let style = theme.style(tone);
                assert!(!matches!(style.fg, Some(Color::White | Color::Black)), "{theme:?} {tone:?}");
                assert_eq!(style.bg, None, "the terminal's own background: {theme:?} {tone:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_never_looks_like_what_is_right() {
        for theme in Theme::ALL {
            let [ok, warn, crit, stale] =
                [Tone::Ok, Tone::Warn, Tone::Crit, Tone::Stale].map(|tone| theme.style(tone));
            assert!(ok != warn && ok != crit && warn != crit && ok != stale, "{theme:?}");
        }
    }

    #[test]
    fn words_name_all_themes() {
        for theme in Theme::ALL {
            assert_eq!(Theme::of_word(theme.word()), Some(theme));
        }
        let mut theme = Theme::Dark;
        for _ in Theme::ALL {
            theme = theme.next();
        }
        assert_eq!(theme, Theme::Dark, "the key goes round");
        for word in Environment::WORDS {
            assert_eq!(Environment::of_word(word).map(Environment::label), Some(&*word.to_uppercase()));
        }
    }

    #[test]
    fn a_sparkline_tells_zero_from_unknown() {
        let ascii = Look { ascii: true, ..Look::default() };
        assert_eq!(ascii.sparkline(&[None, Some(0.0), Some(4.0), Some(8.0)]), " _:#");
        assert_eq!(Look::default().sparkline(&[None, Some(0.0), Some(8.0)]), "·▁█");
        assert!(SPARKS_ASCII.iter().all(|glyph| glyph.is_ascii()));
    }
}

//! The terminal: taken over, and given back on whatever way out.

use std::io::{self, Stdout, stdout};
use std::num::NonZeroU16;

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{
    DisableMouseCapture, EnableMouseCapture, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
    MouseButton, MouseEventKind,
};
use crossterm::{cursor, execute, terminal};
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::{Buffer, CellDiffOption};
use ratatui::{Frame, Terminal};

use crate::model::Model;
use crate::msg::{Key, Mouse, Msg};
use crate::view::screen;

/// The screen. Dropping it gives the terminal back.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        // Whatever panics, the message must be readable on a terminal that works.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        let entered = execute!(stdout(), terminal::EnterAlternateScreen, cursor::Hide);
        let terminal = entered.and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match terminal {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Columns and rows.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.terminal.size().map_or((80, 24), |size| (size.width, size.height))
    }

    /// Draws what has changed.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn draw(&mut self, model: &Model) -> io::Result<()> {
        self.terminal.draw(|frame| paint(model, frame))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // A terminal that is gone needs nothing.
    let _ = execute!(stdout(), DisableMouseCapture, terminal::LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
}

/// Listens to the mouse, or leaves it to the terminal.
pub(crate) fn listen_to_mouse(listen: bool) {
    // A terminal that is gone needs nothing.
    let _ =
        if listen { execute!(stdout(), EnableMouseCapture) } else { execute!(stdout(), DisableMouseCapture) };
}

/// The screen, with links.
pub(crate) fn paint(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    screen::draw(model, area, frame.buffer_mut());
    link(model, frame.buffer_mut());
}

/// Makes links of the names of pages (OSC 8): cell by cell, so that a change of one draws it anew. The screen as text
/// knows nothing of them.
fn link(model: &Model, buffer: &mut Buffer) {
    for (row, columns, url) in screen::links(model) {
        for column in columns {
            let Some(cell) = buffer.cell_mut((column, row)) else { continue };
            let linked = format!("\x1b]8;;{url}\x1b\\{}\x1b]8;;\x1b\\", cell.symbol());
            cell.set_symbol(&linked).set_diff_option(CellDiffOption::ForcedWidth(NonZeroU16::MIN));
        }
    }
}

/// Hands `text` to the terminal's clipboard (OSC 52).
pub(crate) fn copy(text: &str) {
    // A terminal that is gone needs nothing.
    let _ = execute!(stdout(), CopyToClipboard::to_clipboard_from(text));
}

/// What an event of the terminal means to the console.
pub(crate) fn messages(event: &Event) -> Vec<Msg> {
    match event {
        Event::Resize(columns, rows) => vec![Msg::Resize(*columns, *rows)],
        Event::Mouse(mouse) => {
            let did = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => {
                    Some(Mouse::Click { column: mouse.column, row: mouse.row })
                }
                MouseEventKind::ScrollUp => Some(Mouse::WheelUp),
                MouseEventKind::ScrollDown => Some(Mouse::WheelDown),
                _ => None,
            };
            did.map(Msg::Mouse).into_iter().collect()
        }
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            // A terminal sends Esc and a key typed soon after it like Alt and that key.
            let escape = key.modifiers.contains(KeyModifiers::ALT).then_some(Key::Esc);
            escape.into_iter().chain(key_of(*key)).map(Msg::Key).collect()
        }
        _ => Vec::new(),
    }
}

fn key_of(key: KeyEvent) -> Option<Key> {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char(c) if ctrl => Key::Ctrl(c),
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(code: KeyCode, modifiers: KeyModifiers) -> Vec<Key> {
        let messages = messages(&Event::Key(KeyEvent::new(code, modifiers)));
        messages
            .into_iter()
            .filter_map(|msg| if let Msg::Key(key) = msg { Some(key) } else { None })
            .collect()
    }

    #[test]
    fn escape_and_a_key_soon_after_it_are_two_keys() {
        assert_eq!(keys(KeyCode::Char('1'), KeyModifiers::ALT), [Key::Esc, Key::Char('1')]);
        assert_eq!(keys(KeyCode::Char('F'), KeyModifiers::SHIFT), [Key::Char('F')]);
        assert_eq!(keys(KeyCode::Char('c'), KeyModifiers::CONTROL), [Key::Ctrl('c')]);
        assert_eq!(keys(KeyCode::F(1), KeyModifiers::NONE), []);
    }
}

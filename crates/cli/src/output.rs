//! The one place that speaks to people: data on standard output, everything else on standard error.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

/// Why standard output took nothing more; the program says so at its end.
static UNWRITTEN: Mutex<Option<io::Error>> = Mutex::new(None);

/// Data, on standard output.
pub(crate) fn data(text: &str) {
    let mut unwritten = UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    if unwritten.is_none() {
        let mut stdout = io::stdout().lock();
        *unwritten = writeln!(stdout, "{text}").and_then(|()| stdout.flush()).err();
    }
}

/// A remark, on standard error.
pub(crate) fn note(text: &str) {
    // Where even standard error is gone, nobody is left to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Bytes as they are, on standard output: data that comes in pieces.
pub(crate) fn raw(bytes: &[u8]) {
    let mut unwritten = UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    if unwritten.is_none() {
        *unwritten = io::stdout().lock().write_all(bytes).err();
    }
}

/// Whether the person at the terminal says yes; `None` where there is nobody to ask.
pub(crate) fn ask(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).ok()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).ok()?;
    Some(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// Tells how the program ended, and gives the exit code: 0 done, 1 failed, 2 sign in again or another command line.
pub(crate) fn finish(result: Result<(), anyhow::Error>) -> ExitCode {
    let unwritten = UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    let result = match unwritten {
        // Who reads the output has enough of it, as in `… | head`.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => result,
        Some(error) => {
            result.and(Err(anyhow::Error::new(error).context("cannot write to standard output")))
        }
        None => result,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&describe(&error));
            let advice = error.downcast_ref::<Advice>();
            advice.map_or(ExitCode::FAILURE, |advice| ExitCode::from(advice.exit_code))
        }
    }
}

/// What failed, why, and what to do about it.
fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    let causes: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
    if !causes.is_empty() {
        text.push_str("\ncause: ");
        text.push_str(&causes.join(": "));
    }
    if let Some(remedy) = error.downcast_ref().and_then(|advice: &Advice| advice.remedy.as_ref()) {
        text.push_str("\ntry:   ");
        text.push_str(remedy);
    }
    text
}

/// What failed, with the next thing to do; the context of an error.
#[derive(Debug)]
pub(crate) struct Advice {
    what: String,
    remedy: Option<String>,
    exit_code: u8,
}

impl Advice {
    /// `what` failed.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: None, exit_code: 1 }
    }

    /// The person may try this.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Only another command line, or signing in again, helps.
    pub(crate) fn usage(mut self) -> Self {
        self.exit_code = 2;
        self
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Advice {}

/// How far a long task is, on standard error where that is a terminal; elsewhere nothing is shown.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A task of `length` bytes.
    pub(crate) fn of_bytes(length: u64) -> Self {
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// A task of steps that begin one after the other.
    pub(crate) fn of_steps() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {human_pos} of {human_len}  {wide_msg}")
        {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// A task whose end nobody knows.
    pub(crate) fn endless() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// A step of `length` parts begins.
    pub(crate) fn begin(&self, step: &str, length: u64) {
        self.0.set_position(0);
        self.0.set_length(length);
        self.0.set_message(step.to_owned());
    }

    /// So many more are done.
    pub(crate) fn advance(&self, parts: u64) {
        self.0.inc(parts);
    }

    /// So far.
    pub(crate) fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    /// In words.
    pub(crate) fn say(&self, text: String) {
        self.0.set_message(text);
        self.0.tick();
    }

    /// A remark that stays, above what moves.
    pub(crate) fn note(&self, text: &str) {
        self.0.suspend(|| note(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// `text` from elsewhere, without what a terminal would take for a command.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '·' } else { character }).collect()
}

/// A number of bytes for people.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn an_error_tells_what_failed_why_and_what_to_do() {
        let advice = Advice::new("cannot log in").remedy("cardata dev");
        let error = anyhow!("connection refused").context("no answer").context(advice);
        assert_eq!(
            describe(&error),
            "error: cannot log in\ncause: no answer: connection refused\ntry:   cardata dev"
        );
        assert_eq!(describe(&anyhow!("it is full")), "error: it is full");
    }

    #[test]
    fn advice_is_found_below_further_context() {
        let error = Err::<(), _>(Advice::new("no such customer").usage()).context("cannot log in");
        assert_eq!(describe(&error.unwrap_err()), "error: cannot log in\ncause: no such customer");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\n"), "a·[2Jb·");
    }
}

//! What the system asks of the process.

use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// End well.
    Stop,
    /// Read again what may have changed.
    Renew,
}

/// Listens for signals.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    terminals: [bool; 3],
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            terminals: terminals(),
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.terminate.recv() => Request::Stop,
            // SIGHUP asks a service to read its settings again; but it also comes when somebody closes the terminal that
            // the sandbox was started in, and then nobody could end it with Ctrl+C any more.
            _ = self.hangup.recv() => {
                if terminals() == self.terminals { Request::Renew } else { Request::Stop }
            }
        }
    }
}

/// Which of the standard streams are terminals; one that was closed is none.
fn terminals() -> [bool; 3] {
    [io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()]
}

//! Whether the system lets so many connections be opened, asked before the first one is.

use std::fs;

use thiserror::Error;

use crate::connection::CLIENTS_PER_ADDRESS;
use crate::process::{Process, read};
use crate::remedy::Remedy;
use crate::target::Target;

/// The system does not let so many connections be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RoomError {
    /// This process may not open so many files.
    #[error("{wanted} connections need more files than the {max} that this process may open")]
    OwnDescriptors {
        /// Connections.
        wanted: u64,
        /// Files.
        max: u64,
    },
    /// The server may not.
    #[error(
        "{wanted} connections need more files than the {max} that the server's process may open"
    )]
    ServerDescriptors {
        /// Connections.
        wanted: u64,
        /// Files.
        max: u64,
    },
    /// So many connections don't fit the ports between two addresses.
    #[error(
        "{wanted} connections to one address need more local ports than the {max} that there are"
    )]
    Ports {
        /// Connections.
        wanted: u64,
        /// Ports.
        max: u64,
    },
}

impl Remedy for RoomError {
    fn remedy(&self) -> Option<String> {
        let limit = |wanted: &u64| format!("`ulimit -n {}`", wanted + 1000);
        Some(match self {
            Self::OwnDescriptors { wanted, .. } => {
                format!("{} in this shell first, as root, or fewer connections", limit(wanted))
            }
            Self::ServerDescriptors { wanted, .. } => {
                let limit = limit(wanted);
                format!(
                    "{limit} in the shell that starts the server, as root, or fewer connections"
                )
            }
            Self::Ports { .. } => {
                "fewer connections, or the same on the server's machine, which has more addresses"
                    .to_owned()
            }
        })
    }
}

/// What a process opens besides these connections.
const SPARE: u64 = 64;

/// Whether `wanted` more connections at a time fit.
pub(crate) fn check(
    target: &Target,
    server: Option<&Process>,
    wanted: u64,
) -> Result<(), RoomError> {
    let room = |pid, used: usize| {
        let max = read(pid, "limits").ok().and_then(|limits| open_files(&limits))?;
        (wanted + used as u64 + SPARE > max).then_some(max)
    };
    if let Some(max) = room(std::process::id(), 0) {
        return Err(RoomError::OwnDescriptors { wanted, max });
    }
    if let Some(max) = server.and_then(|server| room(server.pid, server.descriptors())) {
        return Err(RoomError::ServerDescriptors { wanted, max });
    }
    let ports = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let ports = ports.and_then(|range| ports_of(&range)).unwrap_or(CLIENTS_PER_ADDRESS);
    // On the loopback network there are addresses enough for all that descriptors allow.
    if !target.is_local() && wanted > ports {
        return Err(RoomError::Ports { wanted, max: ports });
    }
    Ok(())
}

/// The soft limit on open files in a file of the form of `/proc/PID/limits`.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How many ports are in a range of the form `32768 60999`.
fn ports_of(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_system_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             95978                95978                processes \n\
                      Max open files            1024                 20000                files     \n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files            unlimited            unlimited"), None);
        assert_eq!(ports_of("32768\t60999\n"), Some(28_232));
        assert_eq!(ports_of("many"), None);
    }
}

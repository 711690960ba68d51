//! Which process serves a port of this machine, and whether it is there.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

use crate::remedy::Remedy;

/// A process of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The name of its program.
    pub name: String,
}

/// Why no process can be looked at.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// Nobody listens there, as far as this user may see.
    #[error("no process that this user may look at listens on port {0}")]
    NoListener(u16),
    /// The process that was named serves something else.
    #[error("process {pid} does not listen on port {port}{}", listener.as_ref().map(|other| format!("; process {other} does")).unwrap_or_default())]
    OtherListener {
        /// The one that was named.
        pid: u32,
        /// Where it should listen.
        port: u16,
        /// Who does.
        listener: Option<Process>,
    },
    /// There is no such process, or it has ended.
    #[error("there is no process {0}")]
    Gone(u32),
    /// The system does not tell.
    #[error("cannot look at process {pid}")]
    Unreadable {
        /// Which one.
        pid: u32,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl Remedy for ProcessError {
    fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::NoListener(_) | Self::Unreadable { .. } => {
                "the same as the user whom the server runs as, or as root"
            }
            Self::OtherListener { .. } | Self::Gone(_) => {
                "leave --pid out; the process is found by its port"
            }
        };
        Some(remedy.to_owned())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, self.name)
    }
}

impl Process {
    /// The process that listens on `port`; `pid` says which one that should be.
    ///
    /// # Errors
    /// [`ProcessError`] when there is none, or another one than `pid`.
    pub fn listening(port: u16, pid: Option<u32>) -> Result<Self, ProcessError> {
        let sockets: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| listeners(&table, port))
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        let serves = |pid: &u32| has_one_of(*pid, &sockets);
        if let Some(pid) = pid {
            let named = Self::of(pid)?;
            if serves(&pid) {
                return Ok(named);
            }
            let listener = pids().find(serves).and_then(|pid| Self::of(pid).ok());
            return Err(ProcessError::OtherListener { pid, port, listener });
        }
        let pid = pids().find(serves).ok_or(ProcessError::NoListener(port))?;
        Self::of(pid)
    }

    fn of(pid: u32) -> Result<Self, ProcessError> {
        let name = read(pid, "comm")?.trim().to_owned();
        Ok(Self { pid, name })
    }

    /// Files and sockets that it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(folder(self.pid, "fd")).map_or(0, Iterator::count)
    }
}

/// One of the files in which the system tells about process `pid`.
pub(crate) fn read(pid: u32, file: &str) -> Result<String, ProcessError> {
    fs::read_to_string(folder(pid, file)).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ProcessError::Gone(pid),
        // The process ended between two reads: ESRCH.
        _ if source.raw_os_error() == Some(3) => ProcessError::Gone(pid),
        _ => ProcessError::Unreadable { pid, source },
    })
}

fn folder(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn has_one_of(pid: u32, sockets: &HashSet<String>) -> bool {
    let descriptors = fs::read_dir(folder(pid, "fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.any(|target| target.to_str().is_some_and(|target| sockets.contains(target)))
}

/// The inodes of the sockets in `table`, a file of the form of `/proc/net/tcp`, that listen on `port`.
fn listeners(table: &str, port: u16) -> Vec<u64> {
    let inode = |line: &str| {
        let mut columns = line.split_whitespace();
        let (address, state) = (columns.nth(1)?, columns.nth(1)?);
        let (_, hexadecimal) = address.rsplit_once(':')?;
        let listens = u16::from_str_radix(hexadecimal, 16) == Ok(port) && state == LISTEN;
        columns.nth(5).filter(|_| listens)?.parse().ok()
    };
    table.lines().skip(1).filter_map(inode).collect()
}

/// The state of a socket that listens, as the kernel numbers them.
const LISTEN: &str = "0A";

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:2328 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
";

    #[test]
    fn the_listener_is_told_from_its_connections_and_from_others() {
        assert_eq!(listeners(TABLE, 9000), [4711]);
        assert_eq!(listeners(TABLE, 8443), [4713]);
        assert!(listeners(TABLE, 9001).is_empty());
        assert!(listeners("", 9000).is_empty());
    }

    #[test]
    fn a_port_leads_to_its_process() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let own = std::process::id();
        assert_eq!(Process::listening(port, None).unwrap().pid, own);
        let found = Process::listening(port, Some(own)).unwrap();
        assert!(found.descriptors() > 3 && !found.name.is_empty());
        let other = std::os::unix::process::parent_id();
        match Process::listening(port, Some(other)) {
            Err(ProcessError::OtherListener { listener: Some(listener), .. }) => {
                assert_eq!(listener, found);
            }
            unexpected => panic!("{unexpected:?}"),
        }
        assert!(matches!(Process::listening(port, Some(u32::MAX)), Err(ProcessError::Gone(_))));
        drop(socket);
        assert!(matches!(Process::listening(port, None), Err(ProcessError::NoListener(_))));
    }
}

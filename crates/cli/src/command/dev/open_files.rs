//! How many files the process may open: each connection is one.

/// Raises the limit to what the system allows, and says so when that is too low for the connections that somebody asked
/// for.
pub(super) fn raise_limit(wanted: Option<usize>) {
    let connections_max = wanted.map_or(0, |max| u64::try_from(max).unwrap_or(u64::MAX));
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < connections_max => tracing::warn!(
            limit,
            "{limit} files can be open at a time, fewer than the {connections_max} connections that are let in; \
             raise the hard limit of open files, or lower --connections"
        ),
        Ok(limit) => tracing::debug!(limit, "{limit} files can be open at a time"),
        Err(error) => {
            tracing::warn!(%error, "the number of files that can be open can't be raised");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_many_files_can_be_open_as_the_system_allows() {
        super::raise_limit(Some(1));
        let (soft, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap();
        assert_eq!(soft, hard);
    }
}

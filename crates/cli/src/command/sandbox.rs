//! Finds the running `cardata dev`.

use std::path::PathBuf;

use anyhow::Context as _;
use cardata_client::http::Http;
use cardata_client::ready_file::{ReadyFile, ReadyFileError};

use crate::output::Advice;

/// Where the running `cardata dev` left word.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SandboxArgs {
    /// Data folder of the running `cardata dev`
    #[arg(
        long,
        value_name = "DIR",
        default_value = "./cardata-data",
        global = true,
        env = "CARDATA_DATA_DIR"
    )]
    data_dir: PathBuf,
    /// Ready file of the running `cardata dev`, instead of the one in its data folder
    #[arg(long, value_name = "FILE", global = true, env = "CARDATA_READY_FILE")]
    ready_file: Option<PathBuf>,
}

impl SandboxArgs {
    /// What the running server told last.
    pub(crate) fn read(&self) -> Result<ReadyFile, ReadyFileError> {
        match &self.ready_file {
            Some(file) => ReadyFile::read(file),
            None => ReadyFile::read(&self.data_dir.join(ReadyFile::NAME)),
        }
    }

    /// Where the data folder has the operator's token.
    pub(crate) fn admin_token_file(&self) -> PathBuf {
        self.data_dir.join("admin-token")
    }

    /// What the running server told last, with advice for the person.
    pub(crate) fn look(&self) -> anyhow::Result<ReadyFile> {
        self.read().with_context(|| {
            Advice::new("found no running server").remedy(
                "start `cardata dev` in another terminal first; where it has another data folder, name that with \
                 --data-dir",
            )
        })
    }

    /// The same, and what sends requests there.
    pub(crate) fn find(&self) -> anyhow::Result<(ReadyFile, Http)> {
        let ready = self.look()?;
        let http = Http::trusting_only(&ready.ca_file).with_context(|| {
            Advice::new("the server's certificate can't be checked").remedy(
                "restart `cardata dev`; it says what to do when its CA file is missing or damaged",
            )
        })?;
        Ok((ready, http))
    }
}

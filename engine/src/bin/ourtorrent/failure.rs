//! How the program ends: the exit statuses, and what it says when something went wrong.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use engine::{AddError, StartError};

/// The exit status; `--help` documents the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// All that was asked for is done.
    Done = 0,
    /// It could not be done, or not all of it.
    Incomplete = 1,
    /// The command asks for what there is not.
    Usage = 2,
    /// The torrent file is at fault.
    BadTorrent = 3,
    /// Files or folders are at fault.
    Storage = 4,
    /// The user pressed Ctrl-C; running the same command again goes on.
    Interrupted = 130,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// One clear message: what happened, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How the program ends.
    pub(crate) status: Status,
    what: String,
    advice: Option<String>,
}

impl Failure {
    /// `what` happened; the names of files and addresses are in it.
    pub(crate) fn new(status: Status, what: impl fmt::Display) -> Self {
        Self { status, what: what.to_string(), advice: None }
    }

    /// Says what the user can do.
    pub(crate) fn advise(self, advice: impl fmt::Display) -> Self {
        Self { advice: Some(advice.to_string()), ..self }
    }

    /// A file or folder could not be used.
    pub(crate) fn of_file(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Status::Storage, format_args!("cannot {action} {}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.advice.iter().try_for_each(|advice| write!(f, "\n  {advice}"))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Listen { .. } => {
                Self::new(Status::Incomplete, error).advise("Choose another address or port with --listen.")
            }
            StartError::Families => {
                Self::new(Status::Incomplete, error).advise("Give --listen once, or once for each family.")
            }
            StartError::Socket(_) => Self::new(Status::Incomplete, error),
            StartError::Storage(error) => of_storage(error),
        }
    }
}

impl From<AddError> for Failure {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Storage(error) => of_storage(error),
            AddError::Duplicate(_) => Self::new(Status::Usage, error).advise("Name each torrent once."),
            AddError::Stopped => Self::new(Status::Incomplete, error),
        }
    }
}

/// What is there could not be looked through.
fn of_storage(error: io::Error) -> Failure {
    let is_full = error.kind() == io::ErrorKind::StorageFull;
    let failure = Failure::new(Status::Storage, error);
    if is_full {
        failure.advise("Make room, or choose fewer files with --select, and run the same command again.")
    } else {
        failure
    }
}

//! The silent one: takes a connection and says nothing, not even its name.

use std::io;

use tokio::io::AsyncReadExt;

use super::Wire;

/// Room for one read: the simulated stack's window.
const READ_LEN: usize = 64 * 1024;

pub(super) async fn meet(mut stream: Wire) -> io::Result<()> {
    let mut heard = vec![0; READ_LEN];
    while stream.reader.read(&mut heard).await? > 0 {}
    Ok(())
}

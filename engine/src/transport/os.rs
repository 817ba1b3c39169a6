//! The operating system's sockets, through tokio.

//! transmission-daemon: its settings, and how it is given a torrent.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use crate::client::{Client, executable};
use crate::lab::{Lab, Peer, Torrent, free_address};
use crate::process::{Process, wait_until};

/// Starts one with a torrent: it shares what lies in `folder`, fetches the rest, and creates `<folder>.done` once it
/// has everything.
pub(crate) fn start(
    lab: &Lab,
    name: &str,
    (torrent, folder): (&Torrent, &Path),
    listen: SocketAddr,
    more: &[&str],
) -> Peer {
    let home = lab.subfolder(name);
    let finished = executable(
        &home.join("finished.sh"),
        &format!("touch '{}'", folder.with_extension("done").display()),
    );
    let rpc = free_address();
    fs::write(home.join("settings.json"), settings(listen, rpc, &finished)).expect("a file");
    let mut command = Command::new("transmission-daemon");
    command.env("HOME", &home).args(["--foreground", "--log-debug", "--config-dir"]).arg(&home).args(more);
    let logs = lab.subfolder("logs");
    let process = Process::spawn(&mut command, &logs, name);
    wait_until("transmission-daemon takes orders", &logs.join(format!("{name}.log")), || {
        let mut remote = Command::new("transmission-remote");
        remote.arg(rpc.to_string()).arg("--add").arg(&torrent.path).arg("--download-dir").arg(folder);
        let mut remote = Process::spawn(&mut remote, &logs, &format!("{name}-remote"));
        remote.wait().success()
    });
    Peer { client: Client::Transmission, process, folder: folder.to_owned(), listen }
}

/// What differs from the settings that it ships with.
fn settings(listen: SocketAddr, rpc: SocketAddr, finished: &Path) -> String {
    let (v4, v6) = match listen.ip() {
        IpAddr::V4(ip) => (ip.to_string(), "::1".to_owned()),
        IpAddr::V6(ip) => ("127.0.0.1".to_owned(), ip.to_string()),
    };
    serde_json::json!({
        "bind-address-ipv4": v4, "bind-address-ipv6": v6, "peer-port": listen.port(),
        "rpc-bind-address": rpc.ip(), "rpc-port": rpc.port(),
        "script-torrent-done-enabled": true, "script-torrent-done-filename": finished,
        "dht-enabled": false, "lpd-enabled": false, "port-forwarding-enabled": false,
    })
    .to_string()
}

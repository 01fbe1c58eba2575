//! Finds out whether a port is free, and who has it if not.

use std::{fs, net::TcpListener};

use crate::failure::{Failure, Outcome};

/// Refuses a port that is taken, naming the process that has it where the system tells.
pub fn require_free(port: u16) -> Outcome {
    if TcpListener::bind(("127.0.0.1", port)).is_ok() {
        return Ok(());
    }
    let holder = holder(port).unwrap_or_else(|| "another process".to_owned());
    Err(
        Failure::new(format!("port {port} is taken by {holder}")).remedy(format!(
            "stop it, or choose another port: cargo fleet up --port {}",
            port.saturating_add(1)
        )),
    )
}

/// A port that nobody listens on now.
pub fn any_free() -> Outcome<u16> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Failure::new(format!("no free port: {error}")))
}

/// `command (pid N)` of the process that listens on a port: its socket's inode stands in `/proc/net/tcp`.
fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, port))?;
    let socket = format!("socket:[{inode}]");
    let pid = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .find(|pid| {
            let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
            descriptors.is_ok_and(|all| {
                all.flatten().any(|entry| {
                    fs::read_link(entry.path()).is_ok_and(|target| target.to_str() == Some(&socket))
                })
            })
        })?;
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .ok()?
        .replace('\0', " ");
    Some(format!("`{}` (pid {pid})", command.trim()))
}

/// The inode of the socket that listens (state 0A) on a port, from the kernel's table of sockets.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    let local = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&local) && *fields.get(3)? == "0A";
        listens.then(|| fields.get(9).map(ToString::to_string))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_with_the_name_of_its_holder() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();

        let refused = require_free(port).unwrap_err().to_string();

        assert!(
            refused.contains(&format!("(pid {})", std::process::id())),
            "{refused}"
        );
        assert!(refused.contains("--port"), "{refused}");
    }

    #[test]
    fn only_a_listening_socket_holds_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:11D6 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 11\n\
            1: 0100007F:11D6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22\n";

        assert_eq!(listening_inode(table, 4566), Some("22".to_owned()));
        assert_eq!(listening_inode(table, 4567), None);
    }
}

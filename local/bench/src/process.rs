//! What the kernel says of a process, by proc(5).

use std::fs;

/// Resident memory now, in octets; nothing once the process has ended.
pub fn resident(id: u32) -> Option<u64> {
    kibibytes(id, "VmRSS:").map(|kib| kib * 1024)
}

/// The most resident memory that the process ever had, in octets; nothing once it has ended.
pub fn peak(id: u32) -> Option<u64> {
    kibibytes(id, "VmHWM:").map(|kib| kib * 1024)
}

fn kibibytes(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    field(&status, name)?.parse().ok()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let here = std::process::id();

        assert!(peak(here).unwrap() >= resident(here).unwrap() / 2);
    }
}

//! What the kernel says of a process, by proc(5).

use std::{collections::BTreeMap, fs};

/// Resident memory now, in octets; nothing once the process has ended.
pub fn resident(id: u32) -> Option<u64> {
    kibibytes(id, "VmRSS:").map(|kib| kib * 1024)
}

/// The most resident memory that the process ever had, in octets; nothing once it has ended.
pub fn peak(id: u32) -> Option<u64> {
    kibibytes(id, "VmHWM:").map(|kib| kib * 1024)
}

/// The processes that run now.
pub fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// How many processes have wanted a processor at a time, on average of the last minute.
pub fn load() -> Option<f64> {
    let averages = fs::read_to_string("/proc/loadavg").ok()?;
    averages.split_whitespace().next()?.parse().ok()
}

/// Whose child a process is.
pub fn parent(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    field(&status, "PPid:")?.parse().ok()
}

/// The environment that a process began with.
pub fn environment(id: u32) -> BTreeMap<String, String> {
    let octets = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    let text = String::from_utf8_lossy(&octets).into_owned();
    text.split('\0')
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
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
    fn this_process_has_memory_a_parent_and_an_environment_on_a_machine_with_a_load() {
        let here = std::process::id();

        assert!(all().contains(&here));
        assert!(peak(here).unwrap() >= resident(here).unwrap() / 2);
        assert!(load().is_some());
        assert_eq!(parent(here), Some(std::os::unix::process::parent_id()));
        assert!(environment(here).contains_key("PATH"));
    }
}

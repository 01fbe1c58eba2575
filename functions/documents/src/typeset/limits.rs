//! What the operating system allows the child: set by itself, before it reads anything.

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};

/// Octets of address space. A report of two hundred pages needs two thirds of it; much of that the allocator and
/// the threads only reserve. It is less than the function's memory, so that the child dies and not both.
const ADDRESS_SPACE: u64 = 1024 * 1024 * 1024;

/// Open files: the three pipes and some room.
const OPEN_FILES: u64 = 16;

/// Seconds of processor time that one document may take, all threads together.
const CPU_SECONDS: u64 = 20;

/// Octets of memory that a child may hold and still be kept; an invoice needs a third of it.
const OUTGROWN: u64 = 96 * 1024 * 1024;

/// Limits that hold for the whole life of the process and cannot be raised again: memory, no core file,
/// no file written, few files open.
///
/// # Errors
/// If the system refuses a limit; the process must then not go on.
pub fn restrict() -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_AS, ADDRESS_SPACE, ADDRESS_SPACE)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES)
}

/// Allows the next document its processor time, counted from now: the system counts from the start of
/// the process and ends it (`SIGXCPU`) when the sum is used up.
///
/// # Errors
/// If the system refuses.
pub(super) fn restrict_cpu() -> Result<(), Errno> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = usage.user_time().tv_sec() + usage.system_time().tv_sec() + 2;
    let until = u64::try_from(used).unwrap_or(0) + CPU_SECONDS;
    let (_, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_CPU)?;
    setrlimit(Resource::RLIMIT_CPU, until.min(hard), hard)
}

/// Whether the process holds more memory than a child should keep.
///
/// The peak that getrusage(2) knows will not do: it begins with that of the parent, before exec(2).
///
/// # Errors
/// If the system does not say.
pub(super) fn has_outgrown() -> io::Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    Ok(resident_kib(&status).is_some_and(|kib| kib * 1024 > OUTGROWN))
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_what_the_kernel_writes() {
        assert_eq!(
            resident_kib("Name:\tx\nVmHWM:\t   34076 kB\nVmRSS:\t   33872 kB\n"),
            Some(33_872)
        );
        assert_eq!(resident_kib("Name:\tx\n"), None);
    }
}

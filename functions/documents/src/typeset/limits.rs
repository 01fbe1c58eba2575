//! What the operating system allows the child: set by itself, before it reads anything.

use nix::errno::Errno;
use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};

/// Octets of address space. A large report needs a tenth of it; the rest is what the allocator and the
/// threads reserve and never touch.
const ADDRESS_SPACE: u64 = 2 * 1024 * 1024 * 1024;

/// Open files: the three pipes and some room.
const OPEN_FILES: u64 = 16;

/// Seconds of processor time that one document may take.
const CPU_SECONDS: u64 = 10;

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
pub fn restrict_cpu() -> Result<(), Errno> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = usage.user_time().tv_sec() + usage.system_time().tv_sec() + 2;
    let until = u64::try_from(used).unwrap_or(0) + CPU_SECONDS;
    let (_, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_CPU)?;
    setrlimit(Resource::RLIMIT_CPU, until.min(hard), hard)
}

//! Kills the processes of documents-worker, and of those only the ones that this bench's own cloud has started.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fleet::{
    Failure, Outcome, console::note, emulator::Emulator, failure::While, layout::Layout,
    outputs::Outputs,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::process;

/// Milliseconds from one kill to the next.
const PAUSE: std::ops::Range<u64> = 1_000..4_000;

/// How soon it is noticed that nobody is to be killed any more.
const LOOK: Duration = Duration::from_millis(50);

/// What was killed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kills {
    workers: usize,
    children: usize,
}

impl fmt::Display for Kills {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, children } = self;
        write!(
            out,
            "{workers} workers killed with the child that each had, and {children} children alone"
        )
    }
}

/// Who kills, until told otherwise.
pub struct Killer {
    /// How many more.
    left: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<Kills>,
}

impl Killer {
    /// Begins.
    pub fn begin(layout: &Layout, random: fastrand::Rng) -> Outcome<Self> {
        let victims = Victims {
            emulator: u32::try_from(Emulator::require(layout)?.pid)
                .during("reading the emulator's process id")?,
            function: Outputs::read(&layout.outputs())?
                .functions
                .get("documents-worker")
                .ok_or_else(|| Failure::new("this cloud has no documents-worker"))?
                .clone(),
        };
        let (left, over) = (
            Arc::new(AtomicUsize::new(usize::MAX)),
            Arc::<AtomicBool>::default(),
        );
        let (more, until) = (Arc::clone(&left), Arc::clone(&over));
        let thread = thread::spawn(move || rage(&victims, random, &more, &until));
        Ok(Self { left, over, thread })
    }

    /// Lets at most so many be killed from now on; what is asked first holds.
    pub fn calm(&self, most: usize) {
        let limit = |left| (left > usize::MAX / 2).then_some(most);
        let _only_once = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, limit);
    }

    /// Ends.
    pub fn end(self) -> Kills {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn rage(
    victims: &Victims,
    mut random: fastrand::Rng,
    left: &AtomicUsize,
    over: &AtomicBool,
) -> Kills {
    let mut kills = Kills::default();
    loop {
        let next = Instant::now() + Duration::from_millis(random.u64(PAUSE));
        while Instant::now() < next {
            if over.load(Ordering::Relaxed) {
                return kills;
            }
            thread::sleep(LOOK);
        }
        let one_less = |left: usize| left.checked_sub(1);
        if left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
        {
            victims.kill_one(&mut random, &mut kills);
        }
    }
}

/// Whom to look for.
struct Victims {
    emulator: u32,
    /// The function's name.
    function: String,
}

impl Victims {
    /// Kills a worker with its child, or a child alone, each of them as likely as any other.
    fn kill_one(&self, random: &mut fastrand::Rng, kills: &mut Kills) {
        let processes = process::all();
        let children_of = |parent: u32| -> Vec<u32> {
            let all = processes.iter().copied();
            all.filter(|id| process::parent(*id) == Some(parent))
                .collect()
        };
        let mut workers = children_of(self.emulator);
        workers.retain(|id| self.is_worker(*id));
        let each = workers.iter().map(|worker| (*worker, children_of(*worker)));
        // Whose parent has died is nobody's child, so that they are found before.
        let families: Vec<(u32, Vec<u32>)> = each.collect();
        let children = families.iter().flat_map(|(_, children)| children);
        let alone: Vec<u32> = children.copied().collect();
        match random.usize(..(families.len() + alone.len()).max(1)) {
            chosen if chosen < families.len() => {
                let (worker, children) = &families[chosen];
                put_down("worker", *worker);
                for child in children {
                    put_down("its child", *child);
                }
                kills.workers += 1;
            }
            chosen => {
                if let Some(child) = alone.get(chosen - families.len()) {
                    put_down("child", *child);
                    kills.children += 1;
                }
            }
        }
    }

    fn is_worker(&self, id: u32) -> bool {
        let environment = process::environment(id);
        environment.get("AWS_LAMBDA_FUNCTION_NAME") == Some(&self.function)
    }
}

fn put_down(what: &str, id: u32) {
    if let Ok(pid) = i32::try_from(id) {
        let _already_gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        note(format_args!("{:>10}  {what} {id}", "killed"));
    }
}

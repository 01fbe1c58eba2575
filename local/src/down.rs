//! `fleet down`: stops the local cloud; no process and no port is left.

use crate::{
    console::{Step, note},
    emulator::Emulator,
    failure::Outcome,
    layout::Layout,
    model::keeper,
    port,
};

/// Runs the command. State stays for the next `up`.
pub fn run() -> Outcome {
    let layout = Layout::developer();
    keeper::stop(&layout)?;
    let Some(emulator) = Emulator::running(&layout) else {
        note(format_args!(
            "{:>10}  the local cloud is not running",
            "down"
        ));
        return Ok(());
    };
    let step = Step::start("down", "saving the state and stopping");
    emulator.stop(&layout)?;
    port::require_free(emulator.port)?;
    step.done("stopped; the state is kept");
    Ok(())
}

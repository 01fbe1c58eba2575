//! A cloud for as long as one piece of work takes: begun with empty stores on a free port, stopped afterwards.

use std::process::Child;

use crate::{
    bring,
    console::Step,
    deploy::{self, Deployment},
    emulator::Emulator,
    failure::{Outcome, While},
    layout::Layout,
    model::keeper,
    port, up,
};

/// Does the work while the cloud of this layout answers. One that an earlier run left behind is stopped first.
pub async fn within(layout: &Layout, work: impl AsyncFnOnce() -> Outcome) -> Outcome {
    keeper::stop(layout)?;
    if let Some(left) = Emulator::running(layout) {
        left.stop(layout)?;
    }
    deploy::forget(layout)?;
    let (emulator, mut child) = up::start_emulator(layout, port::any_free()?)?;
    let done = match bring::bring(layout, &Deployment::fleet(layout), &emulator).await {
        Ok(_outputs) => work().await,
        Err(failure) => Err(failure),
    };
    stop(layout, &emulator, &mut child)?;
    done
}

fn stop(layout: &Layout, emulator: &Emulator, child: &mut Child) -> Outcome {
    let step = Step::start("down", "stopping the passing cloud");
    keeper::stop(layout)?;
    emulator.stop(layout)?;
    child.wait().during("waiting for the emulator")?;
    step.done("stopped");
    Ok(())
}

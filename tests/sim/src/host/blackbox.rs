use moorline_core::blackbox::Recording;

use crate::world::World;

impl World {
    /// Runs a process's black box again when the process ends: it must do what the process did.
    pub(crate) fn check_blackbox(&mut self, index: usize) {
        if self.bugs.is_planted() {
            // A recording knows nothing of them.
            return;
        }
        let Some(process) = &self.clients[index].process else { return };
        let done = Recording::read(&process.core.blackbox()).and_then(|recording| {
            let is_whole = recording.lost() == 0;
            Ok(!is_whole || recording.run(|_| ())? == recording.hash())
        });
        match done {
            Ok(true) => {}
            Ok(false) => self.violate(16, format!("client {index}: its black box does something else")),
            Err(error) => self.violate(16, format!("client {index}: its black box: {error}")),
        }
    }
}

//! What befalls a client's device: it stands still, sleeps, is told things, dies.

use moorline_core::{HostSignal, Input};

use crate::network::Item;
use crate::world::{Happening, World};

impl World {
    pub(crate) fn freeze(&mut self, index: usize, ms: u64) {
        let until = self.now + ms * 1000;
        let life = self.clients[index].life;
        if let Some(process) = &mut self.clients[index].process {
            process.frozen_until = process.frozen_until.max(until);
            self.at(until, Happening::ClientThaw { client: index, life });
        }
    }

    /// A process goes on: everything that waited arrives at once.
    pub(crate) fn thaw(&mut self, index: usize, life: u32) {
        if self.clients[index].life != life || self.is_frozen(index) {
            return;
        }
        for link in 0..self.links.len() {
            if self.links[link].client == index && self.links[link].client_life == life {
                self.link_down(link);
            }
        }
        self.client_timer(index, life);
    }

    pub(crate) fn sleep(&mut self, index: usize, ms: u64) {
        // The world's clock goes on for all, so a sleep is a freeze whose timers the device does not count; the jump
        // is what the core sees.
        self.black_hole(index, ms.min(60_000), false);
        self.clients[index].slept_us += ms * 1000;
        let life = self.clients[index].life;
        self.client_timer(index, life);
    }

    pub(crate) fn signal(&mut self, index: usize, which: u8) {
        if self.is_frozen(index) {
            return;
        }
        let signal = match which {
            0 => HostSignal::Online,
            1 => HostSignal::Offline,
            2 => HostSignal::Foreground,
            3 => HostSignal::Background,
            _ => HostSignal::Wake,
        };
        self.input(index, Input::Host(signal));
    }

    pub(crate) fn fail_store(&mut self, index: usize) {
        self.clients[index].store_fails = true;
    }

    pub(crate) fn kill_client(&mut self, index: usize, down_ms: u64) {
        let Some(process) = self.clients[index].process.take() else { return };
        for message in process.publishes.into_values() {
            self.history.orphan(&message);
        }
        for link in 0..self.links.len() {
            if self.links[link].client == index && !self.links[link].client_done {
                self.links[link].client_done = true;
                self.transmit(link, true, Item::Close(None));
            }
        }
        self.after(down_ms * 1000, Happening::ClientStart { client: index });
    }
}

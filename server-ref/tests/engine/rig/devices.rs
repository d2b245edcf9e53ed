//! Devices: how they connect, come back and go.

use moorline_protocol::{ProducerGrant, ProducerId, ProducerRequest, ProducerState, Run};
use moorline_server::engine::{Attach, Attached, Command, Completion, Gone, Owner, SessionId, ShardId};

use super::{HERE, Rig, owner};

/// A device that is connected, and its producer.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) owner: Owner,
    pub(crate) session: SessionId,
    pub(crate) run: Run,
    pub(crate) producer: ProducerGrant,
}

impl Rig {
    /// Returns a device that is connected and has a producer.
    pub(crate) fn device(&mut self, name: &'static str) -> Device {
        if let Some(device) = self.devices.get(name) {
            return device.clone();
        }
        let grant = ProducerGrant { id: ProducerId(0), generation: 0, state: ProducerState::New };
        let device = Device { owner: owner(name), session: SessionId(0), run: Run::default(), producer: grant };
        self.reconnect(name, device)
    }

    /// Connects a device again.
    pub(crate) fn reconnect(&mut self, name: &'static str, device: Device) -> Device {
        let request = match device.producer.id {
            ProducerId(0) => ProducerRequest::New,
            id => ProducerRequest::Resume(id),
        };
        let run = Run { boot: 1, transport: device.run.transport + 1 };
        let attach = Attach { producer: Some(request), run, ..self.hello(&device.owner) };
        let session = attach.session;
        let Attached::Accepted { producer: Some(producer) } = self.attach(attach) else { panic!("not accepted") };
        let device = Device { session, run, producer, ..device };
        self.devices.insert(name, device.clone());
        device
    }

    /// The device's connection ends.
    pub(crate) fn disconnect(&mut self, name: &'static str) -> Device {
        let device = self.devices.remove(name).unwrap();
        self.tell(HERE, Command::Detach(device.session, Gone::Left));
        device
    }

    /// Returns an attachment as a device would ask for it, without a producer.
    pub(crate) fn hello(&mut self, owner: &Owner) -> Attach {
        self.sessions += 1;
        Attach {
            session: SessionId(self.sessions),
            app: owner.app.clone(),
            user: Some(owner.user.clone()),
            device: Some(owner.device.clone()),
            run: Run { boot: 1, transport: self.sessions },
            producer: None,
            max_connections: 20,
            token_id: None,
            token_issued: None,
        }
    }

    pub(crate) fn attach(&mut self, attach: Attach) -> Attached {
        self.attach_from(HERE, attach)
    }

    pub(crate) fn attach_from(&mut self, shard: ShardId, attach: Attach) -> Attached {
        match self.ask_from(shard, Command::Attach(attach)) {
            Ok(Completion::Attached(attached)) => attached,
            other => panic!("not an answer to an attach: {other:?}"),
        }
    }
}

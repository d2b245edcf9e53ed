use std::pin::Pin;
use std::sync::Arc;

use moorline::{
    Connection, Error, Event, LogLine, MembersChange, OutboxStats, Reader, Readers, ReceiptState, ReceiptStates,
    Statuses,
};

use crate::convert;
use crate::error::FfiError;
use crate::live::{Counted, READERS};
use crate::records::{FfiBatch, FfiEvent, FfiItem};

/// What happens again and again, pulled in batches of at most 64 items or 256 KiB.
///
/// A batch is leased: until a later call names the number of its last item, the next one returns it again. So a wait can be
/// broken off at any moment, and nothing is lost.
#[derive(uniffi::Object)]
pub struct FfiReader {
    source: Box<dyn Source>,
    /// The handle it reads for: as long as somebody reads, the channel is not left.
    _handle: Option<Arc<Readers>>,
    _counted: Counted,
}

#[uniffi::export]
impl FfiReader {
    /// Confirms everything up to `taken`, the number of the last item that the app is done with (0 before the first), and
    /// waits for more: at most `max` items. `None` at the end: the channel was left, the client closed, or this reader
    /// cancelled. One wait at a time.
    pub async fn next(&self, taken: u64, max: u32) -> Result<Option<FfiBatch>, FfiError> {
        Ok(self.source.next(taken, max as usize).await?.map(|items| FfiBatch { items }))
    }

    /// Confirms everything up to `taken` without waiting: with automatic acknowledgement it does not come again, whatever
    /// happens to this process.
    pub fn confirm(&self, taken: u64) {
        self.source.confirm(taken);
    }

    /// Ends this reader; a wait ends at once, with `None`. `taken` is the number of the last item that was handed to the app;
    /// the next reader of the same handle begins after it. From any thread; calling it again does nothing.
    pub fn cancel(&self, taken: u64) {
        self.source.cancel(taken);
    }
}

impl FfiReader {
    pub(crate) fn new(source: impl Source + 'static) -> Arc<Self> {
        Arc::new(Self { source: Box::new(source), _handle: None, _counted: Counted::new(&READERS) })
    }

    /// Makes one that reads for a handle on a channel.
    pub(crate) fn of(source: impl Source + 'static, handle: &Arc<Readers>) -> Arc<Self> {
        let handle = Some(Arc::clone(handle));
        Arc::new(Self { source: Box::new(source), _handle: handle, _counted: Counted::new(&READERS) })
    }
}

type Next<'a> = Pin<Box<dyn Future<Output = Result<Option<Vec<FfiItem>>, Error>> + Send + 'a>>;

/// A reader of one kind of items.
pub(crate) trait Source: Send + Sync {
    fn next(&self, taken: u64, max: usize) -> Next<'_>;
    fn confirm(&self, taken: u64);
    fn cancel(&self, taken: u64);
}

macro_rules! source {
    ($reader:ty, $convert:expr) => {
        impl Source for $reader {
            fn next(&self, taken: u64, max: usize) -> Next<'_> {
                Box::pin(
                    async move { Ok(<$reader>::next(self, taken, max).await?.map(|items| convert(items, $convert))) },
                )
            }

            fn confirm(&self, taken: u64) {
                <$reader>::confirm(self, taken);
            }

            fn cancel(&self, taken: u64) {
                <$reader>::cancel(self, taken);
            }
        }
    };
}

source!(Reader<Event>, convert::event);
source!(Reader<MembersChange>, |change| Some(FfiEvent::from(change)));
source!(Reader<Statuses>, |statuses| Some(FfiEvent::from(statuses)));
source!(Reader<Connection>, |connection| Some(FfiEvent::Connection { connection: connection.into() }));
source!(Reader<OutboxStats>, |outbox| Some(FfiEvent::Outbox { outbox: outbox.into() }));
source!(Reader<LogLine>, |line| Some(FfiEvent::from(line)));
source!(ReceiptStates, |state: ReceiptState| Some(FfiEvent::Receipt { state: state.into() }));

fn convert<T>(items: Vec<(u64, T)>, one: impl Fn(T) -> Option<FfiEvent>) -> Vec<FfiItem> {
    items.into_iter().filter_map(|(number, item)| Some(FfiItem { number, event: one(item)? })).collect()
}

//! Whether the threads that serve clients still do.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::shard::Question;

/// Asks every shard whether it goes on: what a watchdog wants to know.
#[derive(Clone)]
pub struct Pulse {
    shards: Vec<mpsc::Sender<Question>>,
}

impl Pulse {
    pub(crate) fn new(shards: Vec<mpsc::Sender<Question>>) -> Self {
        Self { shards }
    }

    /// Tells whether every shard answers within this time. One that hangs does not, and neither does one that has stopped.
    pub async fn beats(&self, within: Duration) -> bool {
        let all = async {
            let mut asked = Vec::new();
            for shard in &self.shards {
                let (ask, answer) = oneshot::channel();
                if shard.send(Question::Numbers(ask)).await.is_err() {
                    return false;
                }
                asked.push(answer);
            }
            for answer in asked {
                if answer.await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(within, all).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn a_shard_that_hangs_or_is_gone_is_noticed() {
        block_on(async {
            let (ask, mut asked) = mpsc::channel::<Question>(1);
            let pulse = Pulse::new(vec![ask]);
            let (beats, ()) = tokio::join!(pulse.beats(Duration::from_secs(60)), async {
                let Some(Question::Numbers(answer)) = asked.recv().await else {
                    panic!("a shard is asked for its numbers")
                };
                answer.send(BTreeMap::new()).unwrap();
            });
            assert!(beats);
            assert!(!pulse.beats(Duration::from_millis(10)).await, "one that takes the question and says nothing");
            assert!(!pulse.beats(Duration::from_millis(10)).await, "one that takes no questions any more");
            drop(asked);
            assert!(!pulse.beats(Duration::from_millis(10)).await);
        });
    }
}

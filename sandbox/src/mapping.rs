//! What invokes the function beside HTTP: the queue's event source mapping, and the schedule.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};

use crate::{
    aws::{lambda_runtime::RuntimeApi, sqs::Sqs},
    function::tick,
    mock::MockServer,
};

/// How often the queue is asked for messages.
const POLL: Duration = Duration::from_millis(10);
/// How often the schedule ticks, as in the template.
const TICK: Duration = Duration::from_secs(60);
/// How long the queue may take to become empty.
const DRAINED: Duration = Duration::from_secs(20);

/// Hands each message of a queue to a function, one at a time. Ends when dropped.
pub struct Mapping {
    queue: MockServer<Sqs>,
    in_flight: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Mapping {
    /// Starts to deliver.
    pub fn start(queue: MockServer<Sqs>, function: RuntimeApi) -> Self {
        let in_flight = Arc::new(AtomicUsize::new(0));
        let (messages, working) = (queue.clone(), in_flight.clone());
        let task = tokio::spawn(async move {
            loop {
                let receive = |queue: &mut Sqs| queue.receive().inspect(|_| _ = working.fetch_add(1, Ordering::SeqCst));
                let Some(message) = messages.with(receive) else {
                    sleep(POLL).await;
                    continue;
                };
                // A message whose function crashed is a dead letter; the tick finds its departure.
                let _ = function.invoke(format!("message-{}", message.id), message.event()).await;
                working.fetch_sub(1, Ordering::SeqCst);
            }
        });
        Self { queue, in_flight, task }
    }

    /// Ends the delays of all messages, as if the time had passed, and waits until none is left.
    pub async fn drain(&self) -> Result<(), String> {
        self.queue.with(Sqs::end_delays);
        let is_idle = || self.queue.with(|queue| queue.is_idle() && self.in_flight.load(Ordering::SeqCst) == 0);
        let idle = async {
            while !is_idle() {
                sleep(POLL).await;
            }
        };
        tokio::time::timeout(DRAINED, idle).await.map_err(|_| "the queue does not become empty".to_owned())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ticks every minute, for ever.
pub async fn schedule(function: RuntimeApi) {
    loop {
        sleep(TICK).await;
        // A tick that failed is in the function's log; the next one does the same work.
        let _ = tick(&function).await;
    }
}

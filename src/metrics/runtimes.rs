//! How busy the threads are, as tokio counts it: read when Prometheus asks, and at no other time.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, IntGaugeVec};
use tokio::runtime::{Handle, RuntimeMetrics};

use super::{gauges, opts, valid};

/// The runtimes of this gateway: one for each thread that serves visitors, and `main` for everything else.
#[derive(Clone, Debug)]
pub struct Runtimes {
    watched: Arc<Mutex<Vec<(String, RuntimeMetrics)>>>,
    workers: IntGaugeVec,
    tasks: IntGaugeVec,
    depth: IntGaugeVec,
    busy: CounterVec,
}

impl Runtimes {
    pub(super) fn new() -> Self {
        let busy = opts("runtime_busy_seconds_total", "Seconds in which the threads of a runtime had work to do");
        Self {
            watched: Arc::default(),
            workers: gauges("runtime_workers", "Threads of a runtime", &["runtime"]),
            tasks: gauges("runtime_tasks", "Tasks of a runtime that have not ended", &["runtime"]),
            depth: gauges("runtime_queue_depth", "Tasks that wait for a thread of the runtime", &["runtime"]),
            busy: valid(CounterVec::new(busy, &["runtime"])),
        }
    }

    /// Shows a runtime from now on.
    pub fn watch(&self, name: impl Into<String>, runtime: &Handle) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.push((name.into(), runtime.metrics()));
    }

    fn read(&self) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, runtime) in watched.iter() {
            let label = [name.as_str()];
            self.workers.with_label_values(&label).set(runtime.num_workers() as i64);
            self.tasks.with_label_values(&label).set(runtime.num_alive_tasks() as i64);
            self.depth.with_label_values(&label).set(runtime.global_queue_depth() as i64);
            let workers = 0..runtime.num_workers();
            let busy_s: f64 = workers.map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum();
            let counted = self.busy.with_label_values(&label);
            counted.inc_by((busy_s - counted.get()).max(0.0));
        }
    }

    fn parts(&self) -> [&dyn Collector; 4] {
        [&self.workers, &self.tasks, &self.depth, &self.busy]
    }
}

impl Collector for Runtimes {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        self.parts().into_iter().flat_map(Collector::collect).collect()
    }
}

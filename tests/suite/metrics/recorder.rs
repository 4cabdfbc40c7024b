//! An exporter that keeps everything.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, LocalRecorderGuard,
    Metadata, SharedString, Unit,
};

/// A name with its labels, and what was told under it.
type Series = Arc<Mutex<BTreeMap<String, Told>>>;

#[derive(Debug, Default, Clone)]
struct Told {
    counted: u64,
    level: f64,
    values: Vec<f64>,
}

/// What this thread tells is kept here.
#[derive(Clone, Default)]
pub(super) struct Recorder(Series);

/// One series of it.
struct One {
    all: Series,
    key: String,
}

fn name(name: &str, labels: &[(&str, &str)]) -> String {
    let mut labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    labels.sort();
    format!("{name}{{{}}}", labels.join(","))
}

impl Recorder {
    /// The recorder of this thread, and so of a test's runtime, until the guard goes.
    pub(super) fn install() -> (Self, LocalRecorderGuard<'static>) {
        let recorder = Self::default();
        let local: &'static Self = Box::leak(Box::new(recorder.clone()));
        (recorder, metrics::set_default_local_recorder(local))
    }

    fn told(&self, key: &str) -> Told {
        self.0.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    pub(super) fn counter(&self, metric: &str, labels: &[(&str, &str)]) -> u64 {
        self.told(&name(metric, labels)).counted
    }

    pub(super) fn gauge(&self, metric: &str) -> f64 {
        self.told(&name(metric, &[])).level
    }

    pub(super) fn histogram(&self, metric: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        self.told(&name(metric, labels)).values
    }

    /// All names with their labels.
    pub(super) fn labels(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    pub(super) fn series(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn one(&self, key: &Key) -> Arc<One> {
        let labels: Vec<_> = key.labels().map(|l| (l.key(), l.value())).collect();
        Arc::new(One {
            all: self.0.clone(),
            key: name(key.name(), &labels),
        })
    }
}

impl One {
    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(
            self.all
                .lock()
                .unwrap()
                .entry(self.key.clone())
                .or_default(),
        );
    }
}

impl CounterFn for One {
    fn increment(&self, by: u64) {
        self.tell(|told| told.counted += by);
    }

    fn absolute(&self, value: u64) {
        self.tell(|told| told.counted = value);
    }
}

impl GaugeFn for One {
    fn increment(&self, by: f64) {
        self.tell(|told| told.level += by);
    }

    fn decrement(&self, by: f64) {
        self.tell(|told| told.level -= by);
    }

    fn set(&self, value: f64) {
        self.tell(|told| told.level = value);
    }
}

impl HistogramFn for One {
    fn record(&self, value: f64) {
        self.tell(|told| told.values.push(value));
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.one(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}

//! The tables, and what was to come out of them.

use std::io::{self, Write as _};

use crate::{
    cores::Cores,
    flags::Flags,
    measure::{Measured, Sample},
    subjects::{Bound, Goal, Of, Subject, To},
};

pub(crate) fn heading(flags: &Flags, cores: Option<Cores>, redis_version: &str) -> io::Result<()> {
    let pinning = match cores {
        Some(cores) => cores.to_string(),
        None => format!("nothing pinned on {} cores", available_cores()),
    };
    writeln!(
        io::stdout(),
        "{}Redis {redis_version}; {pinning}; {} connections; medians of {} rounds of {:?}",
        cpu_model(),
        flags.connections,
        flags.rounds(),
        flags.duration(),
    )
}

pub(crate) fn table(subject: &Subject, all: &[Measured]) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let base = find(all, subject.base);
    writeln!(out, "\n{}: {}", subject.name, subject.about)?;
    if base.is_some() {
        writeln!(
            out,
            "×: requests/s and server CPU to those of {}",
            subject.base
        )?;
    }
    writeln!(
        out,
        "\n{:30}{:>9}{:>7}{:>10}{:>7}{:>10}{:>11}{:>8}{:>8}{:>7}  Redis commands a request",
        "", "req/s", "×", "server µs", "×", "Redis µs", "script µs", "p50 µs", "p99 µs", "trips"
    )?;
    for measured in all {
        let median = |of: fn(&Sample) -> f64| median(measured.samples.iter().map(of).collect());
        let against = |of| match base {
            Some(base) => format!("{:.2}", self::median(each(measured, base, of, ratio))),
            None => String::new(),
        };
        let commands: Vec<_> = (measured.commands.iter())
            .map(|(name, calls)| match *calls {
                1.0 => name.clone(),
                calls => format!("{calls} {name}"),
            })
            .collect();
        let scripts = values(measured, Of::Script);
        writeln!(
            out,
            "{:30}{:>9.0}{:>7}{:>10.1}{:>7}{:>10.1}{:>11}{:>8.0}{:>8.0}{:>7}  {}{}",
            measured.name,
            median(|sample| sample.requests_per_second),
            against(Of::Requests),
            median(|sample| sample.server_cpu),
            against(Of::ServerCpu),
            median(|sample| sample.redis_cpu),
            match scripts.is_empty() {
                true => String::new(),
                false => format!("{:.1}", self::median(scripts)),
            },
            median(|sample| sample.p50.as_secs_f64() * 1e6),
            median(|sample| sample.p99.as_secs_f64() * 1e6),
            measured.trips,
            commands.join(", "),
            if measured.went_without_redis() {
                " +"
            } else {
                ""
            },
        )?;
    }
    writeln!(out)?;
    for goal in subject.goals {
        if let Some(line) = line(goal, all) {
            writeln!(out, "{line}")?;
        }
    }
    if all.iter().any(Measured::went_without_redis) {
        writeln!(out, "+ asked Redis less often under load: do not trust it")?;
    }
    Ok(())
}

/// What became of a goal; `None` where one of its servers was not measured.
fn line(goal: &Goal, all: &[Measured]) -> Option<String> {
    let server = find(all, goal.server)?;
    let (what, values) = match goal.to {
        To::Itself => (String::new(), values(server, goal.of)),
        To::Ratio(other) => (
            format!(" / {other}"),
            each(server, find(all, other)?, goal.of, ratio),
        ),
        To::Excess(other, parts) => {
            let excess = |of, other| (of - other) / f64::from(parts);
            let what = match parts {
                1 => format!(" - {other}"),
                parts => format!(" - {other}, / {parts}"),
            };
            (what, each(server, find(all, other)?, goal.of, excess))
        }
    };
    let of = match goal.of {
        Of::Requests => "requests/s",
        Of::ServerCpu => "server µs",
        Of::Script => "script µs",
    };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let middle = median(values);
    let (met, bound) = match goal.bound {
        Bound::AtLeast(bound) => (middle >= bound, format!("at least {bound}")),
        Bound::AtMost(bound) => (middle <= bound, format!("at most {bound}")),
    };
    let met = if met { "met" } else { "MISSED" };
    let name = goal.server;
    Some(format!(
        "{of} of {name}{what}: {middle:.2} ({least:.2} to {most:.2}), to be {bound}: {met}"
    ))
}

fn find<'a>(all: &'a [Measured], name: &str) -> Option<&'a Measured> {
    all.iter().find(|measured| measured.name == name)
}

fn values(measured: &Measured, of: Of) -> Vec<f64> {
    let value = |sample: &Sample| match of {
        Of::Requests => Some(sample.requests_per_second),
        Of::ServerCpu => Some(sample.server_cpu),
        Of::Script => sample.script,
    };
    measured.samples.iter().filter_map(value).collect()
}

/// Compares the two within each round, so that a noisy neighbour hits both sides.
fn each(
    measured: &Measured,
    other: &Measured,
    of: Of,
    compare: impl Fn(f64, f64) -> f64,
) -> Vec<f64> {
    let pairs = values(measured, of).into_iter().zip(values(other, of));
    pairs.map(|(a, b)| compare(a, b)).collect()
}

fn ratio(of: f64, other: f64) -> f64 {
    of / other
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => f64::NAN,
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (name, model) = line.split_once(':')?;
        (name.trim() == "model name").then(|| format!("{}, ", model.trim()))
    });
    model.unwrap_or_default()
}

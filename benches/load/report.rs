//! The tables.

use std::io::{self, Write};

use crate::{
    contender::{Contender, Way, Work},
    flags::Flags,
    measure::{Measured, Sample},
};

pub(crate) fn print(flags: &Flags, redis_version: &str, all: &[Measured]) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    writeln!(
        out,
        "\n{cores} cores, {}Redis {redis_version}; {} connections, medians of {} rounds of {:?}\n",
        cpu_model(),
        flags.connections,
        flags.rounds(),
        flags.duration(),
    )?;
    table(out, all)?;
    ratios(out, all)
}

fn table(out: &mut impl Write, all: &[Measured]) -> io::Result<()> {
    writeln!(
        out,
        "{:20}{:>9}{:>10}{:>10}{:>11}{:>10}{:>7}   Redis commands a request",
        "", "req/s", "p50 µs", "p99 µs", "server µs", "Redis µs", "trips"
    )?;
    for measured in all {
        let median = |of: fn(&Sample) -> f64| median(measured.samples.iter().map(of).collect());
        let commands: Vec<_> = (measured.commands.iter())
            .map(|(name, calls)| match *calls {
                1.0 => name.clone(),
                calls => format!("{calls} {name}"),
            })
            .collect();
        writeln!(
            out,
            "{:20}{:>9.0}{:>10.0}{:>10.0}{:>11.1}{:>10.1}{:>7}   {}{}",
            measured.contender,
            median(|sample| sample.requests_per_second),
            median(|sample| sample.p50.as_secs_f64() * 1e6),
            median(|sample| sample.p99.as_secs_f64() * 1e6),
            median(|sample| sample.server_cpu),
            median(|sample| sample.redis_cpu),
            measured.trips,
            commands.join(", "),
            if measured.went_without_redis() {
                " +"
            } else {
                ""
            },
        )?;
    }
    Ok(())
}

fn ratios(out: &mut impl Write, all: &[Measured]) -> io::Result<()> {
    let find = |contender: Contender| all.iter().find(|m| m.contender == contender);
    writeln!(out)?;
    for ours in all.iter().filter(|m| m.contender.way == Way::Ours) {
        let target = |text| match ours.contender.work {
            Work::Limit => text,
            _ => "",
        };
        if let Some(naive) = find(ours.contender.peer(Way::Naive)) {
            let ratio = ratio(ours, naive, |sample| sample.requests_per_second);
            let target = target("   target: at least 1.8");
            writeln!(
                out,
                "{:14}requests/s  / naive   {ratio}{target}",
                ours.contender
            )?;
        }
        if let Some(shared) = find(ours.contender.peer(Way::Shared)) {
            let ratio = ratio(ours, shared, |sample| sample.server_cpu);
            let target = target("   target: at most 1.2");
            writeln!(
                out,
                "{:14}server CPU  / shared  {ratio}{target}",
                ours.contender
            )?;
        }
    }
    if all.iter().any(Measured::went_without_redis) {
        writeln!(
            out,
            "\n+ asked Redis less often under load: do not trust it"
        )?;
    }
    Ok(())
}

/// The median and the range of the ratios of each round.
fn ratio(ours: &Measured, peer: &Measured, of: fn(&Sample) -> f64) -> String {
    let pairs = ours.samples.iter().zip(&peer.samples);
    let ratios: Vec<_> = pairs.map(|(ours, peer)| of(ours) / of(peer)).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    format!("{:.2}  ({least:.2} to {most:.2})", median(ratios))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (name, model) = line.split_once(':')?;
        (name.trim() == "model name").then(|| format!("{}, ", model.trim()))
    });
    model.unwrap_or_default()
}

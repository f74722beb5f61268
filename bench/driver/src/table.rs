//! Medians, ratios of what was measured in the same round, and the table on standard output.

use crate::{
    measure::{Sample, count},
    options::Options,
};

/// One line of the table.
struct Figure {
    name: &'static str,
    decimals: usize,
    /// What one process took, for medians and ratios.
    value: fn(&Sample) -> Option<f64>,
    is_shown: fn(&Options) -> bool,
}

const MEBIBYTE: f64 = 1024.0 * 1024.0;

const FIGURES: &[Figure] = &[
    Figure { name: "init, secrets read, ms", decimals: 2, value: |s| Some(s.init), is_shown: |_| true },
    Figure { name: "cold to first answer, in all, ms", decimals: 1, value: |s| Some(s.cold), is_shown: |_| true },
    Figure { name: "cold to first answer, over the chain, ms", decimals: 2, value: |s| s.cold_over, is_shown: is_one },
    Figure { name: "warm, in all, p50, ms", decimals: 1, value: |s| percentile(&s.warm, 50.0), is_shown: |_| true },
    Figure {
        name: "warm, over the chain, p50, ms",
        decimals: 2,
        value: |s| percentile(&s.warm_over, 50.0),
        is_shown: is_one,
    },
    Figure { name: "CPU to first answer, ms", decimals: 1, value: |s| Some(s.cpu_cold), is_shown: |_| true },
    Figure { name: "CPU per warm delivery, ms", decimals: 2, value: |s| Some(s.cpu_warm), is_shown: |_| true },
    Figure { name: "peak memory, MiB", decimals: 1, value: |s| Some(mebibytes(s.memory_bytes)), is_shown: |_| true },
    Figure { name: "zip, MiB", decimals: 2, value: |s| s.zip_bytes.map(mebibytes), is_shown: |_| true },
    Figure {
        name: "connections, cold",
        decimals: 0,
        value: |s| Some(s.cold_counts.connections.into()),
        is_shown: |_| true,
    },
    Figure {
        name: "connections, warm",
        decimals: 0,
        value: |s| Some(s.warm_counts.connections.into()),
        is_shown: |_| true,
    },
    Figure {
        name: "full TLS handshakes, cold",
        decimals: 0,
        value: |s| Some(s.cold_counts.handshakes.into()),
        is_shown: |o| o.tls,
    },
    Figure {
        name: "calls of providers, cold",
        decimals: 0,
        value: |s| Some(count(s.cold_counts.calls)),
        is_shown: |_| true,
    },
    Figure {
        name: "calls of providers, warm",
        decimals: 0,
        value: |s| Some(count(s.warm_counts.calls)),
        is_shown: |_| true,
    },
    Figure {
        name: "calls of the ledger, warm",
        decimals: 0,
        value: |s| Some(count(s.warm_counts.ledger_calls)),
        is_shown: |o| o.ledger,
    },
    Figure {
        name: "of them in sequence",
        decimals: 0,
        value: |s| Some(count(s.warm_counts.ledger_sequence)),
        is_shown: |o| o.ledger,
    },
    Figure { name: "accounts that are left", decimals: 0, value: |s| Some(count(s.left)), is_shown: |_| true },
];

fn is_one(options: &Options) -> bool {
    options.batch == 1
}

/// The table of a run, and beside it the ratios of the first contestant to each other one.
pub(crate) fn table(options: &Options, samples: &[Sample]) -> String {
    let mut names: Vec<&str> = Vec::new();
    samples.iter().for_each(|sample| {
        if !names.contains(&sample.contestant.as_str()) {
            names.push(&sample.contestant);
        }
    });
    let mut head = vec![options.mode()];
    head.extend(names.iter().map(|name| (*name).to_owned()));
    head.extend(names.iter().skip(1).map(|name| format!("to {name}")));
    let mut rows = vec![head];
    for figure in FIGURES.iter().filter(|figure| (figure.is_shown)(options)) {
        let mut row = vec![figure.name.to_owned()];
        let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |it| format!("{it:.*}", figure.decimals));
        row.extend(names.iter().map(|name| shown(median(values(samples, name, figure.value)))));
        row.extend(names.iter().skip(1).map(|name| shown_ratio(ratio(samples, names[0], name, figure.value))));
        rows.push(row);
    }
    if is_one(options) {
        let p99 = |name: &str| {
            let all: Vec<_> =
                samples.iter().filter(|sample| sample.contestant == name).flat_map(|s| s.warm_over.clone()).collect();
            percentile(&all, 99.0).map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
        };
        let mut row = vec!["warm, over the chain, p99 of all, ms".to_owned()];
        row.extend(names.iter().map(|name| p99(name)));
        row.resize(rows[0].len(), String::new());
        let after = rows.iter().position(|row| row[0].starts_with("warm, over")).unwrap_or(0);
        rows.insert(after + 1, row);
    }
    aligned(&rows)
}

pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = |(column, width): (usize, &usize)| match column {
        0 => "-".repeat(*width),
        _ => format!("{}:", "-".repeat(width.saturating_sub(1))),
    };
    let rule = widths.iter().enumerate().map(rule).collect::<Vec<_>>().join(" | ");
    let mut lines = rows.iter().map(line);
    let head = lines.next().unwrap_or_default();
    format!("{head}| {rule} |\n{}", lines.collect::<String>())
}

fn values(samples: &[Sample], name: &str, value: fn(&Sample) -> Option<f64>) -> Vec<f64> {
    samples.iter().filter(|sample| sample.contestant == name).filter_map(value).collect()
}

/// The median over rounds of what one contestant took in proportion to another in the same round.
pub(crate) fn ratio(samples: &[Sample], one: &str, other: &str, value: fn(&Sample) -> Option<f64>) -> Option<f64> {
    let in_round = |name: &str, round| {
        samples.iter().find(|sample| sample.contestant == name && sample.round == round).and_then(value)
    };
    let rounds = samples.iter().map(|sample| sample.round).max().unwrap_or(0);
    let ratios = (0..=rounds).filter_map(|round| match (in_round(one, round), in_round(other, round)) {
        (Some(one), Some(other)) if other > 0.0 => Some(one / other),
        _ => None,
    });
    median(ratios.collect())
}

fn shown_ratio(ratio: Option<f64>) -> String {
    match ratio {
        None => String::new(),
        Some(ratio) if ratio <= 0.0 => "–".to_owned(),
        Some(ratio) if ratio < 0.5 => format!("1/{:.1}", 1.0 / ratio),
        Some(ratio) => format!("{ratio:.2}"),
    }
}

pub(crate) fn median(values: Vec<f64>) -> Option<f64> {
    percentile(&values, 50.0)
}

/// The value below which this part of the values lies: the nearest rank, and for the median of an even number the mean.
pub(crate) fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = count(last) * percent / 100.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (at - at.floor()))
}

#[expect(clippy::cast_precision_loss, reason = "sizes of a few megabytes")]
pub(crate) fn mebibytes(number: u64) -> f64 {
    number as f64 / MEBIBYTE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Counts;

    fn sample(contestant: &str, round: usize, init: f64) -> Sample {
        Sample {
            mode: "plain".to_owned(),
            round,
            contestant: contestant.to_owned(),
            init,
            cold: 0.0,
            first: 0.0,
            cold_over: None,
            warm: Vec::new(),
            warm_over: Vec::new(),
            cpu_init: 0.0,
            cpu_cold: 0.0,
            cpu_warm: 0.0,
            memory_bytes: 0,
            zip_bytes: None,
            cold_counts: Counts::default(),
            warm_counts: Counts::default(),
            left: 0,
        }
    }

    #[test]
    fn percentile_lies_between_the_nearest_values() {
        let values = [4.0, 1.0, 3.0, 2.0];
        for (percent, expected) in [(0.0, Some(1.0)), (50.0, Some(2.5)), (100.0, Some(4.0))] {
            assert_eq!(percentile(&values, percent), expected, "{percent}");
        }
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn ratio_compares_what_was_measured_in_the_same_round() {
        // The machine is ten times as slow in round 1; the contestants' proportion stays.
        let samples = [
            sample("one", 0, 2.0),
            sample("other", 0, 4.0),
            sample("one", 1, 20.0),
            sample("other", 1, 40.0),
            sample("one", 2, 1.0),
        ];
        assert_eq!(ratio(&samples, "one", "other", |sample| Some(sample.init)), Some(0.5));
        assert_eq!(ratio(&samples, "one", "nobody", |sample| Some(sample.init)), None);
    }
}

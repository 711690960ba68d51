//! Figures for people.

use cardata_bench::memory::Memory;
use cardata_bench::{connects, delivery, idle, ingest, latency, rest, sessions};

/// How many events are taken.
pub(super) fn ingest(report: &ingest::Report) -> Vec<String> {
    let broker = report.broker.as_ref().map_or_else(String::new, |text| format!(" and {text}"));
    let mut lines = vec![format!(
        "{} senders of {} bytes an event at {}{broker}; {} unacknowledged each over MQTT, {} a request over HTTPS",
        grouped(report.vehicles),
        report.event_bytes,
        report.target,
        report.window,
        report.lines
    )];
    let head = ["acknowledged", "events/s", "p50 ms", "p99 ms"];
    lines.push(row([""].into_iter().chain(head).map(str::to_owned)));
    for round in &report.rounds {
        let own = [("MQTT", round.mqtt), ("HTTPS", round.https), ("journal", round.journal)];
        let broker = round.broker.map(|broker| ("broker", broker));
        for (name, speed) in own.into_iter().chain(broker) {
            let cells = [
                name.to_owned(),
                grouped(speed.events),
                format!("{:.0}", speed.events_per_second),
                milliseconds(speed.p50_us),
                milliseconds(speed.p99_us),
            ];
            lines.push(row(cells.into_iter()));
        }
    }
    let ratios = &report.ratios;
    lines.push(format!(
        "of the journal alone: MQTT {:.2}, HTTPS {:.2}",
        ratios.mqtt_to_journal, ratios.https_to_journal
    ));
    if let (Some(mqtt), Some(https)) = (ratios.mqtt_to_broker, ratios.https_to_broker) {
        lines.push(format!("of the other broker: MQTT {mqtt:.2}, HTTPS {https:.2}"));
    }
    lines
}

/// How many clients are let in.
pub(super) fn connects(report: &connects::Report) -> Vec<String> {
    let process =
        report.process.as_ref().map_or_else(String::new, |process| format!(", process {process}"));
    let mut lines = vec![
        format!(
            "{} connections to {}{process}, {} at a time",
            grouped(report.connections),
            report.target,
            report.at_once
        ),
        format!(
            "{:.0} a second; p50 {} ms, p99 {} ms; {} of the server's processor time each",
            report.connects_per_second,
            milliseconds(report.p50_us),
            milliseconds(report.p99_us),
            micros(report.server_cpu_us_each)
        ),
    ];
    lines.push(generator(report.generator_cpu_share, report.generator_was_the_limit));
    lines
}

/// How messages are delivered.
pub(super) fn delivery(report: &delivery::Report) -> Vec<String> {
    let load = match (report.window, report.rate) {
        (_, Some(rate)) => format!("{} events a second", grouped(rate.into())),
        (window, None) => format!("{} events under way", window.unwrap_or_default()),
    };
    let plural = |number: u64| if number == 1 { "" } else { "s" };
    let mut lines = vec![format!(
        "{} reader{} of QoS {} with {} selection{} of values at {}; {} vehicle{}, {load}, {} bytes each",
        grouped(report.readers),
        plural(report.readers),
        report.qos,
        report.entitlements,
        plural(report.entitlements),
        report.target,
        grouped(report.vehicles),
        plural(report.vehicles),
        report.payload_bytes
    )];
    let head = ["messages", "messages/s", "p50 ms", "p99 ms", "max ms", "lost", "cpu us each"];
    lines.push(row(head.into_iter().map(str::to_owned)));
    for round in &report.rounds {
        let cells = [
            grouped(round.messages),
            format!("{:.0}", round.messages_per_second),
            milliseconds(round.p50_us),
            milliseconds(round.p99_us),
            milliseconds(round.max_us),
            grouped(round.lost),
            round.server_cpu_us_each.map_or_else(|| "?".to_owned(), |each| format!("{each:.2}")),
        ];
        lines.push(row(cells.into_iter()));
    }
    let share = report.rounds.iter().map(|round| round.generator_cpu_share).fold(0.0, f64::max);
    lines.push(generator(share, report.generator_was_the_limit));
    lines
}

/// How fast sessions get what they have missed.
pub(super) fn replay(report: &latency::ReplayReport) -> Vec<String> {
    let mut lines = vec![format!(
        "{} session{} of QoS 1 at {}, {} events of {} bytes missed each",
        grouped(report.sessions),
        if report.sessions == 1 { "" } else { "s" },
        report.target,
        grouped(report.events),
        report.payload_bytes
    )];
    lines.push(row(["seconds", "events/s", "lost", "again"].into_iter().map(str::to_owned)));
    for round in &report.rounds {
        let cells = [
            format!("{:.2}", round.seconds),
            format!("{:.0}", round.events_per_second),
            grouped(round.lost),
            grouped(round.duplicates),
        ];
        lines.push(row(cells.into_iter()));
    }
    lines
}

/// Whether what was measured is the generator.
fn generator(share: f64, was_the_limit: bool) -> String {
    let verdict = if was_the_limit { ": it was the limit, and the server may do more" } else { "" };
    format!("the generator ran for {:.0} % of its time{verdict}", share * 100.0)
}

fn micros(each: Option<f64>) -> String {
    each.map_or_else(|| "an unknown part".to_owned(), |each| format!("{each:.0} us"))
}

/// What idle connections cost.
pub(super) fn idle(report: &idle::Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{} idle TLS connections to {}, process {}",
        grouped(report.connections),
        report.target,
        report.process
    )];
    let each = [report.rss_bytes_each, report.anonymous_bytes_each];
    lines.extend(memory(&report.before, &report.after, each));
    lines.push(format!(
        "connected in {:.1} s, {:.0} a second; {} more were open before",
        report.seconds, report.connects_per_second, report.warm_up
    ));
    lines
}

/// What offline sessions cost.
pub(super) fn sessions(report: &sessions::Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{} offline sessions at {}, process {}",
        grouped(report.sessions),
        report.target,
        report.process
    )];
    let each = [report.rss_bytes_each, report.anonymous_bytes_each];
    lines.extend(memory(&report.before, &report.after, each));
    lines.push(format!(
        "made in {:.1} s, {:.0} a second; {} more were made before",
        report.seconds, report.sessions_per_second, report.warm_up
    ));
    if let Some(restarted) = &report.restarted {
        lines.push(format!(
            "started anew as process {}: {}; {} at the first start; {} for each session",
            restarted.process,
            mebibytes(restarted.memory.rss_kib),
            mebibytes(report.at_first.rss_kib),
            bytes(restarted.rss_bytes_each)
        ));
    }
    lines
}

/// How long events take.
pub(super) fn latency(report: &latency::Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{} readers of QoS {} at {}; {} vehicles, {} events a second, {} bytes each",
        grouped(report.clients),
        report.qos,
        report.target,
        report.vehicles,
        grouped(report.rate.into()),
        report.payload_bytes
    )];
    let latencies = ["messages", "p50 ms", "p99 ms", "max ms", "lost"];
    let (others, further) = if report.resuming > 0 {
        ("resuming", ["replay s", "events/s"])
    } else {
        ("slow readers", ["slow lost", "merged"])
    };
    let head = [others].into_iter().chain(latencies).chain(further);
    lines.push(row(head.map(str::to_owned)));
    for round in &report.rounds {
        let latency = &round.latency;
        let own = [
            grouped(latency.messages),
            milliseconds(latency.p50_us),
            milliseconds(latency.p99_us),
            milliseconds(latency.max_us),
            grouped(round.lost),
        ];
        let further = match &round.replay {
            Some(replay) => {
                [format!("{:.2}", replay.seconds), format!("{:.0}", replay.events_per_second)]
            }
            None if report.resuming > 0 => ["", ""].map(str::to_owned),
            None => [
                grouped(round.slow_lost),
                round.merged_events.map_or_else(|| "?".to_owned(), grouped),
            ],
        };
        let others = round.replay.as_ref().map_or(round.slow_readers, |replay| replay.sessions);
        lines.push(row([grouped(others)].into_iter().chain(own).chain(further)));
    }
    if let Some(replay) = report.rounds.iter().find_map(|round| round.replay.as_ref()) {
        lines.push(format!(
            "each session that resumed had missed {} events",
            grouped(replay.events / replay.sessions.max(1))
        ));
    }
    if let Some(verdict) = &report.verdict {
        let others = if report.resuming > 0 { "sessions that resume" } else { "slow readers" };
        lines.push(format!(
            "p99 {} ms without {others}, {} ms with them: {} the noise of {} ms between rounds",
            milliseconds(verdict.p99_without_us),
            milliseconds(verdict.p99_with_us),
            if verdict.within_noise { "within" } else { "more than" },
            milliseconds(verdict.noise_us)
        ));
    }
    let late = report.rounds.iter().map(|round| round.sender_late_us).max().unwrap_or_default();
    lines.push(format!("the generator was late by {} ms at the most", milliseconds(late)));
    lines
}

/// How fast the REST API answers.
pub(super) fn rest(report: &rest::Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{} clients of {}, rounds of {:.0} s",
        grouped(report.clients),
        report.target,
        report.seconds
    )];
    for endpoint in &report.endpoints {
        lines.push(String::new());
        lines.push(format!(
            "{}: {} values, {} bytes",
            endpoint.name,
            grouped(endpoint.values),
            grouped(endpoint.body_bytes as u64)
        ));
        let head = ["requests/s", "MB/s", "p50 ms", "p99 ms", "max ms"].map(str::to_owned);
        lines.push(row([String::new()].into_iter().chain(head)));
        for round in &endpoint.rounds {
            for (who, speed) in [("server", &round.server), ("bare", &round.bare)] {
                let cells = [
                    who.to_owned(),
                    format!("{:.1}", speed.requests_per_second),
                    format!("{:.1}", speed.megabytes_per_second),
                    milliseconds(speed.p50_us),
                    milliseconds(speed.p99_us),
                    milliseconds(speed.max_us),
                ];
                lines.push(row(cells.into_iter()));
            }
        }
        lines.push(format!(
            "{:.2} of the bare handler's requests a second, the median of the rounds",
            endpoint.ratio
        ));
    }
    lines
}

fn row(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.map(|cell| format!("{cell:>12}")).collect();
    cells.concat().trim_end().to_owned()
}

fn memory(before: &Memory, after: &Memory, each: [f64; 2]) -> Vec<String> {
    let line = |what: &str, of: fn(&Memory) -> Option<u64>, each: Option<f64>| {
        let [before, after] =
            [before, after].map(|memory| of(memory).map_or_else(|| "?".to_owned(), mebibytes));
        let each = each.map(bytes).unwrap_or_default();
        format!("{what:<14}{before:>14}{after:>14}{each:>14}").trim_end().to_owned()
    };
    vec![
        format!("{:<14}{:>14}{:>14}{:>14}", "memory", "before", "after", "for each"),
        line("resident", |memory| Some(memory.rss_kib), Some(each[0])),
        line("without files", |memory| Some(memory.anonymous_kib), Some(each[1])),
        line("proportional", |memory| memory.pss_kib, None),
        line("private", |memory| memory.private_kib, None),
    ]
}

fn mebibytes(kib: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let mebibytes = kib as f64 / 1024.0;
    format!("{mebibytes:.1} MiB")
}

/// Bytes, from a few of them on in KiB.
fn bytes(bytes: f64) -> String {
    if bytes.abs() < 2048.0 {
        format!("{bytes:.0} B")
    } else {
        format!("{:.2} KiB", bytes / 1024.0)
    }
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{:02}", micros / 1000, micros % 1000 / 10)
}

/// With a comma between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([5, 1234, 20_099].map(milliseconds), ["0.00", "1.23", "20.09"]);
        assert_eq!(bytes(299.6), "300 B");
        assert_eq!(bytes(14_336.0), "14.00 KiB");
        assert_eq!(mebibytes(1536), "1.5 MiB");
    }

    #[test]
    fn memory_stands_in_columns() {
        let memory_of = |rss_kib, private_kib| Memory {
            rss_kib,
            anonymous_kib: rss_kib / 2,
            pss_kib: None,
            private_kib,
        };
        let lines =
            memory(&memory_of(31_744, Some(1024)), &memory_of(167_936, None), [13_619.2, -5.0]);
        assert_eq!(
            lines,
            [
                "memory                before         after      for each",
                "resident            31.0 MiB     164.0 MiB     13.30 KiB",
                "without files       15.5 MiB      82.0 MiB          -5 B",
                "proportional               ?             ?",
                "private              1.0 MiB             ?",
            ]
        );
    }
}

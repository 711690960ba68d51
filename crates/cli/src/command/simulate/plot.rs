//! Draws a comparison: what each drive took, recorded over simulated, and how the charge fell over the way.

use std::fmt::Write as _;

use super::compare::{COLD_CELSIUS, Pair};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 460.0;
const TOP: f64 = 50.0;
const SIDE: f64 = 340.0;
/// Where the two drawings begin.
const LEFT: [f64; 2] = [70.0, 550.0];
const MOST_KWH: f64 = 30.0;
const MOST_PERCENT: f64 = 100.0;
const RECORDED: &str = "#1c69d4";
const SIMULATED: &str = "#d9480f";

/// The picture as SVG; it needs nothing else, and its words are in it.
pub(super) fn svg(pairs: &[Pair]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\" role=\"img\">\n<title>A simulated BMW i3 on {} recorded drives</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        pairs.len()
    );
    consumption(&mut svg, pairs);
    charge(&mut svg, pairs);
    svg.push_str("</svg>\n");
    svg
}

/// A dot for each drive; on the diagonal both took the same.
fn consumption(svg: &mut String, pairs: &[Pair]) {
    let x = |kwh: f64| LEFT[0] + kwh / MOST_KWH * SIDE;
    let y = |kwh: f64| TOP + SIDE - kwh / MOST_KWH * SIDE;
    frame(svg, LEFT[0], "kWh for 100 km", "recorded", "simulated");
    for kwh in [0.0, 10.0, 20.0, 30.0] {
        label(svg, x(kwh), TOP + SIDE + 18.0, "middle", &format!("{kwh}"));
        label(svg, LEFT[0] - 8.0, y(kwh) + 4.0, "end", &format!("{kwh}"));
    }
    line(svg, &[(x(0.0), y(0.0)), (x(MOST_KWH), y(MOST_KWH))], "#999", "4 4");
    for pair in pairs {
        let (recorded, simulated) = (pair.recorded.kwh_per_100_km, pair.simulated.kwh_per_100_km);
        let colour = if pair.celsius < COLD_CELSIUS { RECORDED } else { SIMULATED };
        write(
            svg,
            format_args!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\" fill-opacity=\"0.7\"/>\n",
                x(recorded.clamp(0.0, MOST_KWH)),
                y(simulated.clamp(0.0, MOST_KWH))
            ),
        );
    }
    key(svg, LEFT[0] + 14.0, &[(RECORDED, "colder than 10 °C"), (SIMULATED, "warmer")]);
}

/// Two lines for each drive.
fn charge(svg: &mut String, pairs: &[Pair]) {
    let most_km = pairs.iter().map(|pair| pair.recorded.km).fold(10.0, f64::max);
    let x = |km: f64| LEFT[1] + km / most_km * SIDE;
    let y = |percent: f64| TOP + SIDE - percent / MOST_PERCENT * SIDE;
    frame(svg, LEFT[1], "state of charge, %", "km", "%");
    for part in [0.0, 0.5, 1.0] {
        let km = part * most_km;
        label(svg, x(km), TOP + SIDE + 18.0, "middle", &format!("{km:.0}"));
        label(
            svg,
            LEFT[1] - 8.0,
            y(part * MOST_PERCENT) + 4.0,
            "end",
            &format!("{:.0}", part * MOST_PERCENT),
        );
    }
    for pair in pairs {
        for (taken, colour, dash) in
            [(&pair.recorded, RECORDED, ""), (&pair.simulated, SIMULATED, "3 3")]
        {
            let points: Vec<_> =
                taken.charge.iter().map(|(km, percent)| (x(*km), y(*percent))).collect();
            line(svg, &points, colour, dash);
        }
    }
    key(svg, LEFT[1] + 180.0, &[(RECORDED, "recorded"), (SIMULATED, "simulated")]);
}

fn frame(svg: &mut String, left: f64, title: &str, across: &str, up: &str) {
    write(
        svg,
        format_args!(
            "<rect x=\"{left}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#333\"/>\n"
        ),
    );
    label(svg, left + SIDE / 2.0, TOP - 16.0, "middle", title);
    label(svg, left + SIDE / 2.0, TOP + SIDE + 40.0, "middle", across);
    write(
        svg,
        format_args!(
            "<text transform=\"translate({} {}) rotate(-90)\" text-anchor=\"middle\">{up}</text>\n",
            left - 40.0,
            TOP + SIDE / 2.0
        ),
    );
}

fn key(svg: &mut String, left: f64, entries: &[(&str, &str)]) {
    let mut y = TOP + 22.0;
    for (colour, text) in entries {
        write(
            svg,
            format_args!("<circle cx=\"{left}\" cy=\"{}\" r=\"4\" fill=\"{colour}\"/>\n", y - 4.0),
        );
        label(svg, left + 10.0, y, "start", text);
        y += 18.0;
    }
}

fn line(svg: &mut String, points: &[(f64, f64)], colour: &str, dash: &str) {
    svg.push_str("<polyline points=\"");
    for (x, y) in points {
        write(svg, format_args!("{x:.1},{y:.1} "));
    }
    write(
        svg,
        format_args!(
            "\" fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.7\" stroke-dasharray=\"{dash}\"/>\n"
        ),
    );
}

fn label(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    write(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"),
    );
}

fn write(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("writing to a string cannot fail");
}

//! Terms from traffic alone. The bounds come from what miners and pools send (a share is one JSON
//! line of 110 to 420 bytes, TLS adds 22; its answer has 40 to 150; a job 250 to 900) and from runs of
//! `cargo xtask bench score` on its tuning seeds. Stratum V2's messages are binary and shorter: by its
//! specification a share has 62 bytes on the wire (a few more on an extended channel), its answer 58.

use super::history::Figures;
use super::settings::Weights;
use super::term::{Term, TermName, band, ramp};

/// The terms; `noise` says that the connection began like stratum V2.
pub(super) fn terms(figures: &Figures, noise: bool, weights: &Weights) -> Vec<Term> {
    let Figures { age, window, messages, rate, irregularity, size_out, same_size, .. } = *figures;
    let every = window / messages.max(1) as f64;
    let all = [
        (TermName::LongLived, ramp(age, 180.0, 600.0), format!("open for {age:.0} s at least")),
        (
            TermName::LowRate,
            band(rate, 0.5, 2.0, 150.0, 1500.0),
            format!("{rate:.1} bytes a second, both ways together"),
        ),
        (
            TermName::Periodic,
            band(irregularity, 0.25, 0.5, 2.0, 5.0),
            format!(
                "a message every {every:.1} s, irregularity {irregularity:.2} (0 by the clock, 1 by chance, more in bursts)"
            ),
        ),
        (
            TermName::RecordSizes,
            sizes(figures, noise),
            format!(
                "{messages} records in {window:.0} s, {:.0}% of them of about {size_out:.0} bytes; {:.1} answers to each, of {:.0} bytes on average",
                same_size * 100.0,
                figures.answers,
                figures.size_in
            ),
        ),
    ];
    let weighed = all.into_iter().map(|(name, value, detail)| Term {
        name,
        value,
        weight: weights.of(name),
        detail,
    });
    weighed.filter(|term| term.weight > 0.0).collect()
}

/// Each part must fit: a share's size, all alike, answered, and by messages of the right size.
fn sizes(figures: &Figures, noise: bool) -> f64 {
    let fits = |out: [f64; 4], into: [f64; 4]| {
        let within =
            |value, [floor, low, high, ceiling]: [f64; 4]| band(value, floor, low, high, ceiling);
        within(figures.size_out, out) * within(figures.size_in, into)
    };
    let json = fits([90.0, 130.0, 450.0, 600.0], [60.0, 75.0, 900.0, 1500.0]);
    let binary = fits([50.0, 58.0, 100.0, 140.0], [45.0, 55.0, 900.0, 1500.0]);
    let size = if noise { json.max(binary) } else { json };
    size * ramp(figures.same_size, 0.4, 0.8) * band(figures.answers, 0.5, 0.9, 6.0, 12.0)
}

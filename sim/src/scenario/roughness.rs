//! What a link does to packets besides making them wait: the keys of `[links.NAME]` beyond rates and queues.

use std::fmt::Write as _;

use super::fields::{Fields, Value, share, some_time};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may, needs, or};
use super::source::Refusal;
use super::spread;
use crate::network::{Bursts, Reorder, Roughness};

/// The keys.
pub(super) const KEYS: &[Key] = &[
    may(
        "jitter",
        spread::SHAPE,
        "What each packet is late by: a time for anything up to it, or a distribution. TCP stays in order.",
    ),
    may("bursts", Shape::Table(&[BURSTS]), "Losses in bursts (Gilbert-Elliott, by the clock)."),
    or("0", "duplicate", Shape::Share, "Share of datagrams that come twice."),
    may("reorder", Shape::Table(&[REORDER]), "Datagrams that are held back so that others overtake them."),
    or("0", "corrupt", Shape::Share, "Share of datagrams in which a bit flips and no checksum tells."),
];

const BURSTS: &[Key] = &[
    needs("gap", Shape::Time, "Mean time between two bursts."),
    needs("length", Shape::Time, "Mean time that a burst lasts."),
    needs("loss", Shape::Share, "Share of packets lost within it."),
];

const REORDER: &[Key] = &[
    needs("share", Shape::Share, "Share of datagrams that are held back."),
    needs("hold", Shape::Time, "For how long."),
];

/// Reads the keys; what is not said is as in `base`.
pub(super) fn decode(fields: &Fields<'_>, base: Roughness) -> Result<Roughness, Refusal> {
    Ok(Roughness {
        jitter: fields.optional("jitter", spread::jitter)?.or(base.jitter),
        bursts: fields.optional("bursts", bursts)?.or(base.bursts),
        duplicate: fields.optional("duplicate", share)?.unwrap_or(base.duplicate),
        reorder: fields.optional("reorder", reorder)?.or(base.reorder),
        corrupt: fields.optional("corrupt", share)?.unwrap_or(base.corrupt),
    })
}

fn bursts(value: &Value<'_>) -> Result<Bursts, Refusal> {
    let fields = Fields::of(value, "bursts", BURSTS)?;
    Ok(Bursts {
        gap: fields.required("gap", some_time)?,
        length: fields.required("length", some_time)?,
        loss: fields.required("loss", share)?,
    })
}

fn reorder(value: &Value<'_>) -> Result<Reorder, Refusal> {
    let fields = Fields::of(value, "reorder", REORDER)?;
    Ok(Reorder { share: fields.required("share", share)?, hold: fields.required("hold", some_time)? })
}

/// The lines that say it, if there is anything to say.
pub(super) fn write(out: &mut String, roughness: Roughness) {
    let Roughness { jitter, bursts, duplicate, reorder, corrupt } = roughness;
    if let Some(jitter) = jitter {
        let _ = writeln!(out, "jitter = {}", spread::text(jitter));
    }
    if let Some(Bursts { gap, length, loss }) = bursts {
        let (gap, length) = (duration_text(gap), duration_text(length));
        let _ = writeln!(out, "bursts = {{ gap = \"{gap}\", length = \"{length}\", loss = {loss:?} }}");
    }
    if let Some(Reorder { share, hold }) = reorder {
        let _ = writeln!(out, "reorder = {{ share = {share:?}, hold = \"{}\" }}", duration_text(hold));
    }
    for (key, share) in [("duplicate", duplicate), ("corrupt", corrupt)] {
        if share > 0.0 {
            let _ = writeln!(out, "{key} = {share:?}");
        }
    }
}

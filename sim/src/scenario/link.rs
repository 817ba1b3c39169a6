//! Access links: their keys, and those that every scenario may use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::decode::plain_name;
use super::fields::{Fields, Value, duration, nearest, rate, share, size, text, wrong};
use super::quantity::{duration_text, rate_text, size_text, suggestion};
use super::roughness;
use super::schema::{Key, Shape, needs, or};
use super::source::Refusal;
use super::write::line;
use crate::network::Roughness;

/// The keys of a link, besides those of its [`Roughness`].
pub(super) const KEYS: &[Key] = &[
    needs("up", Shape::Rate, "Towards the Internet, headers included."),
    needs("down", Shape::Rate, "From the Internet, headers included."),
    needs("latency", Shape::Time, "One way, over this link alone."),
    needs("queue", Shape::Size, "Bytes that wait in each direction; more are dropped."),
    or(
        "0",
        "loss",
        Shape::Share,
        "Share of packets lost in each direction; pure acknowledgements are spared.",
    ),
];

/// An access link: what a home or a server has to the Internet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Bytes a second towards the Internet, headers included.
    pub up: u64,
    /// Bytes a second from the Internet, headers included.
    pub down: u64,
    /// One way, of this link alone.
    pub latency: Duration,
    /// Bytes that wait in each direction before packets are dropped.
    pub queue: u64,
    /// Share of packets lost at random, in each direction.
    pub loss: f64,
    /// What else it does to packets.
    pub roughness: Roughness,
}

/// The built-in link that a tracker has unless its scenario says otherwise.
pub(super) const SERVER: &str = "server";

/// Links that every scenario may use without describing them: what homes and servers typically have.
pub(super) fn builtin_links() -> BTreeMap<String, Link> {
    // Name, kbit/s up, kbit/s down, latency in ms, queue in kB, loss.
    const LINKS: [(&str, u64, u64, u64, u64, f64); 5] = [
        ("adsl", 1_000, 16_000, 25, 200, 0.0),
        ("cable", 20_000, 200_000, 10, 500, 0.0),
        ("fibre", 500_000, 500_000, 3, 2_000, 0.0),
        ("mobile", 10_000, 40_000, 40, 1_000, 0.005),
        (SERVER, 1_000_000, 1_000_000, 10, 4_000, 0.0),
    ];
    let link = |(name, up, down, latency, queue, loss): (&str, u64, u64, u64, u64, f64)| {
        let latency = Duration::from_millis(latency);
        let (up, down, queue, roughness) = (up * 125, down * 125, queue * 1000, Roughness::default());
        (name.to_owned(), Link { up, down, latency, queue, loss, roughness })
    };
    LINKS.into_iter().map(link).collect()
}

pub(super) fn decode(value: Option<&Value<'_>>) -> Result<BTreeMap<String, Link>, Refusal> {
    let mut links = builtin_links();
    let Some(value) = value else { return Ok(links) };
    let table = value.get_ref().as_table().ok_or_else(|| wrong(value, "tables, written as [links.NAME]"))?;
    let keys = [KEYS, roughness::KEYS].concat();
    let built_in: Vec<_> = links.keys().cloned().collect();
    for (name, value) in table {
        let place = format!("[links.{}]", name.get_ref());
        let fields = Fields::of(value, &place, &keys)?;
        // One of a built-in link's name begins as that; any other has to say all of it.
        let link = match links.get(name.get_ref().as_ref()) {
            Some(base) => Link {
                up: fields.optional("up", rate)?.unwrap_or(base.up),
                down: fields.optional("down", rate)?.unwrap_or(base.down),
                latency: fields.optional("latency", duration)?.unwrap_or(base.latency),
                queue: fields.optional("queue", size)?.unwrap_or(base.queue),
                loss: fields.optional("loss", loss)?.unwrap_or(base.loss),
                roughness: roughness::decode(&fields, base.roughness)?,
            },
            None => from_nothing(&fields).map_err(|refusal| {
                let others =
                    table.keys().map(|key| key.get_ref().as_ref()).filter(|other| *other != name.get_ref());
                match suggestion(name.get_ref(), others.chain(built_in.iter().map(String::as_str))) {
                    Some(near) if refusal.span == fields.span() => {
                        refusal.hint(format!("did you mean [links.{near}]?"))
                    }
                    Some(_) | None => refusal,
                }
            })?,
        };
        links.insert(plain_name(name.get_ref(), name.span())?, link);
    }
    Ok(links)
}

/// A link that is no built-in one: it has to say all of it.
fn from_nothing(fields: &Fields<'_>) -> Result<Link, Refusal> {
    Ok(Link {
        up: fields.required("up", rate)?,
        down: fields.required("down", rate)?,
        latency: fields.required("latency", duration)?,
        queue: fields.required("queue", size)?,
        loss: fields.optional("loss", loss)?.unwrap_or(0.0),
        roughness: roughness::decode(fields, Roughness::default())?,
    })
}

/// Refuses a queue without room for a single packet of `mtu` bytes: no packet of full size would ever pass.
pub(super) fn fit(
    value: Option<&Value<'_>>,
    links: &BTreeMap<String, Link>,
    mtu: u32,
) -> Result<(), Refusal> {
    let table = value.and_then(|value| value.get_ref().as_table());
    for (name, value) in table.into_iter().flatten() {
        let queue = links.get(name.get_ref().as_ref()).map_or(u64::MAX, |link| link.queue);
        if queue < u64::from(mtu) {
            let message =
                format!("a queue of {} has no room for a packet of {mtu} bytes (`mtu`)", size_text(queue));
            return Err(Refusal::new(value.span(), message).hint("make it longer than several packets"));
        }
    }
    Ok(())
}

fn loss(value: &Value<'_>) -> Result<f64, Refusal> {
    match share(value)? {
        loss if loss < 1.0 => Ok(loss),
        _ => Err(Refusal::new(value.span(), "a link that loses every packet is no link")),
    }
}

pub(super) fn name(value: &Value<'_>, links: &BTreeMap<String, Link>) -> Result<String, Refusal> {
    let known = || nearest("", links.keys().map(String::as_str));
    let name = text(value).map_err(|refusal| refusal.or_hint(known()))?;
    if links.contains_key(&name) {
        return Ok(name);
    }
    let refusal = Refusal::new(value.span(), format!("there is no link `{name}`"));
    Err(refusal.hint(nearest(&name, links.keys().map(String::as_str))))
}

pub(super) fn write(out: &mut String, name: &str, link: &Link) {
    let _ = writeln!(out, "\n[links.{name}]");
    line(out, "up", &rate_text(link.up));
    line(out, "down", &rate_text(link.down));
    line(out, "latency", &duration_text(link.latency));
    line(out, "queue", &size_text(link.queue));
    let _ = writeln!(out, "loss = {:?}", link.loss);
    roughness::write(out, link.roughness);
}

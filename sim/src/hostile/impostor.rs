//! The impostor: calls itself by the names of those whom it has met, so that they look connected already to others
//! or are cut off in its favour, serves nothing, and soon comes again under the next name.

use std::io;
use std::time::Duration;

use proto::wire::{Feature, Message};

use super::{Host, Line, Wire, lock};

/// How long it keeps a name.
const STAYS: Duration = Duration::from_secs(5);

/// Names that it remembers.
const MAX_MET: usize = 1_000;

pub(super) async fn meet(host: &Host, stream: Wire) -> io::Result<()> {
    let names = lock(&host.met).clone();
    let stolen = names.get(host.random(|random| random.index(names.len()))).copied();
    let name = stolen.unwrap_or_else(|| host.random_id());
    let mut line = Line::open_as(host, stream, name, Feature::FAST.add_to([0; 8])).await?;
    {
        let mut met = lock(&host.met);
        if !met.contains(&line.id) && met.len() < MAX_MET {
            met.push(line.id);
        }
    }
    line.say_all(&[host.everything(), Message::Unchoke]).await?;
    let mut leaves = Box::pin(host.pause(STAYS));
    loop {
        tokio::select! {
            biased;
            heard = line.hear() => drop(heard?),
            () = &mut leaves => return Ok(()),
        }
    }
}

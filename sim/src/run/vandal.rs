//! The root future of a hostile peer's host: a script of [`crate::hostile`] until it has to go. It says goodbye to
//! nobody.

use std::time::Duration;

use tokio::sync::mpsc;

use super::log::SharedLog;
use super::peer::{Order, elapsed, sleep_until};
use crate::hostile::{self, Ground};
use crate::world::SimClock;

/// Lives until it has to go, or has nothing more to do.
pub(super) async fn live(
    ground: Ground,
    leave_at: Option<Duration>,
    log: SharedLog,
    mut orders: mpsc::UnboundedReceiver<Order>,
    clock: SimClock,
) {
    let ordered = async {
        while let Some(order) = orders.recv().await {
            if order == Order::Leave {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = hostile::live(ground) => return log.lock().ended(elapsed(&clock)),
        () = ordered => {}
        () = sleep_until(&clock, leave_at) => {}
    }
    log.lock().leaves(elapsed(&clock));
}

//! The tracker's TCP listeners: announce and scrape over HTTP, and the admin port.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::admin::AdminSite;
use super::handle::Shared;
use super::http::{TrackerSite, serve};
use super::{AdminConfig, HttpConfig, TrackerConfig, TrackerError};
use crate::clock::Clock;
use crate::transport::{Listener, Transport};

/// Listeners that are open, and what is to be served at them.
pub(super) struct Sites<T: Transport> {
    http: Vec<T::Listener>,
    http_config: HttpConfig,
    admin: Option<(T::Listener, AdminConfig)>,
}

impl<T: Transport> Sites<T> {
    /// Listens where `config` says.
    pub(super) async fn open(transport: &T, config: &TrackerConfig) -> Result<Self, TrackerError> {
        let listen = async |addr: SocketAddr| {
            transport.listen(addr).await.map_err(|source| TrackerError::Listen { addr, source })
        };
        let mut http = Vec::with_capacity(config.http.bind.len());
        for addr in &config.http.bind {
            http.push(listen(*addr).await?);
        }
        let admin = match &config.admin {
            Some(config) => Some((listen(config.bind).await?, config.clone())),
            None => None,
        };
        Ok(Self { http, http_config: config.http.clone(), admin })
    }

    /// Where announces are answered.
    pub(super) fn http_addrs(&self) -> Vec<SocketAddr> {
        let bound = self.http.iter().zip(&self.http_config.bind);
        bound.map(|(listener, addr)| listener.local_addr().unwrap_or(*addr)).collect()
    }

    /// Where the admin port is.
    pub(super) fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(listener, config)| listener.local_addr().unwrap_or(config.bind))
    }

    /// A task for each listener. `udp` is only told of, by the admin port.
    pub(super) fn spawn<C: Clock>(
        self,
        tasks: &mut JoinSet<()>,
        shared: &Arc<Shared>,
        clock: &C,
        udp: Vec<SocketAddr>,
    ) {
        let addrs = [udp, self.http_addrs()];
        let Self { http, http_config, admin } = self;
        let site = TrackerSite::new(Arc::clone(shared), clock.clone(), &http_config.trusted_proxies);
        let seats = http_config.seats();
        for listener in http {
            tasks.spawn(serve(listener, clock.clone(), seats.clone(), site.clone()));
        }
        if let Some((listener, config)) = admin {
            if !config.bind.ip().is_loopback() {
                tracing::warn!(addr = %config.bind, "the admin port is open to the network");
            }
            let site = AdminSite::new(Arc::clone(shared), clock.clone(), config.hosts, addrs);
            tasks.spawn(serve(listener, clock.clone(), AdminConfig::seats(), site));
        }
    }
}

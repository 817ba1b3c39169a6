//! Whom to believe over TLS: the roots that Mozilla ships, and those that a user names.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock::Clock;

/// The certificates in a file of a user at the most.
const MAX_CERTIFICATES: usize = 1000;

/// Roots of trust for trackers over TLS.
#[derive(Clone, Debug, Default)]
pub struct TrackerTrust {
    /// Beside Mozilla's.
    extra: Vec<CertificateDer<'static>>,
}

impl TrackerTrust {
    /// Mozilla's roots and the certificates in a PEM file.
    pub fn with_file(path: &Path) -> io::Result<Self> {
        let wrong = |why: String| io::Error::new(ErrorKind::InvalidData, why);
        let pem = std::fs::read(path)?;
        let certificates = CertificateDer::pem_slice_iter(&pem).take(MAX_CERTIFICATES);
        let extra: Vec<_> =
            certificates.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
        if extra.is_empty() {
            return Err(wrong("no PEM certificate in it".to_owned()));
        }
        let trust = Self { extra };
        trust.roots().map_err(|error| wrong(error.to_string()))?;
        Ok(trust)
    }

    fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in &self.extra {
            roots.add(certificate.clone())?;
        }
        Ok(roots)
    }

    /// Speaks TLS to `host` over `stream`, by the environment's wall clock.
    pub(super) async fn secure<C: Clock, S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        clock: &C,
        host: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(Wall(clock.clone())))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(self.roots().map_err(io::Error::other)?)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// The environment's wall clock, as rustls asks for it.
struct Wall<C>(C);

impl<C: Clock> TimeProvider for Wall<C> {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.wall()))
    }
}

impl<C> fmt::Debug for Wall<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wall")
    }
}

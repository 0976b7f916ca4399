//! Nights: devices sync, all at once.

use crate::field::Enumerator;
use anyhow::Result;
use client_core::transport::{Http, Traffic};
use sync_protocol::engine::device::Report;

/// What one night of one device was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Night {
    /// What the engine did.
    pub report: Report,
    /// What crossed the line.
    pub traffic: Traffic,
}

/// Syncs every device at the same time; gives their nights in order.
///
/// # Errors
/// If one of them gave up.
pub async fn sync_all(http: &Http, devices: &mut [&mut Enumerator], now_ms: i64) -> Result<Vec<Night>> {
    let mut nights = Vec::new();
    let turns = devices.iter_mut().map(|enumerator| async {
        enumerator.device.host().set_time(now_ms);
        http.sync(&mut enumerator.device, |_| ()).await
    });
    for result in futures_util::future::join_all(turns).await {
        let (report, traffic) = result?;
        nights.push(Night { report, traffic });
    }
    Ok(nights)
}

//! Lenders: whether they live, and where they are.

use std::collections::BTreeMap;

use super::call::Call;
use crate::api::{ClientStatus, PingReply};
use crate::types::ClientId;

impl Call<'_> {
    /// A lender must say what it lends until it has done so at this epoch's
    /// primary: it then also publishes its transfer metadata again (SEMANTICS
    /// H25). Nothing else waits for that.
    pub(super) fn ping(&mut self, client: ClientId) -> PingReply {
        let epoch = self.master.epoch;
        let table = self.master.store.segments().read();
        self.depend(table.mark().applied());
        let known = table.client(client);
        if let Some(known) = known {
            known.hear(self.now);
        }
        let status = match known {
            Some(known) if known.ok && known.is_greeted(epoch) => ClientStatus::Ok,
            Some(_) | None => ClientStatus::NeedRemount,
        };
        PingReply { view_version: epoch, status }
    }

    /// Hosts of the segments of each client that lends some (SEMANTICS 2.5).
    pub(super) fn hosts(&mut self, clients: &[ClientId]) -> BTreeMap<ClientId, Vec<String>> {
        let table = self.master.store.segments().read();
        self.depend(table.mark().applied());
        let mut all = BTreeMap::new();
        for client in clients {
            let Some(known) = table.client(*client).filter(|c| c.mounts().len() > 0) else { continue };
            let mut hosts: Vec<String> = Vec::new();
            for mount in known.mounts().filter_map(|uid| table.mount(uid)) {
                let host = host_of(&mount.segment.te_endpoint);
                if !host.is_empty() && !hosts.iter().any(|h| h == host) {
                    hosts.push(host.to_owned());
                }
            }
            all.insert(*client, hosts);
        }
        all
    }
}

/// The host of `host`, `host:port`, `[v6]:port`, `[v6]` or a bare `v6`, each
/// with or without a scope.
fn host_of(endpoint: &str) -> &str {
    if let Some((inside, _)) = endpoint.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inside;
    }
    match endpoint.split_once(':') {
        // More than one colon and no brackets: an IPv6 address without a port.
        Some((_, rest)) if rest.contains(':') => endpoint,
        Some((host, _)) => host,
        None => endpoint,
    }
}

//! Where replicas may be placed: open mounts by segment name and by host.
//! Derived from the segment table, so that a placement looks at a few names
//! and not at all mounts.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Mount;
use crate::types::MountUid;

/// The open mounts that share a segment name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The name.
    pub name: Arc<str>,
    mounts: SmallVec<[(MountUid, Arc<str>); 1]>,
}

impl Pool {
    /// Its mounts, oldest first.
    pub fn mounts(&self) -> impl ExactSizeIterator<Item = MountUid> + Clone {
        self.mounts.iter().map(|(uid, _)| *uid)
    }
}

/// All pools.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pools {
    by_name: Vec<Pool>,
    /// (host, name), sorted.
    by_host: Vec<(Arc<str>, Arc<str>)>,
}

impl Pools {
    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True when nothing can be placed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// All pools, in order of their names.
    #[must_use]
    pub fn all(&self) -> &[Pool] {
        &self.by_name
    }

    /// The pool of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Pool> {
        self.find(name).ok().map(|i| &self.by_name[i])
    }

    /// Pools from this host on: hosts in cyclic order, from this one or the
    /// next greater; within a host names in order, rotated by `spread`
    /// (SEMANTICS 3.1, `local_first`).
    pub fn from_host<'a>(&'a self, host: &str, spread: u64) -> impl Iterator<Item = &'a Pool> {
        let first = self.by_host.partition_point(|(h, _)| **h < *host);
        let (before, after) = self.by_host.split_at(first);
        let hosts = [after, before].into_iter().flat_map(|part| part.chunk_by(|a, b| a.0 == b.0));
        hosts
            .flat_map(move |of_host| {
                let turn = (spread % of_host.len() as u64) as usize;
                of_host[turn..].iter().chain(&of_host[..turn])
            })
            .filter_map(|(_, name)| self.named(name))
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|p| (*p.name).cmp(name))
    }

    /// Adds an open mount.
    pub(super) fn open(&mut self, mount: &Mount) {
        let host: Arc<str> = mount.segment.host_id.as_str().into();
        let i = self.find(&mount.segment.name).unwrap_or_else(|i| {
            self.by_name
                .insert(i, Pool { name: mount.segment.name.as_str().into(), mounts: SmallVec::new() });
            i
        });
        let pool = &mut self.by_name[i];
        pool.mounts.push((mount.uid, Arc::clone(&host)));
        pool.mounts.sort_unstable();
        let entry = (host, Arc::clone(&pool.name));
        if let Err(i) = self.by_host.binary_search(&entry) {
            self.by_host.insert(i, entry);
        }
    }

    /// Takes a mount out, if it is in.
    pub(super) fn close(&mut self, mount: &Mount) {
        let Ok(i) = self.find(&mount.segment.name) else { return };
        let pool = &mut self.by_name[i];
        let Some(at) = pool.mounts.iter().position(|(uid, _)| *uid == mount.uid) else { return };
        let (_, host) = pool.mounts.remove(at);
        let entry = (host, Arc::clone(&pool.name));
        if !pool.mounts.iter().any(|(_, h)| *h == entry.0)
            && let Ok(i) = self.by_host.binary_search(&entry)
        {
            self.by_host.remove(i);
        }
        if self.by_name[i].mounts.is_empty() {
            self.by_name.remove(i);
        }
    }
}

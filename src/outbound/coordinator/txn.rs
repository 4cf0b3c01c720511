//! Transactions and readings, to and from etcd's messages.

use bytes::Bytes;
use standfast_kernel::coordination::{
    Compare, Key, Put, Records, Revision, Transaction, TransactionOutcome, Value, Versioned,
};
use standfast_kernel::types::ClusterId;
use standfast_proto::etcdserverpb as pb;

use super::convert::{from_text, to_text};
use crate::ports::CoordinatorFault;

/// etcd counts in signed numbers and never gets near their end.
pub(super) fn revision(r: i64) -> Revision {
    Revision(u64::try_from(r).unwrap_or(0))
}

pub(super) fn to_i64(r: Revision) -> i64 {
    i64::try_from(r.0).unwrap_or(i64::MAX)
}

/// The revision of an answer.
pub(super) fn header_revision(header: Option<&pb::ResponseHeader>) -> Revision {
    header.map_or(Revision::NONE, |h| revision(h.revision))
}

fn path(key: &Key, cluster: &ClusterId) -> Bytes {
    key.path(cluster).into()
}

/// Asks for one key.
pub(super) fn range(key: &Key, cluster: &ClusterId) -> pb::RangeRequest {
    pb::RangeRequest { key: path(key, cluster), ..Default::default() }
}

/// Asks for all keys that begin so.
pub(super) fn range_of(prefix: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: prefix.to_owned().into(), range_end: prefix_end(prefix), ..Default::default() }
}

/// The first key after all that begin with `prefix`, which ends in `/`.
pub(super) fn prefix_end(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

/// Reads these keys at one revision: a transaction without compares.
pub(super) fn read_request(keys: &[Key], cluster: &ClusterId) -> pb::TxnRequest {
    let success = keys.iter().map(|key| range_op(key, cluster)).collect();
    pb::TxnRequest { compare: Vec::new(), success, failure: Vec::new() }
}

fn range_op(key: &Key, cluster: &ClusterId) -> pb::RequestOp {
    pb::RequestOp { request: Some(pb::request_op::Request::RequestRange(range(key, cluster))) }
}

/// A transaction as etcd wants it.
pub(super) fn txn_request(txn: &Transaction, cluster: &ClusterId) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: txn.compares.iter().map(|c| compare(c, cluster)).collect(),
        success: txn.then.iter().map(|p| put(p, cluster)).collect(),
        failure: txn.or_else.iter().map(|key| range_op(key, cluster)).collect(),
    }
}

fn compare(compare: &Compare<Key>, cluster: &ClusterId) -> pb::Compare {
    use pb::compare::{CompareResult, CompareTarget, TargetUnion};
    let (key, target, union) = match compare {
        Compare::Modified(key, r) => (key, CompareTarget::Mod, TargetUnion::ModRevision(to_i64(*r))),
        Compare::Created(key, r) => (key, CompareTarget::Create, TargetUnion::CreateRevision(to_i64(*r))),
    };
    pb::Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: path(key, cluster),
        target_union: Some(union),
        range_end: Bytes::new(),
    }
}

fn put(put: &Put<Key, Value>, cluster: &ClusterId) -> pb::RequestOp {
    use pb::request_op::Request;
    let request = match put {
        Put::Set(key, value) => Request::RequestPut(pb::PutRequest {
            key: path(key, cluster),
            value: to_text(value).into(),
            ..Default::default()
        }),
        Put::Delete(key) => Request::RequestDeleteRange(pb::DeleteRangeRequest {
            key: path(key, cluster),
            ..Default::default()
        }),
    };
    pb::RequestOp { request: Some(request) }
}

/// What came of a transaction that was answered.
pub(super) fn outcome(
    txn: &Transaction,
    answer: &pb::TxnResponse,
    cluster: &ClusterId,
) -> Result<TransactionOutcome, CoordinatorFault> {
    if answer.succeeded {
        return Ok(TransactionOutcome::Committed(header_revision(answer.header.as_ref())));
    }
    Ok(TransactionOutcome::CompareFailed(records(&txn.or_else, answer, cluster)?))
}

/// The answer to [`read_request`], or to the `else` of a transaction: one range a key.
pub(super) fn records(
    keys: &[Key],
    answer: &pb::TxnResponse,
    cluster: &ClusterId,
) -> Result<Records, CoordinatorFault> {
    let mut found = Vec::with_capacity(keys.len());
    for (n, key) in keys.iter().enumerate() {
        let kv = match answer.responses.get(n).and_then(|r| r.response.as_ref()) {
            Some(pb::response_op::Response::ResponseRange(range)) => range.kvs.first(),
            _ => {
                return Err(CoordinatorFault::BadRecord {
                    key: key.path(cluster),
                    value: "no answer to the read".to_owned(),
                    expected: "a range for each key of a transaction".to_owned(),
                });
            }
        };
        found.push((key.clone(), kv.map(|kv| record(key, kv)).transpose()?));
    }
    Ok(Records { at: header_revision(answer.header.as_ref()), records: found })
}

/// One record.
pub(super) fn record(key: &Key, kv: &pb::KeyValue) -> Result<Versioned<Value>, CoordinatorFault> {
    let value = from_text(key, &kv.value).map_err(|bad| CoordinatorFault::BadRecord {
        key: String::from_utf8_lossy(&kv.key).into_owned(),
        value: bad.value,
        expected: bad.expected,
    })?;
    Ok(Versioned { created: revision(kv.create_revision), modified: revision(kv.mod_revision), value })
}

/// Reads all keys that begin so.
pub(super) fn list_request(prefix: &str) -> pb::TxnRequest {
    let request = Some(pb::request_op::Request::RequestRange(range_of(prefix)));
    pb::TxnRequest { compare: Vec::new(), success: vec![pb::RequestOp { request }], failure: Vec::new() }
}

/// The answer to [`list_request`], without what cannot be understood.
pub(super) fn listed(answer: &pb::TxnResponse, cluster: &ClusterId) -> Records {
    let mut found = Vec::new();
    for response in &answer.responses {
        let Some(pb::response_op::Response::ResponseRange(range)) = &response.response else { continue };
        for kv in &range.kvs {
            let key = std::str::from_utf8(&kv.key).ok().and_then(|k| Key::parse(k, cluster));
            match key.map(|key| record(&key, kv).map(|r| (key, Some(r)))) {
                Some(Ok(known)) => found.push(known),
                Some(Err(fault)) => tracing::warn!("ignored: {fault}"),
                None => tracing::warn!("ignored: the key `{}` is not ours", String::from_utf8_lossy(&kv.key)),
            }
        }
    }
    Records { at: header_revision(answer.header.as_ref()), records: found }
}

//! The two calls of the data path that carry most keys: 128 of them at once.
//! Each figure is per key; decoding includes looking at every key.
#![expect(clippy::panic, reason = "a benchmark that goes wrong has no figures")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use standfast_wire::calls::{BatchExistKey, BatchPutStart};
use standfast_wire::types::{
    BufferDescriptor, Descriptor, ErrorCode, MemoryDescriptor, ObjectDataType, ReplicaDescriptor,
    ReplicaStatus, ReplicateConfig, SoftPinAction, Uuid,
};
use standfast_wire::{Form, List, Method, Request, Str, frame};

const KEYS: usize = 128;
const TENANT: Str<'_> = b"default";

/// Keys of the length an inference engine makes from a model and a block hash.
fn keys() -> Vec<Vec<u8>> {
    (0..KEYS).map(|number| format!("llama-3.1-8b@tp4:2@{number:064x}").into_bytes()).collect()
}

fn put_start<'a>(keys: &'a [Str<'a>], lengths: &'a [u64]) -> BatchPutStart<'a> {
    let config = ReplicateConfig {
        replica_num: 1,
        nof_replica_num: 0,
        dfs_replica_num: 0,
        soft_pin_action: SoftPinAction::PRESERVE,
        soft_pin_ttl_ms: None,
        with_hard_pin: false,
        preferred_segments: List::default(),
        preferred_segment: b"",
        preferred_nof_segments: List::default(),
        prefer_alloc_in_same_node: false,
        data_type: ObjectDataType::KVCACHE,
        host_id: b"",
        group_ids: None,
    };
    let client_id = Uuid { first: 1, second: 2 };
    BatchPutStart {
        client_id,
        keys: List::new(keys),
        slice_lengths: List::new(lengths),
        config,
        tenant_id: TENANT,
    }
}

fn replica(number: u64) -> ReplicaDescriptor<'static> {
    let buffer_descriptor = BufferDescriptor {
        size: 1 << 20,
        buffer_address: 0x7f00_0000_0000 + (number << 20),
        protocol: b"tcp",
        transport_endpoint: b"192.168.17.23:16704",
    };
    let descriptor_variant = Descriptor::Memory(MemoryDescriptor { buffer_descriptor });
    ReplicaDescriptor { id: number, descriptor_variant, status: ReplicaStatus::PROCESSING }
}

/// What a server does with a request: find the call, check it, visit each key.
fn read(method: Method, payload: &[u8]) -> u64 {
    match Request::decode(method.contract().function_id, black_box(payload)) {
        Ok((Request::BatchPutStart(call), _)) => call
            .keys
            .iter()
            .zip(call.slice_lengths.iter())
            .map(|(key, length)| black_box(key).len() as u64 + length)
            .sum(),
        Ok((Request::BatchExistKey(call), _)) => {
            call.keys.iter().map(|key| black_box(key).len() as u64).sum()
        }
        other => panic!("{other:?}"),
    }
}

fn bench(c: &mut Criterion) {
    let owned = keys();
    let keys: Vec<Str<'_>> = owned.iter().map(Vec::as_slice).collect();
    let put = put_start(&keys, &[1 << 20; KEYS]);
    let exist = BatchExistKey { keys: List::new(&keys), tenant_id: TENANT };
    let mut out = Vec::with_capacity(1 << 20);

    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(KEYS as u64));
    for (form_name, form) in [("short", Form::SHORT), ("long", Form::LONG)] {
        for (name, method, request) in [
            ("BatchPutStart", Method::BatchPutStart, Request::BatchPutStart(put)),
            ("BatchExistKey", Method::BatchExistKey, Request::BatchExistKey(exist)),
        ] {
            let mut payload = Vec::new();
            request.encode(form, &mut payload);
            group
                .bench_function(format!("{name}/request/{form_name}"), |b| b.iter(|| read(method, &payload)));
        }
    }
    group.finish();

    let replicas: Vec<_> = (0..KEYS as u64).map(replica).collect();
    let started: Vec<_> = replicas.chunks(1).map(|replicas| Ok(List::new(replicas))).collect();
    let found: Vec<_> =
        (0..KEYS).map(|number| if number == 77 { Err(ErrorCode::INVALID_KEY) } else { Ok(true) }).collect();

    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("BatchPutStart/response", |b| {
        b.iter(|| {
            out.clear();
            frame::write_response::<BatchPutStart<'_>>(
                &mut out,
                7,
                black_box(&List::new(&started)),
                Form::SHORT,
            )
        });
    });
    group.bench_function("BatchExistKey/response", |b| {
        b.iter(|| {
            out.clear();
            frame::write_response::<BatchExistKey<'_>>(
                &mut out,
                7,
                black_box(&List::new(&found)),
                Form::SHORT,
            )
        });
    });
    group.bench_function("BatchPutStart/request", |b| {
        b.iter(|| {
            out.clear();
            frame::write_request(&mut out, 7, black_box(&put), Form::LONG)
        });
    });
    group.bench_function("BatchExistKey/request", |b| {
        b.iter(|| {
            out.clear();
            frame::write_request(&mut out, 7, black_box(&exist), Form::LONG)
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);

//! Whatever can be said is understood: round trips of generated messages.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::borrow::Cow;

use common::{Direction, Message};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use standfast_wire::calls::{BatchPutStart, BatchUpsertEnd, NotifyOffloadSuccess, ReMountSegment};
use standfast_wire::types::*;
use standfast_wire::{
    Form, Framer, List, Map, Method, Request, RequestHeader, Response, ResponseHeader, RpcError, Str, Width,
    frame,
};

fn form() -> impl Strategy<Value = Form> {
    let width = prop_oneof![Just(Width::One), Just(Width::Two), Just(Width::Four), Just(Width::Eight)];
    (any::<bool>(), option::of(width)).prop_map(|(literal, width)| Form { literal, width })
}

/// Bytes of any value; some need a length of two bytes.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![9 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 250..300)]
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<(u64, u64)>().prop_map(|(first, second)| Uuid { first, second })
}

fn views(texts: &[Vec<u8>]) -> Vec<Str<'_>> {
    texts.iter().map(Vec::as_slice).collect()
}

/// What a replica is made of, whichever kind it becomes.
type Ingredients = ((u64, u8, i32), (u64, u64, u64), Uuid, (Vec<u8>, Vec<u8>));

fn ingredients() -> impl Strategy<Value = Ingredients> {
    ((any::<u64>(), 0..5_u8, any::<i32>()), any::<(u64, u64, u64)>(), uuid(), (text(), text()))
}

fn replica(from: &Ingredients) -> ReplicaDescriptor<'_> {
    let ((id, kind, number), (first, second, third), client_id, (text, other_text)) = from;
    let buffer_descriptor = BufferDescriptor {
        size: *first,
        buffer_address: *second,
        protocol: text,
        transport_endpoint: other_text,
    };
    let descriptor_variant = match kind {
        0 => Descriptor::Memory(MemoryDescriptor { buffer_descriptor }),
        1 => Descriptor::NoF(NoFDescriptor { buffer_descriptor }),
        2 => Descriptor::Disk(DiskDescriptor { file_path: text, object_size: *first }),
        3 => Descriptor::LocalDisk(LocalDiskDescriptor {
            client_id: *client_id,
            object_size: *first,
            transport_endpoint: text,
        }),
        _ => Descriptor::DistributedFS(DistributedFSDescriptor {
            file_path: text,
            offset: *first,
            object_size: *second,
            aligned_size: *third,
            shard_idx: *number,
        }),
    };
    ReplicaDescriptor { id: *id, descriptor_variant, status: ReplicaStatus(*number) }
}

/// Encodes, decodes, compares; and the form is the one that was asked for.
fn survives(
    message: Message<'_>,
    method: Method,
    direction: Direction,
    form: Form,
) -> Result<(), TestCaseError> {
    let payload = message.encode(form);
    let (decoded, found) = Message::decode(method, direction, &payload)
        .map_err(|error| TestCaseError::fail(format!("{message:?}: {error}")))?;
    prop_assert_eq!(decoded.clone(), message);
    prop_assert_eq!(found.literal, form.literal);
    prop_assert!(found.width >= form.width);
    prop_assert_eq!(decoded.encode(found), payload);
    Ok(())
}

fn request_survives(request: Request<'_>, form: Form) -> Result<(), TestCaseError> {
    survives(Message::Request(request), request.method(), Direction::Request, form)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batch_put_start(
        client_id in uuid(),
        keys in prop_oneof![9 => vec(text(), 0..10), 1 => vec(Just(Vec::new()), 250..300)],
        slice_lengths in vec(any::<u64>(), 0..10),
        numbers in any::<(u64, u64, u64, u8, u8)>(),
        soft_pin_ttl_ms in option::of(any::<u64>()),
        flags in any::<(bool, bool)>(),
        segments in (vec(text(), 0..4), vec(text(), 0..4)),
        names in (text(), text(), text()),
        groups in option::of(vec(text(), 0..4)),
        form in form(),
    ) {
        let (keys, preferred, preferred_nof) = (views(&keys), views(&segments.0), views(&segments.1));
        let groups = groups.as_deref().map(views);
        let config = ReplicateConfig {
            replica_num: numbers.0,
            nof_replica_num: numbers.1,
            dfs_replica_num: numbers.2,
            soft_pin_action: SoftPinAction(numbers.3),
            soft_pin_ttl_ms,
            with_hard_pin: flags.0,
            preferred_segments: List::new(&preferred),
            preferred_segment: &names.0,
            preferred_nof_segments: List::new(&preferred_nof),
            prefer_alloc_in_same_node: flags.1,
            data_type: ObjectDataType(numbers.4),
            host_id: &names.1,
            group_ids: groups.as_deref().map(List::new),
        };
        let call = BatchPutStart {
            client_id,
            keys: List::new(&keys),
            slice_lengths: List::new(&slice_lengths),
            config,
            tenant_id: &names.2,
        };
        request_survives(Request::BatchPutStart(call), form)?;
    }

    #[test]
    fn remount_segment(
        client_id in uuid(),
        segments in vec((uuid(), any::<(u64, u64)>(), vec(text(), 4)), 0..6),
        form in form(),
    ) {
        let segments: Vec<_> = segments
            .iter()
            .map(|(id, (base, size), texts)| Segment {
                id: *id,
                name: &texts[0],
                base: *base,
                size: *size,
                te_endpoint: &texts[1],
                protocol: &texts[2],
                host_id: &texts[3],
            })
            .collect();
        request_survives(Request::ReMountSegment(ReMountSegment { segments: List::new(&segments), client_id }), form)?;
    }

    #[test]
    fn batch_upsert_end_and_offload_success(
        client_id in uuid(),
        items in vec((text(), text(), any::<i64>(), option::of(any::<u64>())), 0..6),
        tenant_id in text(),
        form in form(),
    ) {
        let metas: Vec<_> = items
            .iter()
            .map(|(key, _, _, checksum)| ObjectMeta { key, object_checksum: *checksum })
            .collect();
        let call = BatchUpsertEnd { client_id, object_metas: List::new(&metas), tenant_id: &tenant_id };
        request_survives(Request::BatchUpsertEnd(call), form)?;

        let tasks: Vec<_> = items
            .iter()
            .map(|(key, tenant_id, size, _)| OffloadTaskItem { tenant_id, key, size: *size })
            .collect();
        let metadatas: Vec<_> = items
            .iter()
            .map(|(endpoint, _, number, _)| StorageObjectMetadata {
                bucket_id: *number,
                offset: number.wrapping_add(1),
                key_size: number.wrapping_add(2),
                data_size: number.wrapping_add(3),
                transport_endpoint: endpoint,
            })
            .collect();
        let call = NotifyOffloadSuccess { client_id, tasks: List::new(&tasks), metadatas: List::new(&metadatas) };
        request_survives(Request::NotifyOffloadSuccess(call), form)?;
    }

    #[test]
    fn replicas_in_every_kind_of_answer(
        ingredients in vec(ingredients(), 1..6),
        key in text(),
        lease_ttl_ms in any::<u64>(),
        object_checksum in option::of(any::<u64>()),
        code in any::<i32>(),
        form in form(),
    ) {
        let replicas: Vec<_> = ingredients.iter().map(replica).collect();
        let list = List::new(&replicas);
        let read = Ok(GetReplicaListResponse { replicas: list, lease_ttl_ms, object_checksum });
        let results = [read, Err(ErrorCode(code)), read];
        let started = [Ok(list), Err(ErrorCode(code)), Ok(List::default())];
        let entries = [(&key[..], list), (b"", List::default())];
        for (method, response) in [
            (Method::GetReplicaList, Response::GetReplicaList(read)),
            (Method::BatchGetReplicaList, Response::BatchGetReplicaList(List::new(&results))),
            (Method::BatchPutStart, Response::BatchPutStart(List::new(&started))),
            (Method::GetReplicaListByRegex, Response::GetReplicaListByRegex(Ok(Map(List::new(&entries))))),
            (Method::CopyStart, Response::CopyStart(Ok(CopyStartResponse { source: replicas[0], targets: list }))),
            (Method::MoveStart, Response::MoveStart(Ok(MoveStartResponse { source: replicas[0], target: None }))),
        ] {
            survives(Message::Response(response), method, Direction::Response, form)?;
        }
    }

    #[test]
    fn addresses_by_client(clients in vec((uuid(), vec(text(), 0..4)), 0..5), form in form()) {
        let addresses: Vec<_> = clients.iter().map(|(id, texts)| (*id, views(texts))).collect();
        let entries: Vec<_> = addresses.iter().map(|(id, texts)| (*id, List::new(texts))).collect();
        let response = Response::BatchQueryIp(Ok(Map(List::new(&entries))));
        survives(Message::Response(response), Method::BatchQueryIp, Direction::Response, form)?;
    }

    /// Behind the right hash, any bytes are either refused or a message.
    #[test]
    fn random_values(number in 0..Method::ALL.len(), values in vec(prop_oneof![0..3_u8, any::<u8>()], 0..200)) {
        let method = Method::ALL[number];
        for direction in [Direction::Request, Direction::Response] {
            let contract = method.contract();
            let schema = if direction == Direction::Request { &contract.request } else { &contract.response };
            let payload = [&schema.hash().to_le_bytes()[..], &values].concat();
            if let Ok((message, form)) = Message::decode(method, direction, &payload) {
                let again = message.encode(form);
                prop_assert_eq!(Message::decode(method, direction, &again), Ok((message, form)));
            }
        }
    }

    #[test]
    fn frames_in_any_pieces(
        frames in vec((any::<(u8, u32, u32)>(), vec(any::<u8>(), 0..60), vec(any::<u8>(), 0..60)), 1..8),
        pieces in vec(1..90_usize, 1..40),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for ((msg_type, seq_num, function_id), payload, attachment) in &frames {
            let header = RequestHeader {
                msg_type: *msg_type,
                seq_num: *seq_num,
                function_id: *function_id,
                length: payload.len() as u32,
                attach_length: attachment.len() as u32,
            };
            stream.extend_from_slice(&[&header.to_bytes()[..], payload, attachment].concat());
            expected.push((header, payload.clone()));
        }
        let mut framer = Framer::<RequestHeader>::new(60);
        let mut found = Vec::new();
        let mut rest = &stream[..];
        for piece in pieces.iter().cycle() {
            let (bytes, behind) = rest.split_at(rest.len().min(*piece));
            rest = behind;
            framer.buffer().extend_from_slice(bytes);
            while let Some(frame) = framer.next_frame().map_err(|error| TestCaseError::fail(error.to_string()))? {
                found.push((frame.header, frame.payload.to_vec()));
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(found, expected);
        prop_assert!(framer.buffer().is_empty());
    }

    #[test]
    fn rpc_errors(code in 1..=u16::MAX, message in text(), seq_num in any::<u32>()) {
        let error = RpcError { code, message: Cow::Owned(message) };
        let mut bytes = Vec::new();
        prop_assert_eq!(frame::write_error(&mut bytes, seq_num, &error), Ok(()));
        let frame = common::only_frame::<ResponseHeader>(&bytes);
        prop_assert_eq!(frame.header.seq_num, seq_num);
        prop_assert_eq!(RpcError::decode(frame.header.err_code, &frame.payload), Ok(error));
    }
}

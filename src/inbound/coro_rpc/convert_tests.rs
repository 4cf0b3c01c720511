use super::*;

fn plain() -> w::ReplicateConfig<'static> {
    w::ReplicateConfig {
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
        data_type: w::ObjectDataType::UNKNOWN,
        host_id: b"",
        group_ids: None,
    }
}

/// SEMANTICS 2.2 and 8.1, as a master without NoF and DFS answers.
#[test]
fn configs_are_refused_as_a_stock_master_refuses_them() {
    type Change = fn(&mut w::ReplicateConfig<'static>);
    let params = Some(ErrorCode::INVALID_PARAMS);
    let cases: &[(&str, Change, Option<ErrorCode>)] = &[
        ("plain", |_| {}, None),
        ("no replica", |c| c.replica_num = 0, params),
        ("one in the file system", |c| c.dfs_replica_num = 1, Some(ErrorCode::DFS_SERVICE_UNAVAILABLE)),
        ("two in the file system", |c| c.dfs_replica_num = 2, params),
        ("only in the file system", |c| (c.replica_num, c.dfs_replica_num) = (0, 1), params),
        ("NoF", |c| c.nof_replica_num = 1, params),
        ("hard pin", |c| c.with_hard_pin = true, None),
        ("soft pin", |c| c.soft_pin_action = SoftPinAction::ENABLE, None),
        (
            "soft pin, longest",
            |c| (c.soft_pin_action, c.soft_pin_ttl_ms) = (SoftPinAction::ENABLE, Some(86_400_000)),
            None,
        ),
        (
            "soft pin, too long",
            |c| (c.soft_pin_action, c.soft_pin_ttl_ms) = (SoftPinAction::ENABLE, Some(86_400_001)),
            params,
        ),
        ("ttl without a pin", |c| c.soft_pin_ttl_ms = Some(1), params),
        ("unknown action", |c| c.soft_pin_action = SoftPinAction(3), params),
        ("a group a key", |c| c.group_ids = Some(List::new(&[b"g", b""])), None),
        ("a group too few", |c| c.group_ids = Some(List::new(&[b"g"])), params),
    ];
    for (what, change, refused) in cases {
        let mut c = plain();
        change(&mut c);
        assert_eq!(config(&c, 2, 2).err(), *refused, "{what}");
    }
    assert_eq!(config(&plain(), 2, 1).err(), params, "a size is missing");
}

#[test]
fn the_old_preferred_segment_overrides_the_list() {
    let mut c = plain();
    c.preferred_segments = List::new(&[b"a", b"b\xff", b"c"]);
    assert_eq!(config(&c, 1, 1).expect("valid").preferred_segments, ["a", "c"]);
    c.preferred_segment = b"old";
    assert_eq!(config(&c, 1, 1).expect("valid").preferred_segments, ["old"]);
}

#[test]
fn an_elements_own_fault_comes_before_the_configs() {
    let item = |key: &'static [u8], size| PutItem { key: Bytes::from_static(key), size };
    let dfs = ErrorCode::DFS_SERVICE_UNAVAILABLE;
    assert_eq!(refused_put(&item(b"", 1), dfs), ErrorCode::INVALID_PARAMS);
    assert_eq!(refused_put(&item(b"k", 0), dfs), ErrorCode::INVALID_PARAMS);
    assert_eq!(refused_put(&item(b"k", 1), dfs), dfs);
}

#[test]
fn names_of_a_segment_must_be_text() {
    let id = w::Uuid { first: 1, second: 2 };
    let mut s = w::Segment {
        id,
        name: b"host:1",
        base: 8,
        size: 9,
        te_endpoint: b"host:2",
        protocol: b"",
        host_id: b"",
    };
    let spec = segment(&s).expect("text");
    assert_eq!(
        (spec.name.as_str(), spec.te_endpoint.as_str(), spec.protocol.as_str()),
        ("host:1", "host:2", "tcp")
    );
    s.te_endpoint = b"\xff";
    assert_eq!(segment(&s).err(), Some(ErrorCode::INVALID_PARAMS));
}

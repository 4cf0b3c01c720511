use super::*;

fn plain() -> w::ReplicateConfig<'static> {
    w::ReplicateConfig {
        replica_num: 1,
        nof_replica_num: 0,
        dfs_replica_num: 0,
        soft_pin_action: w::SoftPinAction::PRESERVE,
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

#[test]
fn what_the_hall_judges_reaches_it_and_what_is_cut_into_batches_is_checked_here() {
    let payload = Bytes::from_static(b"g1g2name");
    let groups = [&payload[..2], &payload[2..4]];
    let mut c = plain();
    c.replica_num = u64::MAX;
    c.dfs_replica_num = 1;
    c.soft_pin_action = w::SoftPinAction(7);
    c.soft_pin_ttl_ms = Some(5);
    c.with_hard_pin = true;
    c.data_type = w::ObjectDataType::WEIGHT;
    c.group_ids = Some(List::new(&groups));
    c.preferred_segments = List::new(&[b"a", b"b\xff", b"c"]);
    c.preferred_segment = b"old";
    let expected = ReplicateConfig {
        replica_num: u32::MAX,
        nof_replica_num: 0,
        dfs_replica_num: 1,
        preferred_segments: vec!["a".to_owned(), "c".to_owned()],
        preferred_segment: "old".to_owned(),
        soft_pin_action: 7.into(),
        soft_pin_ttl_ms: Some(5),
        with_hard_pin: true,
        data_type: k::DataType(3),
        group_ids: Some(vec![Bytes::from_static(b"g1"), Bytes::from_static(b"g2")]),
        host_id: String::new(),
        prefer_alloc_in_same_node: false,
    };
    assert_eq!(config(&payload, &c, 2, 2), Ok(expected));
    let params = Some(ErrorCode::INVALID_PARAMS);
    assert_eq!(config(&payload, &c, 3, 3).err(), params, "a group is missing");
    assert_eq!(config(&payload, &plain(), 2, 1).err(), params, "a size is missing");
    let names = vec![&b"s"[..]; PREFERRED_SEGMENTS_MAX + 1];
    c.preferred_segments = List::new(&names);
    assert_eq!(config(&payload, &c, 2, 2).err(), params, "too many names");
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
        host_id: b"here",
    };
    let spec = segment(&s).expect("text");
    assert_eq!(
        (spec.name.as_str(), spec.te_endpoint.as_str(), spec.protocol.as_str()),
        ("host:1", "host:2", "tcp")
    );
    s.te_endpoint = b"\xff";
    assert_eq!(segment(&s).err(), Some(ErrorCode::INVALID_PARAMS));
}

use super::*;

/// Writes a value where the contract has it.
fn put(record: &mut [u8], offset: usize, value: &[u8]) {
    record[offset..offset + value.len()].copy_from_slice(value);
}

fn record() -> Vec<u8> {
    let mut record = vec![0; size_of::<Event>()];
    put(&mut record, offset_of!(Event, time), &5_000_000_000_u64.to_ne_bytes());
    put(&mut record, offset_of!(Event, cookie), &7_u64.to_ne_bytes());
    put(&mut record, offset_of!(Event, kind), &[Kind::Stratum as u8]);
    put(&mut record, offset_of!(Event, verdict), &[Verdict::Blocked as u8]);
    put(&mut record, offset_of!(Event, reason), &[Reason::Stratum as u8]);
    put(&mut record, offset_of!(Event, protocol), &[6]);
    put(&mut record, offset_of!(Event, remote_port), &3333_u16.to_ne_bytes());
    let remote = sentinel_common::address::from_v4([192, 0, 2, 1]);
    put(&mut record, offset_of!(Event, remote), &remote);
    let owner = offset_of!(Event, owner);
    put(&mut record, owner + offset_of!(WireOwner, tgid), &42_u32.to_ne_bytes());
    put(&mut record, owner + offset_of!(WireOwner, comm), b"xmrig\0junk");
    let excerpt = br#"{"method":"login","params":{"login":"48ed"}}"#;
    put(&mut record, offset_of!(Event, excerpt), excerpt);
    let length = u16::try_from(excerpt.len()).unwrap();
    put(&mut record, offset_of!(Event, excerpt_len), &length.to_ne_bytes());
    record
}

#[test]
fn a_record_is_read_field_by_field() {
    let event = decode(&record()).unwrap();
    assert_eq!(event.time, 5_000_000_000);
    assert_eq!(event.cookie, 7);
    assert_eq!(event.remote, Some("192.0.2.1:3333".parse().unwrap()));
    assert_eq!(event.local, None);
    assert_eq!(event.rule, Some(0));
    let owner = event.owner.unwrap();
    assert_eq!((owner.pid, owner.comm.as_str()), (42, "xmrig"));
    assert_eq!(event.said.login.as_deref(), Some("48ed"));
}

#[test]
fn every_other_length_is_refused() {
    let whole = record();
    for length in 0..whole.len() {
        assert_eq!(decode(&whole[..length]), Err(DecodeError::Short(length)));
    }
    let long = [whole.as_slice(), &[0]].concat();
    assert_eq!(decode(&long), Err(DecodeError::Long(long.len())));
}

#[test]
fn every_value_of_every_byte_reads_or_is_refused() {
    let whole = record();
    for index in 0..offset_of!(Event, excerpt) {
        for value in 0..=u8::MAX {
            let mut hostile = whole.clone();
            hostile[index] = value;
            if let Err(error) = decode(&hostile) {
                assert!(DecodeError::KINDS.contains(&error.kind()), "{error}");
            }
        }
    }
}

#[test]
fn an_unknown_discriminant_has_a_name() {
    let cases = [
        (offset_of!(Event, kind), "kind"),
        (offset_of!(Event, verdict), "verdict"),
        (offset_of!(Event, reason), "reason"),
        (offset_of!(Event, hook), "hook"),
        (offset_of!(Event, direction), "direction"),
    ];
    for (offset, kind) in cases {
        let mut hostile = record();
        hostile[offset] = 200;
        assert_eq!(decode(&hostile).unwrap_err().kind(), kind);
    }
    let mut hostile = record();
    let long = u16::try_from(EXCERPT + 1).unwrap();
    put(&mut hostile, offset_of!(Event, excerpt_len), &long.to_ne_bytes());
    assert_eq!(decode(&hostile), Err(DecodeError::Excerpt(long)));
}

#[test]
fn a_name_is_the_whole_excerpt_and_is_read_as_nothing_else() {
    for kind in [Kind::Dns, Kind::Tls] {
        let mut record = record();
        put(&mut record, offset_of!(Event, kind), &[kind as u8]);
        put(&mut record, offset_of!(Event, reason), &[Reason::PoolName as u8]);
        put(&mut record, offset_of!(Event, excerpt), b"EU.pool.example");
        put(&mut record, offset_of!(Event, excerpt_len), &15_u16.to_ne_bytes());
        put(&mut record, offset_of!(Event, rule), &2_u32.to_ne_bytes());
        let event = decode(&record).unwrap();
        assert_eq!(event.name.as_deref(), Some("eu.pool.example"));
        assert_eq!((event.rule, event.said), (Some(2), Said::default()));
        put(&mut record, offset_of!(Event, excerpt), b"\xff\0");
        put(&mut record, offset_of!(Event, excerpt_len), &2_u16.to_ne_bytes());
        assert_eq!(decode(&record).unwrap().name.as_deref(), Some("\u{fffd}\0"));
        put(&mut record, offset_of!(Event, excerpt_len), &[0; 2]);
        assert_eq!(decode(&record).unwrap().name, None);
    }
    assert_eq!(decode(&record()).unwrap().name, None);
}

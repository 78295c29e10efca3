//! Properties of the codec for arbitrary records and arbitrary bytes.

mod checks;

use checks::{Member, decodes_or_says_why, round_trips};
use kinesis_aggregation::{AggregateBuilder, MAGIC, decode, hash_key_of};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_length_is_exact_at_every_step_and_records_come_back(
        encoded_len_max in prop_oneof![0..200_usize, 200..5_000_usize, Just(1 << 20)],
        members in vec(member(), 0..60),
    ) {
        round_trips(encoded_len_max, &members);
    }

    #[test]
    fn long_numbers_come_back(lens in vec(prop_oneof![120..135_usize, 16_370..16_395_usize, 0..40_000_usize], 1..40)) {
        let members: Vec<Member> = lens
            .into_iter()
            .map(|len| Member {
                partition_key: "k".repeat(len % 300),
                explicit_hash_key: None,
                data: vec![0; len],
                tags: Vec::new(),
            })
            .collect();
        round_trips(usize::MAX, &members);
    }

    #[test]
    fn arbitrary_bytes_never_panic(data in vec(any::<u8>(), 0..300)) {
        decodes_or_says_why(&data);
        decodes_or_says_why(&[&MAGIC[..], &data].concat());
    }

    #[test]
    fn bytes_that_look_like_fields_never_panic(fields in vec(field(), 0..30)) {
        decodes_or_says_why(&fields.concat());
    }

    #[test]
    fn damaged_aggregates_never_panic(
        members in vec(member(), 1..20),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut data = aggregate(&members);
        for (at, byte) in damage {
            let at = at.index(data.len());
            data[at] = byte;
        }
        decodes_or_says_why(&data);
        decodes_or_says_why(&data[..end.index(data.len())]);
        if let Some(message) = data.strip_prefix(&MAGIC) {
            decodes_or_says_why(message);
        }
    }

    #[test]
    fn members_dealt_out_by_hash_key_stay_within_their_shards(
        members in vec(member(), 1..60),
        split in any::<u128>(),
    ) {
        let data = aggregate(&members);
        let whole = decode(&data).aggregate().expect("it was just built");
        let shards = [0..=split, split.saturating_add(1)..=u128::MAX];
        let mut dealt = 0;
        for shard in &shards {
            let mut child = AggregateBuilder::new(usize::MAX);
            for record in whole.iter().filter(|record| record.hash_key().is_ok_and(|key| shard.contains(&key))) {
                child.push_user_record(&record).expect("a part is no longer than the whole");
            }
            prop_assert!(child.as_aggregate().is_kept_by_kcl(shard));
            dealt += child.len();
        }
        prop_assert!(split == u128::MAX || dealt == members.len(), "a member was lost or doubled");
        let is_outside = |member: &Member| {
            member.explicit_hash_key.unwrap_or_else(|| hash_key_of(&member.partition_key)) > split
        };
        prop_assert_eq!(whole.is_kept_by_kcl(&shards[0]), !members.iter().any(is_outside));
    }
}

fn aggregate(members: &[Member]) -> Vec<u8> {
    let mut builder = AggregateBuilder::new(usize::MAX);
    for member in members {
        builder
            .push(&member.partition_key, member.explicit_hash_key, &member.data, &member.tags())
            .expect("there is no limit to speak of");
    }
    builder.finish().into()
}

fn member() -> impl Strategy<Value = Member> {
    let key = prop_oneof![
        4 => (0..20_u32).prop_map(|n| format!("key-{n}")),
        2 => "\\PC{0,40}",
        1 => "[a-zé漢🦀]{100,256}",
    ];
    let hash_key = prop_oneof![Just(0), Just(1), Just(u128::MAX), any::<u128>()];
    let data = prop_oneof![
        4 => vec(any::<u8>(), 0..150),
        1 => vec(any::<u8>(), 100..400),
        1 => vec(any::<u8>(), 0..20).prop_map(|data| [&MAGIC[..], &data].concat()),
    ];
    let tag = ("\\PC{0,10}", option::of("\\PC{0,10}"));
    let tags = prop_oneof![6 => Just(Vec::new()), 1 => vec(tag, 0..4)];
    (key, option::weighted(0.3, hash_key), data, tags).prop_map(
        |(partition_key, explicit_hash_key, data, tags)| Member {
            partition_key,
            explicit_hash_key,
            data,
            tags,
        },
    )
}

/// A tag, and something that may or may not follow one.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop_oneof![
        4 => prop::sample::select(&[0x08, 0x0a, 0x10, 0x12, 0x1a, 0x22][..]),
        1 => any::<u8>(),
    ];
    let content = prop_oneof![
        vec(any::<u8>(), 0..12).prop_map(|content| [&[content.len() as u8][..], &content].concat()),
        (0..4_u8).prop_map(|index| vec![index]),
        (0..4_u8, vec(any::<u8>(), 0..6)).prop_map(|(index, data)| {
            [&[data.len() as u8 + 4, 0x08, index, 0x1a, data.len() as u8][..], &data].concat()
        }),
        vec(any::<u8>(), 0..12),
    ];
    (tag, content).prop_map(|(tag, content)| [&[tag][..], &content].concat())
}

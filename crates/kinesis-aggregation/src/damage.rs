use core::fmt;

/// Why bytes that begin with the magic are not an aggregate.
///
/// The KPL and the KCL treat such a record as a plain one: its payload just happens to begin with those
/// four bytes. Do the same unless you know that your producers only write aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Damage {
    /// There is no room for a message between the magic and the checksum.
    TooShort,
    /// The last 16 bytes are not the MD5 of the message.
    Checksum,
    /// A field, or a varint, goes on beyond the end of the message that holds it.
    Truncated,
    /// A varint has more than 64 bits.
    VarintTooLong,
    /// A field's number is 0 or above 2²⁹ − 1.
    FieldNumber,
    /// A field of the format holds another kind of value than the format says, or an unknown field
    /// holds a group.
    WireType,
    /// A record lacks its partition key index or its data, or a tag its key.
    FieldMissing,
    /// A key or a tag is not UTF-8.
    NotUtf8,
    /// A record names a key that its table does not hold. (The KCL logs this one and loses what follows.)
    KeyIndex,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "nothing stands between the magic and the checksum",
            Self::Checksum => "the checksum does not match the message",
            Self::Truncated => "a field goes on beyond the end of its message",
            Self::VarintTooLong => "a varint has more than 64 bits",
            Self::FieldNumber => "a field has an impossible number",
            Self::WireType => "a field holds the wrong kind of value",
            Self::FieldMissing => "a required field is missing",
            Self::NotUtf8 => "a key or a tag is not UTF-8",
            Self::KeyIndex => "a record names a key that is not in its table",
        })
    }
}

impl core::error::Error for Damage {}

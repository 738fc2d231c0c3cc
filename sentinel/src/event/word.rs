//! The contract's enums as journal words, so that a line and its schema come from one list.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sentinel_common::event::{Hook, Kind};
use sentinel_common::flow::Direction;
use sentinel_common::verdict::{Loss, Reason, Verdict};
use serde::{Serialize, Serializer};

/// A closed list of words.
pub trait Words: Copy + Sized + 'static {
    /// The list's name in the schema.
    const NAME: &'static str;
    /// Every value.
    const ALL: &'static [Self];
    /// The word for this value.
    fn word(self) -> &'static str;
}

/// A value that is written as its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<T>(pub T);

impl<T: Words> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl<T: Words> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = T::ALL.iter().map(|value| value.word()).collect();
        json_schema!({ "type": "string", "enum": words })
    }
}

macro_rules! words {
    ($($type:ident),+) => {$(
        impl Words for $type {
            const NAME: &'static str = stringify!($type);
            const ALL: &'static [Self] = $type::ALL;
            fn word(self) -> &'static str {
                self.label()
            }
        }
    )+};
}

words!(Kind, Verdict, Reason, Hook, Loss);

impl Words for Direction {
    const NAME: &'static str = "Direction";
    const ALL: &'static [Self] = &[Self::Egress, Self::Ingress];
    fn word(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// Declares an enum of the journal's own together with its words.
macro_rules! word_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $crate::event::word::Words for $name {
            const NAME: &'static str = stringify!($name);
            const ALL: &'static [Self] = &[$(Self::$variant,)+];
            fn word(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}
pub(crate) use word_enum;

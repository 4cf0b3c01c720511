//! The three kinds of composite type. Each macro takes a declaration in
//! Rust's own words and makes the type and its [`super::Pack`].

/// A structure: its fields in order, nothing between them.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident $(<$life:lifetime>)? { $($fields:tt)* }) => {
        $crate::struct_pack::fields! {
            [$crate::struct_pack::code::OPEN] [$crate::struct_pack::code::CLOSE]
            $(#[$meta])* $name $(<$life>)? { $($fields)* }
        }
    };
}

/// The arguments of a call. Two or more are one anonymous structure, a single
/// one is itself, and none is an empty payload.
macro_rules! arguments {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name;

        impl<'a> $crate::struct_pack::Pack<'a> for $name {
            fn literal(_: &mut Vec<u8>) {}

            fn longest(&self) -> usize {
                0
            }

            fn encode(&self, _: &mut $crate::struct_pack::Writer<'_>) {}

            fn decode(_: &mut $crate::struct_pack::Reader<'a>) -> Result<Self, $crate::DecodeError> {
                Ok(Self)
            }
        }
    };
    ($(#[$meta:meta])* $name:ident $(<$life:lifetime>)? { $field:ident: $type:ty $(,)? }) => {
        $crate::struct_pack::fields! { [] [] $(#[$meta])* $name $(<$life>)? { $field: $type } }
    };
    ($(#[$meta:meta])* $name:ident $(<$life:lifetime>)? { $($fields:tt)* }) => {
        $crate::struct_pack::record! { $(#[$meta])* $name $(<$life>)? { $($fields)* } }
    };
}

/// A type with named fields and the codes around its literal.
macro_rules! fields {
    (
        [$($open:expr)?] [$($close:expr)?]
        $(#[$meta:meta])*
        $name:ident $(<$life:lifetime>)? { $($(#[$field_meta:meta])* $field:ident: $type:ty),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name $(<$life>)? { $($(#[$field_meta])* pub $field: $type,)+ }

        impl<'a> $crate::struct_pack::Pack<'a> for $name $(<$life>)? {
            fn literal(out: &mut Vec<u8>) {
                $(out.push($open);)?
                $(<$type as $crate::struct_pack::Pack<'a>>::literal(out);)+
                $(out.push($close);)?
            }

            fn longest(&self) -> usize {
                0 $(.max(self.$field.longest()))+
            }

            fn encode(&self, out: &mut $crate::struct_pack::Writer<'_>) {
                $(self.$field.encode(out);)+
            }

            fn decode(input: &mut $crate::struct_pack::Reader<'a>) -> Result<Self, $crate::DecodeError> {
                Ok(Self {
                    $($field: $crate::struct_pack::Pack::decode(input)
                        .map_err(|error| error.within(concat!(stringify!($name), ".", stringify!($field))))?,)+
                })
            }
        }
    };
}

/// An enum on the wire: an integer with names. Neither end checks the range,
/// so any integer is kept, and the caller decides about the ones unknown.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident: $integer:ty { $($value_name:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $integer);

        impl $name {
            $(pub const $value_name: Self = Self($value);)+

            /// The value's name, unless it has none in this release.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($value_name)),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(self.name().unwrap_or(stringify!($name))).field(&self.0).finish()
            }
        }

        impl<'a> $crate::struct_pack::Pack<'a> for $name {
            fn literal(out: &mut Vec<u8>) {
                <$integer as $crate::struct_pack::Pack<'a>>::literal(out);
            }

            fn longest(&self) -> usize {
                0
            }

            fn encode(&self, out: &mut $crate::struct_pack::Writer<'_>) {
                self.0.encode(out);
            }

            fn decode(input: &mut $crate::struct_pack::Reader<'a>) -> Result<Self, $crate::DecodeError> {
                $crate::struct_pack::Pack::decode(input).map(Self)
            }
        }
    };
}

pub(crate) use {arguments, fields, open_enum, record};

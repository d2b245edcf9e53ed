//! Enumerations that may grow: a value of a later version survives a round trip.

/// What both codecs need of such an enumeration.
pub(crate) trait OpenEnum: Sized {
    /// Returns the name in JSON.
    fn name(&self) -> &str;

    /// Returns the value with this name.
    fn from_name(name: &str) -> Self;

    /// Returns the number in binary; `None` for a value of a later version.
    fn number(&self) -> Option<u16>;

    /// Returns the value with this number, if this version knows it.
    fn from_number(number: u16) -> Option<Self>;
}

macro_rules! open_enum {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $number:literal $variant:ident $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
            /// A value of a later version.
            Other(Box<str>),
        }

        impl $crate::frame::OpenEnum for $type {
            fn name(&self) -> &str {
                match self { $(Self::$variant => $name,)* Self::Other(name) => name }
            }

            fn from_name(name: &str) -> Self {
                match name { $($name => Self::$variant,)* other => Self::Other(other.into()) }
            }

            fn number(&self) -> Option<u16> {
                match self { $(Self::$variant => Some($number),)* Self::Other(_) => None }
            }

            fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

pub(crate) use open_enum;

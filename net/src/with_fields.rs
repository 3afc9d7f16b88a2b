//! One `with_` method for each field of the structs of settings.
//!
//! These structs are `#[non_exhaustive]`, so that they can grow. Then a program cannot write a
//! value of them as a literal; it begins with the default and changes some fields.

/// Adds to a struct, for each field, a method that returns the value with another value of that
/// field.
macro_rules! with_fields {
    ($of:ident { $($method:ident: $field:ident: $type:ty,)+ }) => {
        impl $of {
            $(
                #[doc = concat!(
                    "The same with another [`", stringify!($field), "`](Self::", stringify!($field),
                    "). Not a yield point."
                )]
                #[must_use]
                pub fn $method(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }
    };
}

pub(crate) use with_fields;

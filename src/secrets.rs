//! The secrets of sources and providers: what one holds, where they are kept, when they are read again.

mod value;

pub use value::{Secret, SecretFault};

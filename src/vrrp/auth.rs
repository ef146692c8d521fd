//! Authentication.
/// placeholder
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// none
    None,
}

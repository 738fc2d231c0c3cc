//! Why a metadata service tells nothing.

/// Why it tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Nothing came in time.
    #[error("it does not answer within a second")]
    Silent,
    /// This host's own policies forbid the question.
    #[error("a policy in force denies the agent the way to it")]
    Denied,
    /// The connection was not to be had, or broke off.
    #[error("{0}")]
    Broken(String),
    /// It answered, with no success.
    #[error("it answers {0}")]
    Refused(u16),
    /// The answer is longer than any good one.
    #[error("its answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer makes no sense.
    #[error("its answer is not understood: {0}")]
    Foreign(&'static str),
}

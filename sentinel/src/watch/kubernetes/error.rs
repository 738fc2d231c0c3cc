//! Why the API server tells nothing.

/// Why the API server tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubernetesError {
    /// What says where it is and who asks cannot be read.
    #[error(
        "cannot find the Kubernetes API server: {0}; name a kubeconfig, or run in a pod with a service account"
    )]
    Settings(String),
    /// The service account may not.
    #[error(
        "the API server does not let the agent see {resource} ({code}): {message}; the chart's ClusterRole does"
    )]
    Refused {
        /// What was asked for.
        resource: &'static str,
        /// HTTP's code.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// It does not know what was asked for.
    #[error("the API server knows no {resource}: {message}")]
    Unknown {
        /// What was asked for.
        resource: &'static str,
        /// The server's words.
        message: String,
    },
    /// What was seen last is too long ago: all must be listed again.
    #[error("the API server no longer knows what has changed since")]
    Expired,
    /// It answered with an error.
    #[error("the API server answers {code}: {message}")]
    Failed {
        /// HTTP's code.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// It did not answer.
    #[error("the API server does not answer: {0}")]
    Silent(String),
}

impl KubernetesError {
    /// What an error of the client is, about these objects.
    pub(super) fn of(resource: &'static str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::answered(resource, status.code, &status.message),
            other => Self::Silent(innermost(other)),
        }
    }

    /// What an answer with this code is.
    pub(super) fn answered(resource: &'static str, code: u16, message: &str) -> Self {
        let message = message.to_owned();
        match code {
            401 | 403 => Self::Refused { resource, code, message },
            404 => Self::Unknown { resource, message },
            410 => Self::Expired,
            _ => Self::Failed { code, message },
        }
    }

    /// Whether asking again soon is no use.
    #[must_use]
    pub const fn is_likely_to_last(&self) -> bool {
        matches!(self, Self::Settings(_) | Self::Refused { .. } | Self::Unknown { .. })
    }
}

/// The last cause says most: "connection refused" rather than "client error".
fn innermost(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_last_is_told_from_what_will_pass() {
        let of = |code| KubernetesError::answered("pods", code, "no");
        assert!(of(403).is_likely_to_last() && of(404).is_likely_to_last());
        assert!(!of(500).is_likely_to_last() && !of(429).is_likely_to_last());
        assert_eq!(of(410), KubernetesError::Expired);
        assert!(of(403).to_string().contains("does not let the agent see pods (403)"));
    }
}

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
    fn an_answer_is_told_by_its_code() {
        let of = |code| KubernetesError::answered("pods", code, "no");
        assert_eq!(of(410), KubernetesError::Expired);
        assert!(matches!(of(404), KubernetesError::Unknown { .. }));
        assert!(of(403).to_string().contains("does not let the agent see pods (403)"));
        assert_eq!(of(500).to_string(), "the API server answers 500: no");
    }
}

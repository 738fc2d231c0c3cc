//! Calls of the Container Runtime Interface over a runtime's unix socket, each with a deadline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use prost::Message;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::messages::{Empty, Event, StatusRequest};

/// How long a runtime may take for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Largest answer that is taken, bytes; the kubelet takes the same.
const ANSWER: usize = 16 * 1024 * 1024;

/// Why a runtime does not tell of its containers.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// Nothing is there.
    #[error("{0} is not there: start the runtime, or name its socket with cri")]
    Absent(PathBuf),
    /// Nobody listens, or not as one should.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// It hangs.
    #[error("no answer to {0} within {PATIENCE:?}: is the runtime overloaded or stopped?")]
    Timeout(&'static str),
    /// It knows no such call.
    #[error(
        "it does not know {0}: it needs CRI v1, and containerd must not have the cri plugin disabled"
    )]
    Unknown(&'static str),
    /// What was asked about is gone.
    #[error("what {0} asked about is gone")]
    Gone(&'static str),
    /// It answers with an error.
    #[error("{0} failed: {1}")]
    Failed(&'static str, String),
}

/// A connection to a runtime.
#[derive(Clone, Debug)]
pub(super) struct Client {
    grpc: Grpc<Channel>,
}

/// A call, by its name in errors and its path.
pub(super) struct Call(&'static str, &'static str);

pub(super) const VERSION: Call = Call("Version", "/runtime.v1.RuntimeService/Version");
pub(super) const LIST_SANDBOXES: Call =
    Call("ListPodSandbox", "/runtime.v1.RuntimeService/ListPodSandbox");
pub(super) const LIST_CONTAINERS: Call =
    Call("ListContainers", "/runtime.v1.RuntimeService/ListContainers");
pub(super) const SANDBOX_STATUS: Call =
    Call("PodSandboxStatus", "/runtime.v1.RuntimeService/PodSandboxStatus");
pub(super) const CONTAINER_STATUS: Call =
    Call("ContainerStatus", "/runtime.v1.RuntimeService/ContainerStatus");
const EVENTS: Call = Call("GetContainerEvents", "/runtime.v1.RuntimeService/GetContainerEvents");

impl Client {
    pub(super) async fn connect(socket: &Path) -> Result<Self, CriError> {
        if !socket.exists() {
            return Err(CriError::Absent(socket.to_owned()));
        }
        let refused = |error: tonic::transport::Error| CriError::Connect(innermost(&error));
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        let endpoint = endpoint.map_err(refused)?;
        let channel = timeout(PATIENCE, endpoint.connect()).await;
        let channel = channel.map_err(|_| CriError::Timeout("connect"))?.map_err(refused)?;
        Ok(Self { grpc: Grpc::new(channel).max_decoding_message_size(ANSWER) })
    }

    /// Asks without an argument.
    pub(super) async fn ask<R: Message + Default + 'static>(
        &mut self,
        call: &Call,
    ) -> Result<R, CriError> {
        self.call(call, Empty {}).await
    }

    /// Asks about one thing.
    pub(super) async fn ask_about<R: Message + Default + 'static>(
        &mut self,
        call: &Call,
        id: &str,
    ) -> Result<R, CriError> {
        self.call(call, StatusRequest { id: id.to_owned() }).await
    }

    async fn call<Q, R>(&mut self, Call(name, path): &Call, question: Q) -> Result<R, CriError>
    where
        Q: Message + Default + 'static,
        R: Message + Default + 'static,
    {
        let call = async {
            let unready = |error: tonic::transport::Error| Status::unavailable(innermost(&error));
            self.grpc.ready().await.map_err(unready)?;
            let codec = ProstCodec::<Q, R>::default();
            let mut request = Request::new(question);
            // The runtime is told too, so that it need not go on for nobody.
            request.set_timeout(PATIENCE);
            self.grpc.unary(request, PathAndQuery::from_static(path), codec).await
        };
        let answer = timeout(PATIENCE, call).await.map_err(|_| CriError::Timeout(name))?;
        answer.map(tonic::Response::into_inner).map_err(|status| error(name, &status))
    }

    /// What happens to containers from now on; an error where the runtime does not tell.
    pub(super) async fn events(&mut self) -> Result<Streaming<Event>, CriError> {
        let Call(name, path) = EVENTS;
        let call = async {
            let unready = |error: tonic::transport::Error| Status::unavailable(innermost(&error));
            self.grpc.ready().await.map_err(unready)?;
            let codec = ProstCodec::<Empty, Event>::default();
            let request = Request::new(Empty {});
            self.grpc.server_streaming(request, PathAndQuery::from_static(path), codec).await
        };
        let stream = timeout(PATIENCE, call).await.map_err(|_| CriError::Timeout(name))?;
        stream.map(tonic::Response::into_inner).map_err(|status| error(name, &status))
    }
}

fn error(name: &'static str, status: &Status) -> CriError {
    match status.code() {
        Code::Unimplemented => CriError::Unknown(name),
        Code::NotFound => CriError::Gone(name),
        // The second is what tonic makes of its own deadline.
        Code::DeadlineExceeded | Code::Cancelled => CriError::Timeout(name),
        _ => CriError::Failed(name, status.message().to_owned()),
    }
}

/// What the system said, without the layers around it.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

impl CriError {
    /// Whether it is for someone to mend, and not for time.
    pub(super) const fn is_likely_to_last(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

//! One question over HTTP, one answer: no name is looked up, no proxy asked, no redirection followed.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::MetadataError;

/// How long a question may take, with its connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of the longest answer that is read, and of its head.
const BODY: usize = 64 * 1024;
const HEAD: usize = 16 * 1024;

/// What Google's service wants to hear, and answers with.
pub(super) const GOOGLE: (&str, &str) = ("Metadata-Flavor", "Google");

/// A question.
pub(super) struct Question<'a> {
    method: Method,
    path: &'a str,
    header: (&'static str, &'a str),
}

/// A successful answer.
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// It says that it is Google's.
    pub(super) is_googles: bool,
}

impl<'a> Question<'a> {
    pub(super) const fn get(path: &'a str, header: (&'static str, &'a str)) -> Self {
        Self { method: Method::GET, path, header }
    }

    pub(super) const fn put(path: &'a str, header: (&'static str, &'a str)) -> Self {
        Self { method: Method::PUT, path, header }
    }

    pub(super) async fn ask(self, address: SocketAddr) -> Result<Answer, MetadataError> {
        timeout(PATIENCE, self.exchange(address)).await.unwrap_or(Err(MetadataError::Silent))
    }

    async fn exchange(self, address: SocketAddr) -> Result<Answer, MetadataError> {
        let stream = TcpStream::connect(address).await.map_err(|error| of_system(&error))?;
        let mut client = http1::Builder::new();
        let shaken = client.max_buf_size(HEAD).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| broken(&error))?;
        let (name, value) = self.header;
        let request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(HOST, address.ip().to_string())
            .header(name, value)
            .body(Empty::<Bytes>::new())
            .map_err(|_| MetadataError::Foreign("its token is no header"))?;
        let answer = async move {
            let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
            let answer = read(response).await;
            drop(sender);
            answer
        };
        beside(answer, connection).await
    }
}

/// The answer, while the connection is driven that brings it.
async fn beside<T>(answer: impl Future<Output = T>, connection: impl Future) -> T {
    let (mut answer, connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // What it has brought is there still.
        _ = connection => answer.await,
    }
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Answer, MetadataError> {
    if response.status() != hyper::StatusCode::OK {
        return Err(MetadataError::Refused(response.status().as_u16()));
    }
    let (name, value) = GOOGLE;
    let is_googles = response.headers().get(name).is_some_and(|said| said == value);
    match Limited::new(response.into_body(), BODY).collect().await {
        Ok(body) => Ok(Answer { body: body.to_bytes(), is_googles }),
        Err(error) if error.is::<LengthLimitError>() => Err(MetadataError::TooLong(BODY)),
        Err(error) => Err(MetadataError::Broken(format!("it broke off: {error}"))),
    }
}

fn of_system(error: &io::Error) -> MetadataError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => MetadataError::Denied,
        _ => MetadataError::Broken(error.to_string()),
    }
}

/// The last cause says most.
fn broken(error: &hyper::Error) -> MetadataError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let why = error.source().map_or_else(|| error.to_string(), |_| cause.to_string());
    MetadataError::Broken(why)
}

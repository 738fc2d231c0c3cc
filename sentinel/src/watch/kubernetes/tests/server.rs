//! An API server in memory, below the client: it lists, it is watched, and it goes away.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// What is watched, by its path.
pub(super) const WATCHED: [&str; 6] = [
    "/api/v1/pods",
    "/api/v1/namespaces",
    "/api/v1/services",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/sentinel.dev/v1alpha1/egresspolicies",
    "/apis/sentinel.dev/v1alpha1/clusteregresspolicies",
];

/// The server; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Server {
    state: Arc<Mutex<State>>,
    /// Whether it is there.
    there: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    pods: usize,
    /// Objects' version; older ones than `oldest` it does not know any more.
    version: u64,
    oldest: u64,
    asked: Vec<(String, Instant)>,
    lists: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        let state = State { version: 1, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), there: watch::Sender::new(true) }
    }
}

type Answer = Result<Response<Lines>, io::Error>;
type Lines = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, io::Error>>>;

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client whose requests come here.
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let answer = move |request: Request<Body>| {
            let answer = server.answer(request.uri().path(), request.uri().query());
            async move { answer }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    pub(super) fn set_pods(&self, pods: usize) {
        let mut state = self.state();
        (state.pods, state.version) = (pods, state.version + 1);
    }

    /// It knows no version but the newest any more, as after an hour of changes.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.oldest = state.version;
    }

    /// It is gone: connections break, and new ones are refused.
    pub(super) fn leave(&self) {
        self.there.send_replace(false);
    }

    pub(super) fn come_back(&self) {
        self.there.send_replace(true);
    }

    /// When this was asked for since then, answered or not.
    pub(super) fn asked(&self, path: &str, since: Instant) -> Vec<Instant> {
        let state = self.state();
        let asked = state.asked.iter().filter(|(of, at)| of == path && *at >= since);
        asked.map(|(_, at)| *at).collect()
    }

    /// How often this was listed.
    pub(super) fn lists(&self, path: &str) -> usize {
        self.state().lists.iter().filter(|of| *of == path).count()
    }

    fn answer(&self, path: &str, query: Option<&str>) -> Answer {
        let mut state = self.state();
        state.asked.push((path.to_owned(), Instant::now()));
        if !*self.there.borrow() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let of = |name: &str| {
            let pairs =
                query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find_map(|(key, value)| (key == name).then(|| value.to_owned()))
        };
        if !WATCHED.contains(&path) {
            // This node's own object.
            let node = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node-0"}});
            return Ok(whole(&node));
        }
        if of("watch").is_none_or(|watch| watch != "true") {
            state.lists.push(path.to_owned());
            return Ok(whole(&list(path, &state)));
        }
        let from = of("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
        let gone = (from < state.oldest).then(|| {
            json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "message": "too old", "reason": "Expired", "code": 410}})
        });
        let seconds = of("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(300);
        Ok(Response::new(self.watched(gone, Duration::from_secs(seconds))))
    }

    /// A watch in which nothing happens, until its time is over or the server leaves.
    fn watched(&self, first: Option<Value>, lasting: Duration) -> Lines {
        let first = first.map(|event| Ok(Frame::data(Bytes::from(format!("{event}\n")))));
        let mut there = self.there.subscribe();
        let rest = stream::once(async move {
            match timeout(lasting, there.wait_for(|there| !there)).await {
                Ok(_) => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                Err(_) => Ok(Frame::data(Bytes::new())),
            }
        });
        StreamBody::new(stream::iter(first).chain(rest).boxed())
    }
}

fn whole(value: &Value) -> Response<Lines> {
    let text = Bytes::from(value.to_string());
    Response::new(StreamBody::new(stream::iter([Ok(Frame::data(text))]).boxed()))
}

fn list(path: &str, state: &State) -> Value {
    let pod = |number: usize| {
        json!({"metadata": {"namespace": "shop", "name": format!("pod-{number}"),
            "uid": format!("uid-{number}"), "resourceVersion": "1"},
            "spec": {"nodeName": "node-0"}, "status": {"phase": "Running"}})
    };
    let items: Vec<Value> =
        if path.ends_with("/pods") { (0..state.pods).map(pod).collect() } else { Vec::new() };
    json!({"kind": "List", "apiVersion": "v1", "items": items,
        "metadata": {"resourceVersion": state.version.to_string()}})
}

//! HTTP: everything on a unix socket that only root opens; on TCP what a scraper and a probe need.

mod in_force;
mod remarks;
mod serve;
mod shared;
mod sockets;
mod status;
mod whereabouts;

pub use in_force::{InForce, in_force};
pub use remarks::Remark;
pub use serve::{SOCKET, ServeError, Servers};
pub use shared::{About, Attached, Shared};
pub use sockets::{Connection, Sockets};
pub use status::{
    AtStart, Audited, HookFigures, KubernetesFigures, LearnedFigures, Outcomes, RuntimeFigures,
    Status,
};
pub use whereabouts::{NodeFigures, NodeNow, Whereabouts};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use tokio::task::spawn_blocking;

use crate::audit;
use crate::datapath::ServerName;
use crate::lookups::{Known, Question};
use crate::policy::Pattern;
use crate::watch::clock;

/// What anyone who reaches the TCP port may read.
fn public(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(shared)
}

/// The unix socket: the same, and what names processes and paths.
fn private(shared: Arc<Shared>) -> Router {
    let more = Router::new()
        .route("/status", get(status))
        .route("/sockets", get(sockets))
        .route("/audit", get(audit))
        .route("/server-names", post(server_names))
        .route("/lookups", post(looked_up))
        .route("/learned", post(learned))
        .with_state(Arc::clone(&shared));
    public(shared).merge(more)
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    shared.refresh();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics().render()).into_response()
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.not_ready() {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// What policies under audit would have cut, and what of it is open.
async fn audit(State(shared): State<Arc<Shared>>) -> Response {
    let looked = spawn_blocking(move || {
        let mut report = shared.audits().report();
        let (set, cap) = shared.audits().policies();
        let folder = shared.with_datapath(|datapath| datapath.cgroup().to_owned());
        if let (false, Some(folder)) = (report.policies.is_empty(), folder) {
            let now = clock::now().now;
            let names = |cgroup, address| shared.lookups().names(cgroup, address, now);
            let learned = |address| shared.learned(address);
            let known = audit::Known { names: &names, learned: &learned };
            let pods = shared.pods().now();
            for (policy, cut) in audit::open((&set, cap), &folder, &pods, &known) {
                report.add(&policy, cut);
            }
        }
        report
    });
    match looked.await {
        Ok(report) => Json(report).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Sockets that are asked about at once.
const SOCKETS: usize = 65_536;

/// Whom TLS handshakes asked for, by the sockets' cookies; those that nobody knows are left out.
async fn server_names(
    State(shared): State<Arc<Shared>>,
    Json(cookies): Json<Vec<u64>>,
) -> Json<BTreeMap<u64, String>> {
    let names = cookies.into_iter().take(SOCKETS).filter_map(|cookie| {
        match shared.with_datapath(|datapath| datapath.server_name(cookie)) {
            Some(Ok(Some(ServerName::Named(name)))) => Some((cookie, name)),
            _ => None,
        }
    });
    Json(names.collect())
}

/// The patterns of names that the kernel takes these addresses for.
async fn learned(
    State(shared): State<Arc<Shared>>,
    Json(addresses): Json<Vec<IpAddr>>,
) -> Json<Vec<Vec<String>>> {
    let text = |patterns: Vec<Pattern>| patterns.iter().map(ToString::to_string).collect();
    let addresses = addresses.into_iter().take(ADDRESSES);
    Json(addresses.map(|address| text(shared.learned(address))).collect())
}

/// Addresses that are asked about at once.
const ADDRESSES: usize = 65_536;

/// By which names workloads had asked for addresses, and whom.
async fn looked_up(
    State(shared): State<Arc<Shared>>,
    Json(mut question): Json<Question>,
) -> Json<Known> {
    question.truncate(ADDRESSES);
    Json(shared.lookups().known(&question, clock::now().now))
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Status> {
    Json(Status::of(&shared))
}

async fn sockets(State(shared): State<Arc<Shared>>) -> Response {
    match spawn_blocking(move || Sockets::of(&shared)).await {
        Ok(Some(found)) => Json(found).into_response(),
        Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        Err(error) => {
            tracing::error!("the connections could not be listed: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

//! The listeners.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::{Shared, private, public};

/// The socket's name in the state folder.
pub const SOCKET: &str = "sentinel.sock";

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {error}; choose another with --listen, or port 0 for any")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The state folder cannot be used.
    #[error("cannot use the state folder {path}: {error}; choose another with --state-dir")]
    StateDir {
        /// The folder or the socket in it.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is one already.
    #[error("another sentinel answers on {0}: stop it first, or give this one its own --state-dir")]
    Running(PathBuf),
}

/// Running listeners; dropped, they end and the socket's file goes.
#[derive(Debug)]
pub struct Servers {
    /// The address bound for TCP.
    pub address: Option<SocketAddr>,
    socket: PathBuf,
    _tasks: JoinSet<()>,
}

impl Servers {
    /// Binds both.
    ///
    /// # Errors
    /// When either cannot be bound.
    pub async fn start(
        shared: &Arc<Shared>,
        state_dir: &Path,
        listen: Option<SocketAddr>,
    ) -> Result<Self, ServeError> {
        let mut tasks = JoinSet::new();
        let mut address = None;
        if let Some(wanted) = listen {
            let refused = |error| ServeError::Listen { address: wanted, error };
            let listener = TcpListener::bind(wanted).await.map_err(refused)?;
            address = Some(listener.local_addr().map_err(refused)?);
            let router = public(Arc::clone(shared));
            tasks.spawn(async move { ended(axum::serve(listener, router).await) });
        }
        let socket = state_dir.join(SOCKET);
        let listener = bind(state_dir, &socket).await?;
        let router = private(Arc::clone(shared));
        tasks.spawn(async move { ended(axum::serve(listener, router).await) });
        Ok(Self { address, socket, _tasks: tasks })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.socket) {
            tracing::debug!("{} is left behind: {error}", self.socket.display());
        }
    }
}

async fn bind(state_dir: &Path, socket: &Path) -> Result<UnixListener, ServeError> {
    let refused = |error| ServeError::StateDir { path: socket.to_owned(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(refused)?;
    if tokio::net::UnixStream::connect(socket).await.is_ok() {
        return Err(ServeError::Running(socket.to_owned()));
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(refused)?;
    fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(refused)?;
    Ok(listener)
}

fn ended(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!("the API has ended: {error}");
    }
}

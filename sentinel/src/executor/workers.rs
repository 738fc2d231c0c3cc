//! Threads for what may take milliseconds: `/proc`, the cgroup tree, other network namespaces.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tokio::sync::mpsc;

use crate::action::EventId;
use crate::attribution::Socket;
use crate::engine::{Fact, Input};
use crate::respond::sock_destroy;
use crate::watch::resolver::{Question, Resolver};

/// Questions about known processes that may wait: each takes well below a millisecond.
const RESOLVE_QUEUE: usize = 1024;
/// Questions about unknown ones: each may take a walk over `/proc`.
const SEARCH_QUEUE: usize = 64;
/// Sockets that may wait for their end.
const DESTROY_QUEUE: usize = 1024;

/// A socket to destroy.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: EventId,
    pub(super) socket: Socket,
    /// A process that most likely shares its network namespace.
    pub(super) pid: Option<u32>,
    /// A cgroup whose processes do as well.
    pub(super) cgroup: Option<String>,
}

/// The threads end when this is dropped.
#[derive(Debug)]
pub(super) struct Workers {
    resolve: SyncSender<Question>,
    search: SyncSender<Question>,
    destroy: SyncSender<Order>,
}

impl Workers {
    pub(super) fn start(answers: &mpsc::Sender<Input>) -> io::Result<Self> {
        let answer = |resolver: &mut Resolver, question: Question| {
            Fact::Maker(question.id, resolver.answer(&question))
        };
        Ok(Self {
            resolve: worker("resolve", RESOLVE_QUEUE, answers, answer)?,
            search: worker("search", SEARCH_QUEUE, answers, answer)?,
            destroy: worker("destroy", DESTROY_QUEUE, answers, end)?,
        })
    }

    /// `false` when there is no room.
    pub(super) fn resolve(&self, question: Question) -> bool {
        let queue = if question.owner.is_some() { &self.resolve } else { &self.search };
        queue.try_send(question).is_ok()
    }

    /// `false` when there is no room.
    pub(super) fn destroy(&self, order: Order) -> bool {
        self.destroy.try_send(order).is_ok()
    }
}

fn end(resolver: &mut Resolver, order: Order) -> Fact {
    let own = std::process::id();
    // The cgroup is only read when the process did not help.
    let others = || resolver.processes(order.cgroup.as_deref()).into_iter().chain([own]);
    let likely = order.pid.into_iter().chain(std::iter::once_with(others).flatten());
    Fact::Countermeasure(order.id, sock_destroy(&order.socket, likely))
}

fn worker<T: Send + 'static>(
    name: &str,
    queue: usize,
    answers: &mpsc::Sender<Input>,
    work: impl Fn(&mut Resolver, T) -> Fact + Send + 'static,
) -> io::Result<SyncSender<T>> {
    let (orders, received): (SyncSender<T>, Receiver<T>) = sync_channel(queue);
    let answers = answers.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let mut resolver = Resolver::new();
        for order in received {
            let fact = work(&mut resolver, order);
            if answers.blocking_send(Input::Fact(fact)).is_err() {
                break;
            }
        }
    })?;
    Ok(orders)
}

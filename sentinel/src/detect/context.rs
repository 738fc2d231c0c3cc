//! Terms from who holds a connection and where it leads. All is optional: what is not known is left
//! out, and counts neither for nor against.

use super::settings::Weights;
use super::term::{Term, TermName, ramp};

/// What is known beside the traffic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// Where it leads, when there is a list to ask.
    pub destination: Option<Destination>,
    /// The name it was opened by, when it was seen being opened.
    pub name: Option<Name>,
    /// The workload's use of the processor.
    pub cpu: Option<Cpu>,
    /// The program's file.
    pub binary: Option<Binary>,
    /// It began like stratum V2's encrypted handshake.
    pub noise: bool,
}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A feed gives the address to a mining pool.
    Feed(String),
    /// The allowlist does not name it.
    NotAllowed,
    /// The allowlist names it.
    Allowed,
    /// There is no list; the port is one that pools use.
    PoolPort(u16),
}

/// The name a connection was opened by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A pool's, by a feed.
    Pool(String),
    /// Any other.
    Other(String),
    /// The handshake named nobody, as a miner's does by default and few others do.
    Nobody,
}

/// A workload's use of the processor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cpu {
    /// Processors kept busy, on average over the time it was watched.
    pub cores: f64,
    /// Processors it may use: its limit, or all there are.
    pub limit: f64,
    /// Seconds it was watched.
    pub seconds: f64,
    /// The part of that time, 0 to 1, in which something of it waited for a processor; 0 where the
    /// kernel does not tell. A miner is often the first to give way.
    pub waiting: f64,
}

/// What is odd about a program's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binary {
    /// It was written, or its process started, less than an hour ago.
    pub fresh: bool,
    /// It is gone from the disk.
    pub deleted: bool,
    /// It never was on one (`memfd_create(2)`).
    pub in_memory: bool,
    /// It is in `/tmp`, `/var/tmp` or `/dev/shm`.
    pub in_temporary: bool,
}

impl Context {
    pub(super) fn terms(&self, weights: &Weights) -> Vec<Term> {
        let noise = || (1.0, "the handshake has the sizes of stratum V2's".to_owned());
        let all = [
            (TermName::Destination, self.destination.as_ref().map(Destination::term)),
            (TermName::Names, self.name.as_ref().map(Name::term)),
            (TermName::Cpu, self.cpu.as_ref().map(Cpu::term)),
            (TermName::Binary, self.binary.as_ref().map(Binary::term)),
            (TermName::Noise, self.noise.then(noise)),
        ];
        let known = all.into_iter().filter_map(|(name, term)| {
            let (value, detail) = term?;
            Some(Term { name, value, weight: weights.of(name), detail })
        });
        known.filter(|term| term.weight > 0.0).collect()
    }
}

impl Destination {
    fn term(&self) -> (f64, String) {
        match self {
            Self::Feed(feed) => {
                (1.0, format!("the feed {feed} gives this address to a mining pool"))
            }
            Self::NotAllowed => (0.8, "the allowlist does not name this address".to_owned()),
            Self::Allowed => (0.0, "the allowlist names this address".to_owned()),
            Self::PoolPort(port) => (0.8, format!("port {port} is one that pools use")),
        }
    }
}

impl Name {
    fn term(&self) -> (f64, String) {
        match self {
            Self::Pool(name) => (1.0, format!("opened by the name {name}, a mining pool's")),
            Self::Nobody => (0.7, "the TLS handshake named nobody".to_owned()),
            Self::Other(name) => (0.2, format!("opened by the name {name}")),
        }
    }
}

impl Cpu {
    /// 0 to 1: a core kept busy, or most of what the workload may use; what it waited for counts as
    /// what it used.
    fn busy(&self) -> f64 {
        let wanted = self.cores + self.waiting;
        let of_limit = wanted / self.limit.max(0.01);
        ramp(wanted, 0.2, 0.9).max(ramp(of_limit, 0.3, 0.8))
    }

    /// Whether the workload leaves the processor to others. Where there is a card to mine on, that
    /// says nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.busy() < 0.5
    }

    fn term(&self) -> (f64, String) {
        let Self { cores, limit, seconds, waiting } = *self;
        let mut detail = format!("{cores:.2} of {limit:.1} processors busy over {seconds:.0} s");
        if waiting >= 0.01 {
            detail = format!("{detail}, waiting for one {:.0}% of the time", waiting * 100.0);
        }
        (self.busy(), detail)
    }
}

impl Binary {
    fn term(&self) -> (f64, String) {
        let signs = [
            (self.in_memory, 1.0, "the program was never on a disk"),
            (self.deleted, 0.9, "the program's file is deleted"),
            (self.in_temporary, 0.8, "the program is in a temporary folder"),
            (self.fresh, 0.5, "the program or its process is less than an hour old"),
        ];
        let found = signs.iter().filter(|(is_so, ..)| *is_so);
        let value = found.clone().map(|(_, value, _)| *value).fold(0.0, f64::max);
        let words: Vec<&str> = found.map(|(.., words)| *words).collect();
        let detail = if words.is_empty() {
            "nothing odd about the program".to_owned()
        } else {
            words.join("; ")
        };
        (value, detail)
    }
}

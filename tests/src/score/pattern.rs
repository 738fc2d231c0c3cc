//! What kinds of sessions there are and when they say what. Sizes are of plaintext; TLS adds 22 bytes.

use clap::ValueEnum;

use super::random::Random;
use super::{Options, Set};

/// Whether a pattern is what is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A miner as they come.
    Miner,
    /// A miner that hides its shape.
    Evader,
    /// No miner.
    Benign,
    /// No miner, and its traffic cannot be told from one's: only what is known beside it can.
    Lookalike,
}

/// One kind of session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Pattern {
    /// XMRig to a Monero pool.
    Xmrig,
    /// A Bitcoin miner, stratum V1.
    StratumV1,
    /// An ether-like miner, EthProxy.
    Ethproxy,
    /// A miner that pads its shares to random lengths.
    Padded,
    /// People writing to each other over a websocket.
    Chat,
    /// A device that publishes by the clock over MQTT.
    MqttClock,
    /// A device that publishes what happens over MQTT.
    MqttEvents,
    /// A gRPC stream: the server tells what happens.
    GrpcStream,
    /// Someone at a remote shell.
    Shell,
    /// A connection of a database pool.
    Database,
    /// Metrics written to a remote store.
    RemoteWrite,
    /// Logs shipped in batches.
    LogShipper,
    /// HTTP/2 kept open by pings, asked something now and then.
    IdleHttp2,
    /// A health check: small requests of one size by the clock, small answers.
    HealthCheck,
    /// Requests of one size at random moments, each with a small answer.
    FixedRequests,
}

/// Something said at a moment, and what the other side answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Saying {
    /// Seconds since the session began.
    pub(super) at: f64,
    /// Bytes.
    pub(super) size: usize,
    /// Bytes of the answer; 0 is none.
    pub(super) answer: usize,
}

/// What both sides say by themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) client: Vec<Saying>,
    pub(super) server: Vec<Saying>,
}

impl Pattern {
    /// The patterns of a set.
    #[must_use]
    pub fn of(set: Set) -> &'static [Self] {
        match set {
            Set::Tuning => &[
                Self::Xmrig,
                Self::StratumV1,
                Self::Chat,
                Self::MqttClock,
                Self::GrpcStream,
                Self::Shell,
                Self::Database,
                Self::RemoteWrite,
                Self::HealthCheck,
            ],
            Set::HeldOut => Self::value_variants(),
        }
    }

    /// Whether it is what is looked for.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Xmrig | Self::StratumV1 | Self::Ethproxy => Kind::Miner,
            Self::Padded => Kind::Evader,
            Self::FixedRequests => Kind::Lookalike,
            _ => Kind::Benign,
        }
    }

    /// One session of it.
    pub(super) fn script(self, number: u32, options: &Options) -> Script {
        let set = if options.set == Set::Tuning { 1 } else { 2 };
        let seed = set << 40 | (self as u64) << 20 | u64::from(number);
        let mut writer =
            Writer { random: Random::new(seed), script: Script::default(), end: options.seconds };
        writer.write(self);
        let Script { mut client, mut server } = writer.script;
        for sayings in [&mut client, &mut server] {
            sayings.sort_by(|one, other| one.at.total_cmp(&other.at));
        }
        Script { client, server }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}
use Side::{Client, Server};

struct Writer {
    random: Random,
    script: Script,
    end: f64,
}

impl Writer {
    fn write(&mut self, pattern: Pattern) {
        match pattern {
            Pattern::Xmrig => self.xmrig(0),
            Pattern::StratumV1 => self.stratum_v1(),
            Pattern::Ethproxy => self.ethproxy(),
            Pattern::Padded => self.xmrig(500),
            Pattern::Chat => self.chat(),
            Pattern::MqttClock => self.mqtt_clock(),
            Pattern::MqttEvents => self.mqtt_events(),
            Pattern::GrpcStream => self.grpc(),
            Pattern::Shell => self.shell(),
            Pattern::Database => self.database(),
            Pattern::RemoteWrite => {
                let (every, size) =
                    (self.random.between(10.0, 60.0), self.random.skewed(1500, 16_000));
                self.by_the_clock(every, 0.02, size, size / 5, 120);
            }
            Pattern::LogShipper => {
                let every = self.random.between(2.0, 15.0);
                let size = self.random.skewed(700, 9000);
                self.by_the_clock(every, 0.3, size, size / 2, 35);
            }
            Pattern::IdleHttp2 => {
                let every = self.random.between(15.0, 60.0);
                self.by_the_clock(every, 0.01, 17, 0, 17);
                let mean = self.random.between(40.0, 200.0);
                self.by_chance(Client, mean, |random| {
                    (random.size(60, 900), random.skewed(100, 9000))
                });
            }
            Pattern::HealthCheck => {
                let (every, size) = (self.random.between(5.0, 30.0), self.random.size(100, 300));
                let answer = self.random.size(60, 200);
                self.by_the_clock(every, 0.02, size, 0, answer);
            }
            Pattern::FixedRequests => {
                let (mean, size) = (self.random.between(8.0, 30.0), self.random.size(150, 300));
                self.by_chance(Client, mean, |random| {
                    (size + random.size(0, 8), random.size(60, 150))
                });
            }
        }
    }

    fn say(&mut self, side: Side, at: f64, size: usize, answer: usize) {
        let sayings = match side {
            Client => &mut self.script.client,
            Server => &mut self.script.server,
        };
        sayings.push(Saying { at, size, answer });
    }

    /// At moments set by chance, every `mean` seconds.
    fn by_chance(&mut self, side: Side, mean: f64, what: impl Fn(&mut Random) -> (usize, usize)) {
        let mut at = self.random.wait(mean);
        while at < self.end {
            let (size, answer) = what(&mut self.random);
            self.say(side, at, size, answer);
            at += self.random.wait(mean);
        }
    }

    /// Every so many seconds, a little early or late; `spread` is how much longer one may be.
    fn by_the_clock(&mut self, every: f64, jitter: f64, size: usize, spread: usize, answer: usize) {
        let mut at = self.random.between(0.0, every);
        while at < self.end {
            let (early, more) =
                (self.random.between(-jitter, jitter), self.random.size(0, spread + 1));
            self.say(Client, (at + early * every).max(0.0), size + more, answer);
            at += every;
        }
    }

    /// Login, shares by chance, jobs by chance, a keepalive after a minute without a share.
    fn xmrig(&mut self, padding: usize) {
        let login = self.random.size(300, 500);
        self.say(Client, 0.1, login, 560);
        let (share, job) = (self.random.size(225, 290), self.random.size(400, 620));
        let (mean, jobs) = (self.random.between(8.0, 40.0), self.random.between(30.0, 120.0));
        self.by_chance(Client, mean, |random| (share + random.size(0, padding + 3), 63));
        self.by_chance(Server, jobs, |random| (job + random.size(0, 3), 0));
        let times: Vec<f64> = self.script.client.iter().map(|one| one.at).collect();
        for pair in times.windows(2) {
            if let [before, after] = pair
                && after - before > 60.0
            {
                self.say(Client, before + 60.0, 75, 65);
            }
        }
    }

    fn stratum_v1(&mut self) {
        self.say(Client, 0.1, 80, 120);
        self.say(Client, 0.2, 70, 40);
        let (share, job) = (self.random.size(105, 170), self.random.size(500, 1100));
        let (mean, jobs) = (self.random.between(5.0, 25.0), self.random.between(25.0, 60.0));
        self.by_chance(Client, mean, |random| (share + random.size(0, 3), 40));
        self.by_chance(Server, jobs, |random| (job + random.size(0, 130), 0));
    }

    fn ethproxy(&mut self) {
        self.say(Client, 0.1, 150, 40);
        let (share, mean) = (self.random.size(220, 270), self.random.between(8.0, 40.0));
        self.by_chance(Client, mean, |_| (share, 42));
        self.by_chance(Server, 13.0, |_| (290, 0));
    }

    /// Conversations of some minutes, silence between, a ping by the clock.
    fn chat(&mut self) {
        self.by_the_clock(30.0, 0.0, 8, 0, 8);
        let (silence, pace) = (self.random.between(30.0, 200.0), self.random.between(3.0, 12.0));
        let mut at = self.random.wait(silence);
        while at < self.end {
            let until = at + self.random.between(20.0, 240.0);
            while at < until.min(self.end) {
                let side = if self.random.chance(0.5) { Client } else { Server };
                let size = self.random.skewed(60, 900);
                let answer = if self.random.chance(0.7) { 45 } else { 0 };
                self.say(side, at, size, answer);
                at += self.random.wait(pace);
            }
            at += self.random.wait(silence);
        }
    }

    fn mqtt_clock(&mut self) {
        self.by_the_clock(60.0, 0.0, 8, 0, 8);
        let (every, size) = (self.random.between(5.0, 60.0), self.random.size(60, 450));
        let answer = if self.random.chance(0.6) { 8 } else { 0 };
        self.by_the_clock(every, 0.01, size, 12, answer);
    }

    fn mqtt_events(&mut self) {
        self.by_the_clock(60.0, 0.0, 8, 0, 8);
        let (mean, size) = (self.random.between(5.0, 40.0), self.random.size(60, 350));
        let answer = if self.random.chance(0.6) { 8 } else { 0 };
        self.by_chance(Client, mean, |random| (size + random.size(0, 12), answer));
        self.by_chance(Server, 300.0, |random| (random.size(40, 200), 8));
    }

    fn grpc(&mut self) {
        let (mean, size) = (self.random.between(1.0, 20.0), self.random.size(80, 900));
        self.by_chance(Server, mean, |random| (size + random.size(0, size / 2), 13));
        let every = self.random.between(20.0, 120.0);
        self.by_the_clock(every, 0.0, 17, 0, 17);
    }

    /// Commands typed key by key, each echoed; then output.
    fn shell(&mut self) {
        let pause = self.random.between(5.0, 90.0);
        let mut at = self.random.wait(pause);
        while at < self.end {
            let keys = self.random.size(4, 40);
            for _ in 0..keys {
                self.say(Client, at, 36, 36);
                at += self.random.between(0.12, 0.45);
            }
            let output = self.random.skewed(80, 6000);
            self.say(Client, at, 36, output);
            at += self.random.wait(pause);
        }
    }

    /// A request of the application is a handful of statements.
    fn database(&mut self) {
        let mean = self.random.between(2.0, 30.0);
        let mut at = self.random.wait(mean);
        while at < self.end {
            let statements = self.random.size(1, 8);
            for _ in 0..statements {
                let (size, answer) = (self.random.skewed(40, 700), self.random.skewed(30, 12_000));
                self.say(Client, at, size, answer);
                at += self.random.between(0.05, 0.3);
            }
            at += self.random.wait(mean);
        }
    }
}

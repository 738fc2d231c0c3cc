use super::*;
use crate::respond::sock_diag::Traffic;

const SECOND: u64 = 1_000_000_000;
const STEP: u64 = 10;

/// A connection that is told when to say what, and sampled every ten seconds.
struct Script {
    at: u64,
    traffic: Traffic,
    last_sent: u64,
}

impl Script {
    fn new() -> Self {
        Self { at: 1000, traffic: Traffic::default(), last_sent: 0 }
    }

    /// `messages` of `out` bytes, the last of them `ago` seconds before the sample; `answers` of
    /// `into` bytes.
    fn step(&mut self, messages: u32, out: u64, ago: u64, answers: u32, into: u64) -> Sample {
        self.at += STEP;
        self.traffic.segments_out += messages;
        self.traffic.bytes_sent += u64::from(messages) * out;
        self.traffic.segments_in += answers;
        self.traffic.bytes_received += u64::from(answers) * into;
        if messages > 0 {
            self.last_sent = self.at - ago;
        }
        self.sample(1)
    }

    fn sample(&mut self, cookie: u64) -> Sample {
        self.traffic.last_sent =
            u32::try_from(self.at.saturating_sub(self.last_sent) * 1000).unwrap_or(0);
        Sample {
            at: self.at * SECOND,
            cookie,
            local: "10.0.0.1:40000".parse().unwrap(),
            remote: "192.0.2.1:443".parse().unwrap(),
            traffic: self.traffic,
            noise: false,
        }
    }
}

/// Shares at moments that a fixed generator sets, a job now and then.
fn miner(detector: &mut Detector, steps: u32) -> Round {
    let mut script = Script::new();
    let mut seed = 7_u32;
    let mut round = Round::default();
    for index in 0..steps {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let shares = [0, 0, 0, 0, 1, 0, 1, 0][(seed >> 28) as usize % 8];
        let jobs = u32::from(index % 4 == 0);
        let sample = script.step(shares, 280, u64::from(seed >> 24) % STEP, shares + jobs, 180);
        round = detector.observe([sample]);
    }
    round
}

fn clocked(detector: &mut Detector, steps: u32, out: u64, into: u64) -> Round {
    let mut script = Script::new();
    let mut round = Round::default();
    for _ in 0..steps {
        round = detector.observe([script.step(1, out, 3, 1, into)]);
    }
    round
}

fn busy() -> Context {
    Context {
        cpu: Some(Cpu { cores: 1.9, limit: 2.0, seconds: 300.0, waiting: 0.0 }),
        ..Context::default()
    }
}

#[test]
fn nothing_is_said_before_enough_was_seen() {
    let mut detector = Detector::default();
    assert!(miner(&mut detector, 29).worth_asking.is_empty());
    assert_eq!(detector.examine(1, &busy()), None);
    assert_eq!(detector.examine(2, &busy()), None, "never seen");
}

#[test]
fn a_miner_scores_and_every_term_is_shown() {
    let mut detector = Detector::default();
    assert_eq!(miner(&mut detector, 70).worth_asking, [1]);
    let finding = detector.judge(1, &busy(), Mode::Audit).unwrap();
    assert!(finding.score > 0.8, "{finding:?}");
    let names: Vec<&str> = finding.terms.iter().map(|term| term.name.label()).collect();
    assert_eq!(names, ["longLived", "lowRate", "periodic", "recordSizes", "cpu"]);
    let sum: f64 = finding.terms.iter().map(|term| term.value * term.weight).sum();
    let weight: f64 = finding.terms.iter().map(|term| term.weight).sum();
    assert!((finding.score - sum / weight).abs() < 1e-9, "the event holds the whole sum");
    assert!(finding.terms[3].detail.contains("of about 280 bytes"), "{:?}", finding.terms);
    assert!(finding.terms.iter().all(|term| (0.0..=1.0).contains(&term.value)));
}

#[test]
fn it_is_told_of_once_and_again_when_it_rises() {
    let mut detector = Detector::new(Settings { threshold: 0.5, ..Settings::default() });
    miner(&mut detector, 70);
    let idle = Cpu { cores: 0.0, limit: 2.0, seconds: 300.0, waiting: 0.0 };
    let idle = Context { cpu: Some(idle), ..Context::default() };
    assert!(detector.judge(1, &idle, Mode::Audit).is_some());
    assert_eq!(detector.judge(1, &idle, Mode::Audit), None);
    assert!(detector.judge(1, &busy(), Mode::Audit).is_some(), "the processor is busy now");
    assert_eq!(detector.judge(1, &busy(), Mode::Audit), None);
}

#[test]
fn a_heartbeat_by_the_clock_is_none() {
    let mut detector = Detector::default();
    assert!(clocked(&mut detector, 70, 280, 90).worth_asking.is_empty());
    let (score, terms) = detector.examine(1, &Context::default()).unwrap();
    assert!(terms[2].value < 0.01 && terms[3].value > 0.99, "the sizes are a share's: {terms:?}");
    let (busy, _) = detector.examine(1, &busy()).unwrap();
    assert!(busy < Settings::default().threshold, "two signs of three: {busy}");
    let mut keepalive = Detector::default();
    assert!(clocked(&mut keepalive, 70, 24, 24).worth_asking.is_empty());
    let (small, _) = keepalive.examine(1, &Context::default()).unwrap();
    assert!(small < score && small < Settings::default().threshold);
}

#[test]
fn what_is_not_known_counts_neither_way() {
    let mut detector = Detector::default();
    miner(&mut detector, 70);
    let (alone, terms) = detector.examine(1, &Context::default()).unwrap();
    assert_eq!(terms.len(), 4);
    let allowed = Context { destination: Some(Destination::Allowed), ..Context::default() };
    assert!(detector.examine(1, &allowed).unwrap().0 < alone);
    let pool = Name::Pool("pool.example".to_owned());
    let named = Context { name: Some(pool), noise: true, ..Context::default() };
    assert!(detector.examine(1, &named).unwrap().0 >= alone);
    let odd = Binary { in_memory: true, ..Binary::default() };
    let (_, terms) =
        detector.examine(1, &Context { binary: Some(odd), ..Context::default() }).unwrap();
    assert_eq!(terms[4].value, 1.0);
}

#[test]
fn a_weight_of_nothing_takes_a_term_out() {
    let weights = Weights::default().with(TermName::Cpu, 0.0).with(TermName::Periodic, -1.0);
    let mut detector = Detector::new(Settings { weights, ..Settings::default() });
    miner(&mut detector, 70);
    let (_, terms) = detector.examine(1, &busy()).unwrap();
    let names: Vec<&str> = terms.iter().map(|term| term.name.label()).collect();
    assert_eq!(names, ["longLived", "lowRate", "recordSizes"]);
}

#[test]
fn memory_is_bounded_and_what_ended_is_forgotten() {
    let mut detector = Detector::default();
    let mut script = Script::new();
    let many: Vec<Sample> = (0..FLOWS as u64 + 9).map(|cookie| script.sample(cookie)).collect();
    assert_eq!(detector.observe(many).overflow, 9);
    assert_eq!(detector.len(), FLOWS);
    detector.observe([script.sample(3)]);
    assert_eq!(detector.len(), 1);
    detector.observe([]);
    assert!(detector.is_empty());
}

#[test]
fn counters_that_go_backwards_do_no_harm() {
    let mut detector = Detector::default();
    let mut script = Script::new();
    for _ in 0..40 {
        detector.observe([script.step(1, 300, 1, 1, 90)]);
    }
    script.traffic = Traffic::default();
    script.at = 0;
    detector.observe([script.sample(1)]);
    let scored = detector.examine(1, &Context::default());
    assert!(scored.is_none_or(|(score, _)| (0.0..=1.0).contains(&score)));
}

#[test]
fn an_idle_workload_is_no_miner_by_its_traffic_alone() {
    let mut detector = Detector::default();
    miner(&mut detector, 70);
    let idle = Cpu { cores: 0.05, limit: 2.0, seconds: 300.0, waiting: 0.0 };
    assert!(idle.is_idle());
    let context = Context { cpu: Some(idle), ..Context::default() };
    assert_eq!(detector.judge(1, &context, Mode::Audit), None);
    let feed = Destination::Feed("pools".to_owned());
    let context = Context { destination: Some(feed), ..context };
    assert!(
        detector.judge(1, &context, Mode::Audit).is_some(),
        "a card's miner, at a pool's address"
    );
}

#[test]
fn what_leads_to_more_than_it_did_is_told_of_again() {
    let mut detector = Detector::default();
    miner(&mut detector, 70);
    assert!(detector.judge(1, &busy(), Mode::Audit).is_some());
    assert_eq!(detector.judge(1, &busy(), Mode::Audit), None);
    assert!(detector.judge(1, &busy(), Mode::Enforce).is_some(), "alert became block");
    assert_eq!(detector.judge(1, &busy(), Mode::Enforce), None);
    assert_eq!(detector.judge(1, &busy(), Mode::Audit), None);
}

#[test]
fn what_outlived_its_end_is_ended_again() {
    let mut detector = Detector::default();
    let mut found = Vec::new();
    let mut script = Script::new();
    let mut seed = 7_u32;
    for step in 0..90 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let shares = [0, 0, 0, 0, 1, 0, 1, 0][(seed >> 28) as usize % 8];
        let sample = script.step(shares, 280, u64::from(seed >> 24) % STEP, shares, 180);
        detector.observe([sample]);
        found.extend(detector.judge(1, &busy(), Mode::Enforce).map(|_| step));
    }
    assert!(found.len() > 2, "{found:?}");
    let apart = found.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(apart.clone().all(|steps| steps >= 6), "a minute is six looks: {found:?}");
}

#[test]
fn stratum_v2_is_told_by_its_handshake_and_its_own_sizes() {
    let run = |noise: bool| {
        let mut detector = Detector::default();
        let mut script = Script::new();
        let (mut seed, mut round) = (7_u32, Round::default());
        for _ in 0..70 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let shares = [0, 0, 0, 0, 1, 0, 1, 0][(seed >> 28) as usize % 8];
            let sample = script.step(shares, 62, u64::from(seed >> 24) % STEP, shares, 58);
            round = detector.observe([Sample { noise, ..sample }]);
        }
        let context = Context { noise, ..busy() };
        (round.worth_asking, detector.judge(1, &context, Mode::Audit).is_some())
    };
    assert_eq!(run(true), (vec![1], true));
    assert_eq!(run(false), (vec![], false));
}

#[test]
fn a_low_threshold_is_not_held_up_by_what_is_worth_asking() {
    let settings = Settings { threshold: 0.3, ..Settings::default() };
    let mut detector = Detector::new(settings);
    assert_eq!(clocked(&mut detector, 70, 280, 90).worth_asking, [1], "two signs of four");
}

#[test]
fn a_shorter_patience_is_kept() {
    let watch_for = std::time::Duration::from_secs(180);
    let mut detector = Detector::new(Settings { watch_for, ..Settings::default() });
    clocked(&mut detector, 25, 280, 90);
    assert!(detector.examine(1, &Context::default()).is_some());
    let mut patient = Detector::default();
    clocked(&mut patient, 25, 280, 90);
    assert_eq!(patient.examine(1, &Context::default()), None);
}

#[test]
fn who_waits_for_the_processor_is_not_idle() {
    let starved = Cpu { cores: 0.1, limit: 8.0, seconds: 300.0, waiting: 0.85 };
    assert!(!starved.is_idle(), "a miner that gives way to everyone, on a host that is full");
    assert!(Cpu { waiting: 0.05, ..starved }.is_idle());
    let context = Context { cpu: Some(starved), ..Context::default() };
    let mut detector = Detector::default();
    miner(&mut detector, 70);
    let finding = detector.judge(1, &context, Mode::Audit).unwrap();
    assert!(finding.terms[4].detail.contains("waiting for one 85%"), "{:?}", finding.terms[4]);
}

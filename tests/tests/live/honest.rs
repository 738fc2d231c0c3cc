//! What is no miner is not touched, even when it quotes one.

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::honest::{HonestServer, Options, Report, Service};
use sentinel_tests::miner::Family;

use crate::stage::{self, PEER};
use crate::trial;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for service in Service::ALL {
        for family in [Family::V4, Family::V6] {
            let name = format!("honest/{}/{family:?}", service.name());
            trials.push(trial(name, move || served(service, family)));
        }
    }
    trials
}

fn served(service: Service, family: Family) -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let listen = stage.peer(family, PEER, 0);
    let server = stage.lab.in_peer(|| HonestServer::start(service, &[listen]))?;
    let target = *server.addresses().first().context("the server has no address")?;
    let report: Report = stage.act("honest", &Options::new(service, target).to_args())?;
    ensure!(report.ok, "{report:?}\n{}", stage.agent.log());
    Ok(())
}

//! The metadata service of a cloud, asked which instance this is and whose. It is asked only on a machine
//! that something else says is of that cloud, a few times and then seldom, and nothing waits for it.

mod error;
mod http;
mod read;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::sleep;

pub use error::MetadataError;
use http::Question;

use super::backoff::Backoff;
use crate::attribution::node::Cloud;
use crate::event::node::Node;

/// Where all three clouds have it.
pub const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
/// How often it is asked in a row.
const TRIES: u32 = 3;
/// How long it is left alone in between, at first and at most.
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(8);

/// How long it is left alone after a row, at first and at most: a way that a policy or a hop limit closes is
/// opened by somebody, some day.
const SELDOM: Duration = Duration::from_secs(5 * 60);
const SELDOMEST: Duration = Duration::from_secs(60 * 60);

/// Seconds that a token of Amazon's is good for.
const TOKEN_LIFE: &str = "60";
/// The last version of Azure's answer without the user's own data in it.
const AZURE: &str = "/metadata/instance/compute?api-version=2020-09-01&format=json";

/// Asks until it answers, three times at most.
///
/// # Errors
/// Why it did not the last time.
pub async fn ask(cloud: Cloud, address: SocketAddr) -> Result<Node, MetadataError> {
    let mut backoff = Backoff::new(FIRST, LAST);
    let mut tries = 1;
    loop {
        match once(cloud, address).await {
            Ok(node) => return Ok(node),
            Err(why) if tries >= TRIES => return Err(why),
            Err(why) => tracing::debug!("the metadata service is asked again: {why}"),
        }
        tries += 1;
        sleep(backoff.next(false)).await;
    }
}

/// The same until it answers, ever more seldom; `missed` hears after each row why it did not.
pub async fn ask_on(
    cloud: Cloud,
    address: SocketAddr,
    mut missed: impl FnMut(MetadataError),
) -> Node {
    let mut backoff = Backoff::new(SELDOM, SELDOMEST);
    loop {
        match ask(cloud, address).await {
            Ok(node) => return node,
            Err(why) => missed(why),
        }
        sleep(backoff.next(false)).await;
    }
}

async fn once(cloud: Cloud, address: SocketAddr) -> Result<Node, MetadataError> {
    match cloud {
        Cloud::Aws => aws(address).await,
        Cloud::Gcp => gcp(address).await,
        Cloud::Azure => {
            let question = Question::get(AZURE, ("Metadata", "true"));
            read::azure(&question.ask(address).await?.body)
        }
    }
}

/// Version 2, with a token; version 1 is not spoken.
async fn aws(address: SocketAddr) -> Result<Node, MetadataError> {
    let life = ("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE);
    let token = Question::put("/latest/api/token", life).ask(address).await?;
    let token = read::word(&token.body)?;
    let token = ("X-aws-ec2-metadata-token", token.as_str());
    let document = Question::get("/latest/dynamic/instance-identity/document", token);
    read::aws(&document.ask(address).await?.body)
}

/// Single words: the whole tree holds the user's own data as well.
async fn gcp(address: SocketAddr) -> Result<Node, MetadataError> {
    let ask = async |path: &str| {
        let path = format!("/computeMetadata/v1/{path}");
        let answer = Question::get(&path, http::GOOGLE).ask(address).await?;
        if !answer.is_googles {
            return Err(MetadataError::Foreign("it is not Google's"));
        }
        read::word(&answer.body)
    };
    let instance = ask("instance/id").await?;
    let project = ask("project/project-id").await?;
    Ok(read::gcp(instance, project, &ask("instance/zone").await?))
}

//! A metadata service as the clouds have one at 169.254.169.254: it insists on the headers and the token
//! that the real ones insist on, writes down what it was asked, and can misbehave.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};

use crate::server::{Server, Stop, is_timeout};
use crate::sync::lock;

/// What the service is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Amazon's, version 2.
    Aws,
    /// Google's.
    Gcp,
    /// Azure's.
    Azure,
    /// It takes the question and says nothing.
    Silent,
    /// It answers what is no HTTP.
    Garbage,
    /// Its answer does not end.
    Endless,
    /// Its answer ends before it is whole.
    Short,
    /// It sends elsewhere.
    Elsewhere,
    /// A web server that knows nothing of all this, and says so kindly.
    Page,
}

/// The instance's id with either of them.
pub const INSTANCES: [(Kind, &str); 3] =
    [(Kind::Aws, "i-0abc1234567890def"), (Kind::Gcp, "7700112233"), (Kind::Azure, "ab12-vm-id")];
/// Whose it is, likewise.
pub const ACCOUNT: &str = "123456789012";
const TOKEN: &str = "AQAEAPd0c2VudGluZWwtdGVzdA==";

/// A running service; gone when dropped.
#[derive(Debug)]
pub struct Service {
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Starts one in the namespace of this thread.
    ///
    /// # Errors
    /// When the address is not to be had.
    pub fn start(kind: Kind, address: SocketAddr) -> Result<Self> {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let written = Arc::clone(&asked);
        let server = Server::start(&[address], move |stream, stop| {
            // A client that hangs up is what some tests are about.
            let _ = serve(kind, stream, stop, &written);
        })?;
        Ok(Self { server, asked })
    }

    /// Where it is.
    ///
    /// # Errors
    /// When it is nowhere.
    pub fn address(&self) -> Result<SocketAddr> {
        self.server.addresses().first().copied().context("it listens nowhere")
    }

    /// What it was asked, method and path, with the code it answered.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

struct Request {
    /// Method and path.
    line: String,
    headers: BTreeMap<String, String>,
}

fn read(stream: &mut TcpStream, stop: &Stop) -> Result<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && !stop.requested() {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => head.extend(byte),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let head = String::from_utf8(head)?;
    let mut lines = head.lines();
    let line = lines.next().and_then(|line| line.strip_suffix(" HTTP/1.1"));
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Ok(Request { line: line.context("no request")?.to_owned(), headers: headers.collect() })
}

fn serve(kind: Kind, mut stream: TcpStream, stop: &Stop, asked: &Mutex<Vec<String>>) -> Result<()> {
    let request = read(&mut stream, stop)?;
    let (code, header, body) = match kind {
        Kind::Aws => aws(&request),
        Kind::Gcp => gcp(&request),
        Kind::Azure => azure(&request),
        Kind::Page => (200, "Server: x", "<html>It works!</html>".to_owned()),
        Kind::Elsewhere => (302, "Location: http://203.0.113.7/", String::new()),
        Kind::Silent | Kind::Garbage | Kind::Endless | Kind::Short => (0, "", String::new()),
    };
    lock(asked).push(format!("{} {code}", request.line));
    match kind {
        Kind::Silent => {
            while !stop.requested() {
                std::thread::sleep(crate::server::TICK);
            }
        }
        Kind::Garbage => stream.write_all(&[0xff; 300])?,
        Kind::Short => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{")?,
        Kind::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            while !stop.requested() {
                stream.write_all(&[b'a'; 4096])?;
            }
        }
        _ => {
            let length = body.len();
            let head = format!("HTTP/1.1 {code} X\r\n{header}\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            stream.write_all(body.as_bytes())?;
        }
    }
    Ok(())
}

type Answer = (u16, &'static str, String);

fn refused(code: u16) -> Answer {
    (code, "Server: EC2ws", String::new())
}

fn aws(request: &Request) -> Answer {
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    match request.line.as_str() {
        "PUT /latest/api/token" => {
            let life = header("x-aws-ec2-metadata-token-ttl-seconds");
            match life.and_then(|life| life.parse().ok()) {
                Some(1..=21600_u32) => (200, "Server: EC2ws", TOKEN.to_owned()),
                _ => refused(400),
            }
        }
        _ if header("x-aws-ec2-metadata-token") != Some(TOKEN) => refused(401),
        "GET /latest/dynamic/instance-identity/document" => {
            let body = format!(
                "{{\n  \"accountId\" : \"{ACCOUNT}\",\n  \"availabilityZone\" : \"eu-central-1a\",\n  \
                 \"instanceId\" : \"{}\",\n  \"kernelId\" : null,\n  \"region\" : \"eu-central-1\"\n}}",
                instance(Kind::Aws)
            );
            (200, "Content-Type: text/plain", body)
        }
        _ => refused(404),
    }
}

fn gcp(request: &Request) -> Answer {
    if request.headers.get("metadata-flavor").map(String::as_str) != Some("Google") {
        return (403, "Metadata-Flavor: Google", String::new());
    }
    let body = match request.line.as_str() {
        "GET /computeMetadata/v1/instance/id" => instance(Kind::Gcp),
        "GET /computeMetadata/v1/project/project-id" => ACCOUNT,
        "GET /computeMetadata/v1/instance/zone" => "projects/1/zones/europe-west1-b",
        _ => return (404, "Metadata-Flavor: Google", String::new()),
    };
    (200, "Metadata-Flavor: Google", body.to_owned())
}

fn azure(request: &Request) -> Answer {
    if request.headers.get("metadata").map(String::as_str) != Some("true") {
        return refused(400);
    }
    if !request.line.starts_with("GET /metadata/instance/compute?api-version=") {
        return refused(404);
    }
    let body = format!(
        "{{\"location\":\"westeurope\",\"name\":\"pool_3\",\"subscriptionId\":\"{ACCOUNT}\",\
         \"vmId\":\"{}\",\"zone\":\"2\",\"tagsList\":[]}}",
        instance(Kind::Azure)
    );
    (200, "Content-Type: application/json; charset=utf-8", body)
}

fn instance(kind: Kind) -> &'static str {
    INSTANCES.iter().find(|(of, _)| *of == kind).map_or("", |(_, id)| id)
}

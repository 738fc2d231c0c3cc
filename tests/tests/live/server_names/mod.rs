//! Rules that demand a server's name: an address that many share opens to whoever names the right one, and
//! to nobody else. What got out is said by the server at the other end.

mod scene;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::resolver::member;
use serde_json::Value;

use crate::allowlist::says;
use crate::names::client_hello;
use crate::trial;
use scene::{FREE_PLACE, GOOD, GOOD_PLACE, OTHER, PORT, Scene};

/// How long an event may take.
const SOON: Duration = Duration::from_secs(5);
/// Connections that are each opened and named at once.
const MANY: u32 = 1_000;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("server_names/enforced", enforced),
        trial("server_names/audited", audited),
        trial("server_names/in_pieces", in_pieces),
        trial("server_names/a_socket_that_connects_again", again),
    ]
}

/// Events of one kind about one destination that are told one by one, before they are only counted.
const TOLD: usize = 5;

/// What no ClientHello with an allowed name begins with.
fn others() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let nameless = {
        // The extension is there under another number.
        let mut hello = client_hello(GOOD)?;
        let at = hello.windows(GOOD.len()).position(|it| it == GOOD.as_bytes());
        let number = at.context("no name in the message")? - 8;
        *hello.get_mut(number).context("no number")? = 0x33;
        hello
    };
    Ok(vec![
        ("another name", client_hello(OTHER)?),
        ("the domain itself", client_hello("lab.example")?),
        ("no name", nameless),
        ("HTTP", format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n").into_bytes()),
        ("JSON", b"{\"id\":1,\"name\":\"x\"}\n".to_vec()),
        ("SSH", b"SSH-2.0-x\r\n".to_vec()),
        ("zeros", vec![0; 64]),
        ("one byte", vec![b'x']),
        ("a TLS alert", vec![21, 3, 3, 0, 2, 1, 0]),
        ("SOCKS and a ClientHello", [&[5, 1, 0], client_hello(GOOD)?.as_slice()].concat()),
        (
            "PROXY and a ClientHello",
            [b"PROXY UNKNOWN\r\n", client_hello(GOOD)?.as_slice()].concat(),
        ),
    ])
}

fn enforced() -> Result<()> {
    let scene = Scene::set("sni-enforce", 64, "enforce")?;
    let hello = client_hello(GOOD)?;
    let many = if std::env::var_os("SENTINEL_VM").is_some() { MANY / 10 } else { MANY };
    let denied = scene.act(|| {
        (0..many).try_fold(0, |denied, _| {
            let stream = Scene::connect(GOOD_PLACE)?;
            Ok(denied + u32::from(!Scene::echoed(stream, &[hello.as_slice(), b"and on"])))
        })
    })?;
    eprintln!("{denied} of {many} denied");
    ensure!(denied == 0, "{denied} of {many} denied");
    for (number, (what, said)) in others()?.into_iter().enumerate() {
        let from = scene.act(|| {
            let stream = Scene::connect(GOOD_PLACE).with_context(|| what.to_owned())?;
            let from = stream.local_addr()?.port();
            ensure!(!Scene::echoed(stream, &[&said, b"and on"]), "{what} was answered");
            Ok(from)
        })?;
        let heard = scene.server.heard_from(from);
        ensure!(heard.is_empty(), "{what} got out: {heard:?}");
        if number >= TOLD {
            continue;
        }
        let record = told(&scene, from).with_context(|| what.to_owned())?;
        ensure!(says(&record, "verdict", "blocked") && says(&record, "kind", "tls"), "{record}");
        ensure!(says(&record, "policy", "shop"), "{record}");
        let named = record.get("name").and_then(Value::as_str);
        ensure!(
            named == (what == "another name").then_some(OTHER) || what == "the domain itself",
            "{record}"
        );
    }
    // Whoever needs no name may say what he likes.
    for (what, said) in others()? {
        let is_open = scene.act(|| Ok(Scene::echoed(Scene::connect(FREE_PLACE)?, &[&said])))?;
        ensure!(is_open, "{what} was cut at an address that demands no name");
    }
    ensure!(scene.agent.stop()?.success());
    Ok(())
}

/// Under audit everything goes on, and what would not is told of.
fn audited() -> Result<()> {
    let scene = Scene::set("sni-audit", 65, "audit")?;
    for (number, (what, said)) in others()?.into_iter().enumerate() {
        let (from, is_open) = scene.act(|| {
            let stream = Scene::connect(GOOD_PLACE)?;
            Ok((stream.local_addr()?.port(), Scene::echoed(stream, &[&said, b"and on"])))
        })?;
        ensure!(is_open, "{what} was cut under audit");
        if number < TOLD {
            let record = told(&scene, from).with_context(|| what.to_owned())?;
            ensure!(says(&record, "verdict", "audited"), "{record}");
        }
    }
    let hello = client_hello(GOOD)?;
    let from = scene.act(|| {
        let stream = Scene::connect(GOOD_PLACE)?;
        let from = stream.local_addr()?.port();
        ensure!(Scene::echoed(stream, &[&hello]));
        Ok(from)
    })?;
    ensure!(told(&scene, from).is_err(), "told of a name that is allowed");
    ensure!(scene.agent.stop()?.success());
    Ok(())
}

/// However a ClientHello is cut, the right name passes and the wrong one does not.
fn in_pieces() -> Result<()> {
    let scene = Scene::set("sni-pieces", 66, "enforce")?;
    let (good, other) = (client_hello(GOOD)?, client_hello(OTHER)?);
    let name_ends = other.windows(OTHER.len()).position(|it| it == OTHER.as_bytes());
    let name_ends = name_ends.context("no name in the message")? + OTHER.len();
    let step = if std::env::var_os("SENTINEL_VM").is_some() { 29 } else { 1 };
    for at in (1..good.len()).step_by(step) {
        let (one, two) = good.split_at(at);
        let is_open = scene.act(|| Ok(Scene::echoed(Scene::connect(GOOD_PLACE)?, &[one, two])))?;
        ensure!(is_open, "cut at {at}: the right name was refused");
    }
    let cuts: Vec<usize> = (1..other.len()).step_by(step.max(17)).collect();
    for at in cuts {
        let (one, two) = other.split_at(at);
        let from = scene.act(|| {
            let stream = Scene::connect(GOOD_PLACE)?;
            stream.set_read_timeout(Some(Duration::from_millis(100)))?;
            let from = stream.local_addr()?.port();
            ensure!(
                !Scene::echoed(stream, &[one, two]),
                "cut at {at}: the wrong name was answered"
            );
            Ok(from)
        })?;
        let heard = scene.server.heard_from(from);
        ensure!(heard.len() < name_ends, "cut at {at}: {} bytes got out", heard.len());
    }
    let bytes: Vec<&[u8]> = good.chunks(1).collect();
    let is_open = scene.act(|| Ok(Scene::echoed(Scene::connect(GOOD_PLACE)?, &bytes)))?;
    ensure!(
        is_open,
        "byte by byte: the right name was refused: {:?}",
        scene.agent.journal()?.last()
    );
    let bytes: Vec<&[u8]> = other.chunks(1).collect();
    let is_open = scene.act(|| Ok(Scene::echoed(Scene::connect(GOOD_PLACE)?, &bytes)))?;
    ensure!(!is_open, "byte by byte: the wrong name passed");
    ensure!(scene.agent.stop()?.success());
    Ok(())
}

/// What a socket said on a connection before is no word on the next.
fn again() -> Result<()> {
    let scene = Scene::set("sni-again", 67, "enforce")?;
    let hello = client_hello(GOOD)?;
    for (place, first) in [(FREE_PLACE, b"anything".as_slice()), (GOOD_PLACE, &hello)] {
        let from = scene.act(|| {
            let stream = Scene::connect(place)?;
            ensure!(Scene::echoed(stream.try_clone()?, &[first]), "the first connection was cut");
            rustix::net::connect_unspec(&stream)?;
            rustix::net::connect(&stream, &SocketAddr::new(member(GOOD_PLACE).into(), PORT))?;
            let from = stream.local_addr()?.port();
            ensure!(!Scene::echoed(stream, &[b"more"]), "the second connection was not judged");
            Ok(from)
        })?;
        let heard = scene.server.heard_from(from);
        ensure!(!heard.ends_with(b"more"), "{heard:?}");
    }
    ensure!(scene.agent.stop()?.success());
    Ok(())
}

fn told(scene: &Scene, from: u16) -> Result<Value> {
    let is_from = |record: &Value| {
        let src = record.get("src").and_then(Value::as_str).unwrap_or_default();
        says(record, "reason", "server_name") && src.ends_with(&format!(":{from}"))
    };
    // Which of two is waited for: an event that comes, or one that does not.
    scene.agent.record(SOON, is_from)
}

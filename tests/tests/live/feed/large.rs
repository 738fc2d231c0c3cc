//! A feed as large as they come: written, found and missed right, and replaced while it is asked.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, Map};
use sentinel::datapath::{Datapath as _, Kernel, PolicyImage};
use sentinel::feed::{FeedSet, Source, compile};
use sentinel_common::address::Address;
use sentinel_common::config::Modes;
use sentinel_common::limits::MAX_FEED_DOMAINS;
use sentinel_common::verdict::Mode;
use sentinel_tests::cgroup::{self, TestCgroup};
use sentinel_tests::netlab::{Lab, Subnet};

/// An emulated machine is ten times slower, and has a tenth of the memory.
fn sizes() -> (u32, u32) {
    let in_vm = std::env::var_os("SENTINEL_VM").is_some();
    if in_vm { (10_000, 100_000) } else { (100_000, 1_000_000) }
}

/// Domains, addresses and prefixes (one in ten) from a number on, and the laboratory's own.
fn generated(first: u32, kept: &str) -> Result<Arc<FeedSet>> {
    use std::fmt::Write as _;
    let (domains, addresses) = sizes();
    let mut text = format!("{kept}\n");
    for number in first..first + domains {
        writeln!(text, "pool{number}.example")?;
    }
    for number in first..first + addresses {
        let [a, b, c, d] = number.to_be_bytes();
        match number % 10 {
            0 => writeln!(text, "2001:db8:{a:x}{b:02x}:{c:x}{d:02x}::/64")?,
            1 => writeln!(text, "2001:db8:ffff::{a:x}{b:02x}:{c:x}{d:02x}")?,
            rest => writeln!(text, "{}.{b}.{c}.{d}", 20 + rest)?,
        }
    }
    let begun = Instant::now();
    let source = Source { name: "large.txt".into(), text: text.into_bytes().into() };
    let bytes = source.text.len();
    let set = compile(&[source])?;
    eprintln!("  {bytes} bytes read in {:.2?}: {:?}", begun.elapsed(), set.tally());
    Ok(Arc::new(set))
}

/// A line of a file in `/proc`; memory is in kilobytes.
fn number(file: &str, key: &str) -> Result<i64> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let value = line.and_then(|line| line.split_whitespace().next());
    Ok(value.with_context(|| format!("{file} has no {key}"))?.parse()?)
}

fn octets(address: &str) -> Result<Address> {
    Ok(match address.parse()? {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    })
}

/// What the maps of the kernel say of an address, as its programs would ask them.
fn found(kernel: &mut Kernel, address: &str) -> Result<bool> {
    let address = octets(address)?;
    let ebpf: &aya::Ebpf = kernel.ebpf();
    let map = ebpf.map("FEED_ADDRESSES").context("no map")?;
    let addresses: HashMap<_, Address, u32> = HashMap::try_from(map)?;
    let map = ebpf.map("FEED_PREFIXES").context("no map")?;
    let prefixes: LpmTrie<_, Address, u32> = LpmTrie::try_from(map)?;
    Ok(addresses.get(&address, 0).is_ok() || prefixes.get(&Key::new(128, address), 0).is_ok())
}

fn entries(kernel: &mut Kernel) -> Result<usize> {
    let map = kernel.ebpf().map("FEED_DOMAINS").context("no map")?;
    let domains: HashMap<_, u64, u32> = HashMap::try_from(map)?;
    Ok(domains.keys().count())
}

fn put(kernel: &mut Kernel, what: &str, set: &Arc<FeedSet>) -> Result<()> {
    let (begun, busy) = (Instant::now(), processor()?);
    kernel.set_feeds(set)?;
    let (taken, busy) = (begun.elapsed(), processor()?.saturating_sub(busy));
    let (own, maps) = (number("/proc/self/status", "VmRSS:")?, maps(kernel)?);
    eprintln!(
        "  {what}: {taken:.2?} ({busy:.2?} of a processor), maps of {} MiB, the process has {}",
        maps >> 20,
        own >> 10
    );
    Ok(())
}

/// Processor time of this thread: other work on the machine is not in it.
fn processor() -> Result<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

/// Bytes of the three maps, as kernels from 6.4 on count them; older ones tell what would fit.
fn maps(kernel: &mut Kernel) -> Result<i64> {
    let mut bytes = 0;
    for name in ["FEED_DOMAINS", "FEED_ADDRESSES", "FEED_PREFIXES"] {
        let data = match kernel.ebpf().map(name).context(name)? {
            Map::HashMap(data) | Map::LpmTrie(data) => data,
            other => anyhow::bail!("{other:?}"),
        };
        let info = format!("/proc/self/fdinfo/{}", data.fd().as_fd().as_raw_fd());
        bytes += number(&info, "memlock:")?;
    }
    Ok(bytes)
}

pub fn replaced() -> Result<()> {
    let lab = Lab::with_subnet("sentinel-feed-large", Subnet::public())?;
    let group = TestCgroup::unique("sentinel-feed-large")?;
    let home = group.path().parent().context("the cgroup has no parent")?.to_path_buf();
    let mut kernel = Kernel::load()?;
    kernel.attach(Some(group.path()))?;
    let modes = Modes { names: Mode::Enforce, ..Modes::OFF };
    kernel.set_policy(&Arc::new(PolicyImage::empty(modes)))?;
    let (domains, addresses) = sizes();
    let listed = SocketAddr::new(lab.subnet().v4(3).into(), 9);
    let first = generated(0, "198.51.100.3")?;
    let second = generated(addresses / 2, "198.51.100.3\n198.51.100.2/31")?;
    put(&mut kernel, "the first feed", &first)?;
    for (address, expected) in [
        ("22.0.0.2", true),
        ("22.0.0.3", false),
        ("2001:db8:0:a::5", true),
        ("2001:db8:0:b::5", false),
        ("2001:db8:ffff::0:b", true),
        ("198.51.100.2", false),
    ] {
        ensure!(found(&mut kernel, address)? == expected, "{address} is not {expected}");
    }
    ensure!(entries(&mut kernel)? == domains as usize);
    // Half of the entries go, as many come, and what both name is never free.
    let stop = AtomicBool::new(false);
    cgroup::join(group.path())?;
    let asked = thread::scope(|scope| {
        let asking = scope.spawn(|| lab.in_node(|| ask(listed, &stop)));
        let put = put(&mut kernel, "the second in its place", &second);
        stop.store(true, Ordering::Relaxed);
        let asked = asking.join().map_err(|_| anyhow::anyhow!("the thread panicked"))?;
        put.and(asked)
    });
    cgroup::join(&home)?;
    let (refused, passed) = asked?;
    eprintln!("  {refused} calls of connect refused meanwhile, {passed} went on");
    ensure!(refused > 0 && passed == 0, "{passed} calls to an address of both feeds went on");
    ensure!(found(&mut kernel, "22.0.0.2")? == second.address("22.0.0.2".parse()?).is_some());
    ensure!(found(&mut kernel, "198.51.100.2")?);
    ensure!(entries(&mut kernel)? == domains as usize);
    for at in [addresses / 2 - 8, addresses / 2 + 2, addresses / 2 * 3 - 8] {
        let [_, b, c, d] = at.to_be_bytes();
        let address = format!("{}.{b}.{c}.{d}", 20 + at % 10);
        let expected = second.address(address.parse()?).is_some();
        ensure!(found(&mut kernel, &address)? == expected, "{address} is not {expected}");
    }
    price(&lab, &group, &home)?;
    put(&mut kernel, "none in its place", &Arc::default())?;
    ensure!(!found(&mut kernel, "198.51.100.2")? && entries(&mut kernel)? == 0);
    Ok(())
}

fn feed(text: &str) -> Result<Arc<FeedSet>> {
    let source = Source { name: "f.txt".into(), text: text.as_bytes().to_vec().into() };
    Ok(Arc::new(compile(&[source])?))
}

/// Entries of nobody's take the room that a feed needs: the kernel refuses in the middle of it.
pub fn full() -> Result<()> {
    let mut kernel = Kernel::load()?;
    let first = feed("kept.example\nold.example\n198.51.100.3\n")?;
    let second = feed("kept.example\na.example\nb.example\nc.example\n198.51.100.4/30\n")?;
    kernel.set_feeds(&first)?;
    let map = kernel.ebpf().map_mut("FEED_DOMAINS").context("no map")?;
    let mut domains: HashMap<_, u64, u32> = HashMap::try_from(map)?;
    let own = domains.keys().collect::<Result<Vec<_>, _>>()?;
    let strangers: Vec<u64> = (1..=MAX_FEED_DOMAINS as u64 - 4).collect();
    for key in &strangers {
        domains.insert(key, 9, 0)?;
    }
    let error = kernel.set_feeds(&second).err().context("three domains went into room for two")?;
    let error = error.to_string();
    ensure!(error.contains("FEED_DOMAINS") && error.contains("those before stay"), "{error}");
    ensure!(entries(&mut kernel)? == strangers.len() + own.len(), "a part of the second is left");
    ensure!(found(&mut kernel, "198.51.100.3")? && !found(&mut kernel, "198.51.100.5")?);
    let map = kernel.ebpf().map_mut("FEED_DOMAINS").context("no map")?;
    let mut domains: HashMap<_, u64, u32> = HashMap::try_from(map)?;
    ensure!(own.iter().all(|key| domains.get(key, 0).is_ok()), "the first is not whole");
    for key in &strangers {
        domains.remove(key)?;
    }
    kernel.set_feeds(&second)?;
    ensure!(entries(&mut kernel)? == 4 && found(&mut kernel, "198.51.100.5")?);
    ensure!(!found(&mut kernel, "198.51.100.3")?);
    Ok(())
}

/// Prints what `connect(2)` to an address of no feed costs, in the cgroup and outside of it.
fn price(lab: &Lab, group: &TestCgroup, home: &Path) -> Result<()> {
    const CALLS: u32 = 200_000;
    let target = SocketAddr::new(lab.subnet().v4(4).into(), 9);
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        for (folder, taken) in [group.path(), home].into_iter().zip(&mut rounds) {
            cgroup::join(folder)?;
            let nanoseconds = lab.in_node(|| {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                let begun = Instant::now();
                for _ in 0..CALLS {
                    socket.connect(target)?;
                }
                Ok(begun.elapsed().as_nanos() / u128::from(CALLS))
            });
            cgroup::join(home)?;
            taken.push(nanoseconds?);
        }
    }
    let [watched, bare] = rounds.map(|round| round.into_iter().min().unwrap_or_default());
    eprintln!("  connect to a host of no feed: {watched} ns, {bare} ns without the programs");
    Ok(())
}

/// Connects again and again; how often it was refused and how often not.
fn ask(listed: SocketAddr, stop: &AtomicBool) -> Result<(u64, u64)> {
    let (mut refused, mut passed) = (0, 0);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    while !stop.load(Ordering::Relaxed) {
        match socket.connect(listed) {
            Ok(()) => passed += 1,
            Err(error) if error.raw_os_error() == Some(1) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((refused, passed))
}

//! A capture of one miner's opening, for executables that are tried without a kernel of their own.

const CLIENT: [u8; 4] = [10, 99, 0, 1];
const POOL: [u8; 4] = [10, 99, 0, 2];
const PORTS: (u16, u16) = (43_744, 443);
const REQUEST: &[u8] = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"miner/1.0\"]}\n";
const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// Packets that begin with their IP header (`LINKTYPE_RAW`).
const RAW_IP: u32 = 101;

/// A file in the classic pcap format: a handshake, and what a miner says first.
pub(super) fn of_a_miner() -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, RAW_IP] {
        file.extend(word.to_le_bytes());
    }
    let packets = [
        packet(true, 1000, 0, SYN, b""),
        packet(false, 5000, 1001, SYN | ACK, b""),
        packet(true, 1001, 5001, ACK, b""),
        packet(true, 1001, 5001, PUSH | ACK, REQUEST),
    ];
    for (number, packet) in (0_u32..).zip(packets) {
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        for word in [1_700_000_000, number, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

fn packet(from_client: bool, sequence: u32, acknowledged: u32, flags: u8, said: &[u8]) -> Vec<u8> {
    let (from, to) = if from_client { (CLIENT, POOL) } else { (POOL, CLIENT) };
    let (source, destination) = if from_client { PORTS } else { (PORTS.1, PORTS.0) };
    let mut tcp = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(acknowledged.to_be_bytes());
    // Five words of header; a window; checksum and urgent pointer.
    tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(said);
    let length = u16::try_from(tcp.len()).unwrap_or(u16::MAX);
    let pseudo = [&from[..], &to, &[0, 6], &length.to_be_bytes(), &tcp].concat();
    tcp.splice(16..18, checksum(&pseudo).to_be_bytes());
    let mut ip = vec![0x45, 0];
    ip.extend((length + 20).to_be_bytes());
    ip.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
    ip.extend([from, to].concat());
    let sum = checksum(&ip);
    ip.splice(10..12, sum.to_be_bytes());
    ip.extend(tcp);
    ip
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(pair.first().copied().unwrap_or(0)) << 8 | u32::from(low)
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

//! Every bound of the datapath, and the relations between them.
//!
//! A number stands here when two places must agree on it: a map and its writer, a table and its
//! index, the kernel's reader and the host's.

/// States of the compiled signature automaton; the table is `MAX_STATES * SYMBOL_CLASSES` cells.
pub const MAX_STATES: usize = 4096;
/// Equivalence classes of symbols; class 0 leaves the automaton where it is.
pub const SYMBOL_CLASSES: usize = 128;
/// Tokens a signature set may define: one bit each in a `u64`.
pub const MAX_TOKENS: usize = 64;
/// Rules a signature set may hold, after alternatives are spread out.
pub const MAX_RULES: usize = 128;
/// Signature sets that can be resident at once: one in force, one being written.
pub const SIGNATURE_SLOTS: usize = 2;

/// Bytes of one direction that are read before a flow that has said nothing yet is let go.
pub const INSPECTION_BUDGET: u32 = 512;
/// The same once a flow has become a websocket, its HTTP head included.
pub const WEBSOCKET_BUDGET: u32 = 4 * 1024;
/// Bytes of one direction that are read while a message is under way.
pub const MESSAGE_BUDGET: u32 = 16 * 1024;
/// Payload bytes handed to the reader at a time: the kernel keeps them on its 512-byte stack.
pub const CHUNK: usize = 64;
/// Containers whose kind (object or array) is remembered; deeper ones are only counted.
pub const KIND_DEPTH: u16 = 30;
/// Payload bytes copied into an event as evidence.
pub const EXCERPT: usize = 256;
/// Length of a task's name with its NUL (`TASK_COMM_LEN`, include/linux/sched.h).
pub const COMM: usize = 16;

/// IPv6 extension headers that are walked before a packet counts as unreadable.
pub const MAX_EXTENSION_HEADERS: usize = 8;
/// Port ranges one allowlisted prefix may carry, those of the prefixes around it included.
pub const MAX_PORT_RANGES: usize = 16;
/// Prefixes that all policies may name together; two sets are resident.
pub const MAX_PREFIXES: usize = 131_072;
/// Policies of a set; number 0 stands for none.
pub const MAX_POLICIES: usize = 4096;
/// Policies on one workload.
pub const MAX_POLICIES_PER_WORKLOAD: usize = 16;
/// Cgroups that policies are chosen for; two sets are resident.
pub const MAX_WORKLOADS: usize = 32_768;
/// Depth of the cgroups among which the nearest known ancestor of an unknown one is looked for.
pub const MAX_CGROUP_DEPTH: usize = 16;
/// Domains that feeds may hold, all together.
pub const MAX_FEED_DOMAINS: usize = 131_072;
/// Addresses that feeds may hold, all together; and prefixes, likewise.
pub const MAX_FEED_ADDRESSES: usize = 1_048_576;
/// Wires of workloads that are judged at the host's end.
pub const MAX_WIRES: usize = 16_384;
/// Cgroups at the other end of a wire whose policies are asked about what comes out of it.
pub const MAX_WIRE_CGROUPS: usize = 8;
/// Sockets whose owner is remembered between `connect(2)` and the first byte.
pub const OWNER_SLOTS: usize = 65_536;
/// Peers of datagrams that are remembered, so that what they answer is known for a reply.
pub const CALLED_PEERS: usize = 65_536;
/// Flows whose state a replay may hold at a time.
pub const REPLAY_FLOWS: usize = 65_536;
/// Bytes of the ring buffer that carries events to userspace.
pub const RING_BYTES: u32 = 1024 * 1024;

const _: () = {
    assert!(MAX_STATES.is_power_of_two() && MAX_STATES <= 1 << 16);
    assert!(SYMBOL_CLASSES.is_power_of_two() && SYMBOL_CLASSES <= 1 << 8);
    assert!(MAX_TOKENS <= u64::BITS as usize);
    assert!(MAX_RULES.is_power_of_two());
    assert!(MAX_POLICIES.is_power_of_two() && MAX_POLICIES <= 1 << 16);
    assert!(MAX_POLICIES_PER_WORKLOAD.is_power_of_two());
    assert!(INSPECTION_BUDGET < MESSAGE_BUDGET);
    assert!(CHUNK.is_power_of_two() && CHUNK <= 256);
    assert!(OWNER_SLOTS.is_power_of_two());
    assert!(RING_BYTES.is_power_of_two());
};

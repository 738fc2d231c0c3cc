//! Every map: who writes it, who reads it, why this size, what happens when it is full.

use aya_ebpf::btf_maps::{Array as BtfArray, ArrayOfMaps, SkStorage};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::lpm_trie::LpmTrie;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use sentinel_common::address::Address;
use sentinel_common::config::{Config, OwnerSlot};
use sentinel_common::flow::Flow;
use sentinel_common::learn::{
    FqdnEntry, Kept, Learned, LearnedKey, MAX_FQDNS, MAX_LEARNED, MAX_NAME_RULES, MAX_READINGS,
    MAX_RESOLVERS, NameRuleKey, QUESTION_SLOTS, QuestionSlot, Reading,
};
use sentinel_common::limits::{
    CALLED_PEERS, MAX_FEED_ADDRESSES, MAX_FEED_DOMAINS, MAX_PREFIXES, MAX_WIRES, MAX_WORKLOADS,
    OWNER_SLOTS, REPLAY_FLOWS, RING_BYTES, SIGNATURE_SLOTS,
};
use sentinel_common::lookup::{ASKED_SLOTS, AskedSlot};
use sentinel_common::names::{NAME_SLOTS, NameSlot};
use sentinel_common::policy::{Binding, Called, PolicyTable, PrefixKey, PrefixRules, WorkloadKey};
use sentinel_common::process::PROCESS_RING_BYTES;
use sentinel_common::signature::Signatures;
use sentinel_common::verdict::COUNTERS;
use sentinel_common::wire::Wire;

/// `BPF_F_NO_PREALLOC`: an LPM trie has no other way (kernel/bpf/lpm_trie.c).
const NO_PREALLOC: u32 = 1;

/// Written by userspace, in one store; read by every program. Never full: one slot.
#[map]
pub static CONFIG: Array<Config> = Array::with_max_entries(1, 0);

/// Cookies of the agent's own sockets, over IPv4 and IPv6, that may go nowhere; 0 is none. Userspace
/// writes once; `connect` and `sendmsg` hooks read. Never full: one slot.
#[map]
pub static CANARIES: Array<[u64; 2]> = Array::with_max_entries(1, 0);

/// The signature sets. Userspace writes the slot that is not in force and then switches by the set's
/// number in `CONFIG`; the programs read. Never full: two slots. Before userspace writes a slot
/// again it waits, by [`GRACE`], for the programs that still walk it.
#[map]
pub static SIGNATURES: Array<Signatures> = Array::with_max_entries(SIGNATURE_SLOTS as u32, 0);

/// Holds nothing that anyone reads. An update of a map of maps returns only when every program that
/// ran at its beginning has ended (`maybe_wait_bpf_programs`, kernel/bpf/syscall.c; since 4.20,
/// commit 1ae80cf31938): so userspace can wait for that by writing here. `membarrier(2)` would not do:
/// it waits for nothing on one CPU, and is refused where `nohz_full` is set.
#[btf_map]
pub static GRACE: ArrayOfMaps<BtfArray<u32, 1>, 1> = ArrayOfMaps::new();

/// The policies of both sets, by slot. Userspace writes the slot that is not in force and then switches
/// `CONFIG.switch`; the programs read. Never full: two slots.
#[map]
pub static POLICIES: Array<PolicyTable> = Array::with_max_entries(2, 0);

/// The policies on each known cgroup, keyed by slot and id. Userspace writes; full (`E2BIG`), a set is
/// refused, and a cgroup that comes later is judged as one beneath its nearest known ancestor.
#[map]
pub static WORKLOADS: HashMap<WorkloadKey, Binding> =
    HashMap::with_max_entries(2 * MAX_WORKLOADS as u32, NO_PREALLOC);

/// What policies say of prefixes, keyed by slot, direction, policy and prefix. Userspace writes; full
/// (`ENOSPC`), the new set is refused and the old one stays in force.
#[map]
pub static PREFIXES: LpmTrie<PrefixKey, PrefixRules> =
    LpmTrie::with_max_entries(2 * MAX_PREFIXES as u32, NO_PREALLOC);

/// Whom datagrams went to, by socket: what comes back from there is a reply. Written and read by the
/// packet hooks, and only while a policy is about what comes in. Full, the oldest is forgotten, and
/// what then comes from it is judged as a caller.
#[map]
pub static CALLED: LruHashMap<Called, u8> = LruHashMap::with_max_entries(CALLED_PEERS as u32, 0);

/// State of flows, on their sockets: the kernel frees it with the socket and evicts nothing. When
/// memory is short the flow goes uninspected and `Loss::FlowState` counts it.
#[btf_map]
pub static FLOWS: SkStorage<Flow> = SkStorage::new();

/// State of replayed flows, keyed by the number that userspace gave them: a test run makes a new
/// socket at every call. Userspace inserts and removes; full, the replay ends with an error.
#[map]
pub static REPLAY: HashMap<u32, Flow> = HashMap::with_max_entries(REPLAY_FLOWS as u32, 0);

/// Owners of sockets between `connect(2)` and the first payload, in slot `cookie % OWNER_SLOTS`.
/// Written by the connect, sendmsg and sock_create hooks, read when a flow gets its state. Never
/// full: an older socket's slot is taken over, and whoever asks for it counts `Loss::Owner`. An
/// array costs a few nanoseconds where creating socket storage at every connect costs a thousand.
#[map]
pub static OWNERS: Array<OwnerSlot> = Array::with_max_entries(OWNER_SLOTS as u32, 0);

/// Domains of the feeds: the hash of each, and the number of the feed it is from. Userspace writes,
/// one entry at a time; full (`E2BIG`), the feed is refused. Empty, it costs nothing but its buckets.
#[map]
pub static FEED_DOMAINS: HashMap<u64, u32> =
    HashMap::with_max_entries(MAX_FEED_DOMAINS as u32, NO_PREALLOC);

/// Addresses of the feeds, v4-mapped, and the number of the feed, or 0 for one that is exempt
/// (`sentinel_common::feed`); likewise.
#[map]
pub static FEED_ADDRESSES: HashMap<Address, u32> =
    HashMap::with_max_entries(MAX_FEED_ADDRESSES as u32, NO_PREALLOC);

/// Prefixes of the feeds, likewise; looked up only when `Config` says that there are some.
#[map]
pub static FEED_PREFIXES: LpmTrie<Address, u32> =
    LpmTrie::with_max_entries(MAX_FEED_ADDRESSES as u32, NO_PREALLOC);

/// Names on their way from a socket, on the socket: nobody else can put a word into what a rule is asked
/// about. When memory is short the name is not known, which fulfils no rule, and `Loss::FlowState` counts
/// it.
#[btf_map]
pub static NAMED: SkStorage<NameSlot> = SkStorage::new();

/// Names once they are read, in slot `cookie % NAME_SLOTS`, for events and for userspace, which cannot
/// look into a socket. Never full: an older socket's is overwritten.
#[map]
pub static NAMES: Array<NameSlot> = Array::with_max_entries(NAME_SLOTS as u32, 0);

/// Who may teach, v4-mapped, and a resolver's flags. Userspace writes; full, the resolver is refused.
#[map]
pub static RESOLVERS: HashMap<Address, u32> =
    HashMap::with_max_entries(MAX_RESOLVERS as u32, NO_PREALLOC);

/// The patterns of names, by the hash of the name. Userspace writes; full, the policy is refused.
#[map]
pub static FQDNS: HashMap<u64, FqdnEntry> =
    HashMap::with_max_entries(MAX_FQDNS as u32, NO_PREALLOC);

/// What a policy allows to the addresses of a pattern. Userspace writes; full, the policy is refused.
#[map]
pub static NAME_RULES: HashMap<NameRuleKey, PrefixRules> =
    HashMap::with_max_entries(MAX_NAME_RULES as u32, NO_PREALLOC);

/// What addresses stand for. The packet hooks claim places on the side that is written, userspace
/// moves what holds and takes away what does not on the other (`sentinel_common::learn`). Full, the
/// answer teaches nothing and `Lesson::Full` counts it. It has its memory from the start: the hooks
/// cannot wait for some.
#[map]
pub static LEARNED: HashMap<LearnedKey, Learned> = HashMap::with_max_entries(MAX_LEARNED as u32, 0);

/// Questions under way. The egress hook writes, the ingress hook reads. Never full: an older
/// question's slot is taken over, and if that had no answer yet, `Lesson::Forgotten` counts it.
#[map]
pub static QUESTIONS: Array<QuestionSlot> = Array::with_max_entries(QUESTION_SLOTS as u32, 0);

/// Questions under way that no pattern is about, likewise. Never full: an older question's slot is taken
/// over, and its answer is not told, which happens to every answer that nobody had asked for.
#[map]
pub static ASKED: Array<AskedSlot> = Array::with_max_entries(ASKED_SLOTS as u32, 0);

/// Messages being read at this moment, each by one run of a program under a key of its own: nobody
/// else writes to it, whatever runs on this CPU or on others in between. Full, the message is not
/// read and `Lesson::Unread` counts it.
#[map]
pub static READINGS: HashMap<u64, Reading> = HashMap::with_max_entries(MAX_READINGS as u32, 0);

/// A reading before its first byte: every byte zero, and nobody writes. A program's stack has no room
/// for one.
#[map]
pub static BLANK: Array<Reading> = Array::with_max_entries(1, 0);

/// Where streams to resolvers stand between their segments, by direction, on their sockets. When
/// memory is short the stream is not read and `Lesson::Unread` counts it.
#[btf_map]
pub static STREAMS: SkStorage<[Kept; 2]> = SkStorage::new();
/// Wires of workloads, by the index of the host's end. Userspace writes, the kernel notes what it told
/// of; full (`E2BIG`), a wire is not judged and its workload says so.
#[map]
pub static WIRES: HashMap<u32, Wire> = HashMap::with_max_entries(MAX_WIRES as u32, NO_PREALLOC);

/// Outcomes and losses, the truth for the metrics. Written by every program, read by userspace.
/// Never full: one slot for each.
#[map]
pub static COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(COUNTERS as u32, 0);

/// News of processes, fetched by userspace many times a second: nobody is woken. Full, the news is
/// lost, `Loss::Process` counts it, and userspace begins to gather them anew.
#[map]
pub static PROCESSES: RingBuf = RingBuf::with_byte_size(PROCESS_RING_BYTES, 0);

/// How much news was lost, so that userspace learns it before it says of anything who it was.
#[map]
pub static PROCESSES_LOST: Array<u64> = Array::with_max_entries(1, 0);

/// Events: they explain, they do not count. Full, the event is lost and `Loss::Event` counts it.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

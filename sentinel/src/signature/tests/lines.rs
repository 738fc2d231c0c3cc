//! Lines of every dialect, from both sides.

pub(super) const WALLET: &str = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD";

/// A hash as pools write it.
pub(super) const HASH: &str = "e1364b8782719d7683e2ccd3d8f724bc59dfa780a9e960e7c0e0046acdb40100";

/// A line and the dialect it is of.
pub(super) const LINES: &[(&str, &str)] = &[
    ("bitcoin-v1", r#"{"id": 1, "method": "mining.subscribe", "params": []}"#),
    ("bitcoin-v1", r#"{"id": 1, "method": "mining.subscribe", "params": ["cgminer/3.7.2", "s"]}"#),
    ("bitcoin-v1", r#"{"id":1,"method":"mining.subscribe"}"#),
    ("bitcoin-v1", r#"{"method":"mining.subscribe","params":["a"]}"#),
    (
        "bitcoin-v1",
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}"#,
    ),
    ("bitcoin-v1", r#"{"id": null, "method": "mining.suggest_target", "params": ["ff"]}"#),
    ("bitcoin-v1", r#"{"id": null, "method": "mining.suggest_difficulty", "params": [4]}"#),
    ("bitcoin-v1", r#"{"id":null,"method":"mining.capabilities","params":[{"notify":[]}]}"#),
    ("bitcoin-v1", r#"{"id": "auth", "method": "mining.authorize", "params": ["user", "pass"]}"#),
    (
        "bitcoin-v1",
        r#"{"params": ["w","job","en2","ntime","nonce"], "id": 5, "method": "mining.submit"}"#,
    ),
    ("bitcoin-v1", r#"{"id": "xnsub", "method": "mining.extranonce.subscribe", "params": []}"#),
    (
        "bitcoin-v1",
        r#"{"params": ["26eb"], "id": "txlist26eb", "method": "mining.get_transactions"}"#,
    ),
    ("bitcoin-v1", r#"{"id":7,"method":"mining.ping","params":[]}"#),
    ("bitcoin-v1", r#"{"id":1.5,"method":"mining.subscribe","params":null}"#),
    (
        "bitcoin-v1",
        r#"{"id":null,"method":"mining.notify","params":["j","p","c1","c2",[],"2","19","5f",true]}"#,
    ),
    ("bitcoin-v1", r#"{"method":"mining.set_difficulty","params":[4096],"id":1}"#),
    ("bitcoin-v1", r#"{"method":"mining.set_extranonce","params":["08",4]}"#),
    ("equihash", r#"{"method":"mining.set_target","params":["00ff"]}"#),
    ("bitcoin-v1", r#"{"method":"mining.set_version_mask","params":["1fffe000"]}"#),
    (
        "bitcoin-v1",
        r#"{"id":1,"result":[[["mining.set_difficulty","s"],["mining.notify","s"]],"f0",4],"error":null}"#,
    ),
    ("bitcoin-v1", r#"{"id":1,"result":[["mining.notify","s"],"f0",4],"error":null}"#),
    (
        "ethereum-stratum",
        r#"{"id":1,"method":"mining.subscribe","params":["ethminer 0.19.0","EthereumStratum/1.0.0"]}"#,
    ),
    (
        "ethereum-stratum",
        r#"{"id":1,"result":[["mining.notify","ae","EthereumStratum/1.0.0"],"080c"],"error":null}"#,
    ),
    (
        "ethereum-stratum",
        r#"{"id":0,"method":"mining.hello","params":{"agent":"a","host":"h","port":"4d2","proto":"EthereumStratum/2.0.0"}}"#,
    ),
    (
        "ethereum-stratum",
        r#"{"id":0,"result":{"proto":"EthereumStratum/2.0.0","encoding":"plain"}}"#,
    ),
    ("ethereum-stratum", r#"{"id":50,"method":"mining.noop"}"#),
    ("ethproxy", r#"{"id":1,"method":"eth_submitLogin","worker":"0x","params":["0x"]}"#),
    (
        "ethproxy",
        r#"{"worker": "eth1.0", "jsonrpc": "2.0", "params": ["0x", "x"], "id": 2, "method": "eth_submitLogin"}"#,
    ),
    ("ethproxy", r#"{"id":5,"method":"eth_getWork","params":[]}"#),
    ("ethproxy", r#"{"id":5,"method":"eth_submitWork","params":["0x","0x","0x"]}"#),
    ("ethproxy", r#"{"id":9,"method":"eth_submitHashrate","params":["0x","0x"]}"#),
    (
        "monero",
        r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"WALLET","pass":"p","agent":"Mozilla/5.0"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"WALLET.rig1+5000","pass":"donations"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"me@example.org","pass":"p","agent":"XMRig/6.26.0 (Linux x86_64) libuv/1.48.0 gcc/13.2.1"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"me","pass":"p","agent":"mine/1 (Linux x86_64) libuv/1.48.0 gcc/13.2.1"}}"#,
    ),
    (
        "monero",
        r#"{"method":"login","params":{"login":"me","pass":"p","rigid":"","agent":"xmr-stak/2.10.8/cb7fd2c8"},"id":1}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"me","pass":"p","algo":["cn/1","rx/0"]}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"me","pass":"p","algo-perf":{"cn":1}}}"#,
    ),
    ("monero", r#"{"id":1,"method":"login","params":{"login":"me","pass":"x"}}"#),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq","pass":"c=BTC"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"DOGE:DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L.w","pass":"p"}}"#,
    ),
    (
        "monero",
        r#"{"id":2,"method":"submit","params":{"id":"i","job_id":"j","nonce":"d0030040","result":"e1364b8782719d7683e2ccd3d8f724bc59dfa780a9e960e7c0e0046acdb40100"}}"#,
    ),
    ("monero", r#"{"id":3,"jsonrpc":"2.0","method":"keepalived","params":{"id":"i"}}"#),
    (
        "monero",
        r#"{"jsonrpc":"2.0","method":"job","params":{"blob":"10","job_id":"q","target":"b88d0600"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"error":null,"result":{"id":"1b","job":{"blob":"10","job_id":"q","target":"b8"},"status":"OK"}}"#,
    ),
    // NiceHash as a miner, and V1's other voices.
    ("bitcoin-v1", r#"{"id":1,"method":"mining.subscribe","params":["NiceHash/1.0.0"]}"#),
    ("bitcoin-v1", r#"{"id":9,"method":"client.reconnect","params":["pool.example.org",3333,0]}"#),
    ("bitcoin-v1", r#"{"id":null,"method":"client.show_message","params":["hello"]}"#),
    ("bitcoin-v1", r#"{"id":5,"method":"client.get_version","params":[]}"#),
    // Equihash and KawPow.
    (
        "equihash",
        r#"{"id": 1, "method": "mining.subscribe", "params": ["equihashminer", null, "zec-eu.suprnova.cc", "2142"]}"#,
    ),
    (
        "equihash",
        r#"{"id":1,"method":"mining.subscribe","params":["GMiner/2.09",null,"rvn.example.com","4505"]}"#,
    ),
    (
        "bitcoin-v1",
        r#"{"id":4,"method":"mining.submit","params":["t1.w","1","5f","00","fd400500aabbccddeeff00112233445566778899aabbccddeeff"]}"#,
    ),
    (
        "kawpow",
        r#"{"id":4,"method":"mining.submit","params":["R.w","1","0x64290b00","0xHASH","0xHASH"]}"#,
    ),
    // Kaspa.
    ("kaspa", r#"{"id":2,"method":"mining.authorize","params":["kaspa:qq0123.w","x"]}"#),
    ("kaspa", r#"{"id":1,"jsonrpc":"2.0","result":[true,"EthereumStratum/1.0.0"]}"#),
    ("kaspa", r#"{"jsonrpc":"2.0","method":"set_extranonce","params":["0029",6]}"#),
    // Conflux, Xelis, Alephium.
    ("conflux", r#"{"jsonrpc":"2.0","method":"mining.subscribe","params":["cfxmine", ""],"id":1}"#),
    (
        "conflux",
        r#"{ "id": 17, "method": "mining.notify", "params": ["2a","1","0xHASH","0x044b82fa"] }"#,
    ),
    (
        "xelis",
        r#"{"id":3,"method":"mining.submit","params":["xel:ys4peuzztwl67rzhsdu0y.rig","7","1363"]}"#,
    ),
    (
        "alephium",
        r#"{"id":3,"method":"mining.submit","params":{"jobId":"7","fromGroup":1,"toGroup":2,"nonce":"00","worker":"1.w"}}"#,
    ),
    // Iron Fish.
    (
        "iron-fish",
        r#"{"id":0,"method":"mining.subscribe","body":{"version":3,"agent":"lolMiner/1.85","publicAddress":"ADDR.w","extend":["mining.submitted"]}}"#,
    ),
    ("iron-fish", r#"{"id":0,"method":"mining.subscribed","body":{"clientId":0,"xn":"64da"}}"#),
    ("iron-fish", r#"{"method":"mining.set_target","body":{"target":"00ff"}}"#),
    // Ergo over HTTP.
    (
        "ergo",
        r#"{"pk":"0278011ec0cf5feb92d61adb51dcb75876627ace6fd9446ab4cabc5313ab7b39a7","w":"0366","n":"0012","d":98765e0}"#,
    ),
    (
        "ergo",
        r#"{"msg":"4c79b80f","b":7481,"h":5,"pk":"0278011ec0cf5feb92d61adb51dcb75876627ace6fd9446ab4cabc5313ab7b39a7","proof":null}"#,
    ),
    // Beam.
    ("beam", r#"{"method":"login", "api_key":"1bd3e1a8f2", "id":"login","jsonrpc":"2.0"}"#),
    (
        "beam",
        r#"{"method" : "solution", "id": "212", "nonce": "ab4e3a0000000001", "output": "00112233", "jsonrpc":"2.0" }"#,
    ),
    (
        "beam",
        r#"{"code":0,"description":"Login successful","id":"login","jsonrpc":"2.0","method":"result","nonceprefix":"ab4e"}"#,
    ),
    (
        "beam",
        r#"{"difficulty":3441671469,"height":1,"id":"212","input":"HASH","jsonrpc":"2.0","method":"job"}"#,
    ),
    // Grin.
    (
        "grin",
        r#"{"id":"0","jsonrpc":"2.0","method":"login","params":{"login":"l","pass":"p","agent":"grin-miner"}}"#,
    ),
    ("grin", r#"{"id":"0","jsonrpc":"2.0","method":"getjobtemplate","params":null}"#),
    (
        "grin",
        r#"{"id":"0","jsonrpc":"2.0","method":"submit","params":{"edge_bits":29,"height":1,"job_id":0,"nonce":1,"pow":[1,2]}}"#,
    ),
    (
        "grin",
        r#"{"id":"Stratum","jsonrpc":"2.0","method":"job","params":{"difficulty":1,"height":1,"job_id":5,"pre_pow":"0001"}}"#,
    ),
    (
        "grin",
        r#"{"id":"0","jsonrpc":"2.0","method":"getjobtemplate","result":{"difficulty":1,"height":1,"job_id":5,"pre_pow":"0001"},"error":null}"#,
    ),
    // Browser miners.
    (
        "coinhive",
        r#"{"type":"auth","params":{"site_key":"k","type":"anonymous","user":null,"goal":0}}"#,
    ),
    ("coinhive", r#"{"type":"job","params":{"job_id":"q","blob":"10","target":"b88d0600"}}"#),
    ("coinhive", r#"{"type":"submit","params":{"job_id":"q","nonce":"d0030040","result":"HASH"}}"#),
    ("coinhive", r#"{"type":"hash_accepted","params":{"hashes":1024}}"#),
    (
        "webminerpool",
        r#"{"identifier":"handshake","pool":"p","login":"4","password":"","userid":"","version":8}"#,
    ),
    ("webminerpool", r#"{"identifier":"handshake","loginid":"1","userid":"","version":5}"#),
    (
        "webminerpool",
        r#"{"identifier":"job","job_id":"q7","algo":"cn","variant":4,"height":1,"blob":"1010","target":"b88d0600"}"#,
    ),
    ("webminerpool", r#"{"identifier":"solved","job_id":"q7","nonce":"ab","result":"HASH"}"#),
    (
        "nimiq",
        r#"{"message":"register","mode":"nano","address":"NQ07 0000 0000","deviceId":1,"startDifficulty":1,"genesisHash":"AA=="}"#,
    ),
    (
        "nimiq",
        r#"{"message":"settings","address":"NQ","extraData":"AA==","target":1,"targetCompact":1,"nonce":1}"#,
    ),
    (
        "nimiq",
        r#"{"message":"new-block","bodyHash":"AA==","accountsHash":"AA==","previousBlock":"AA=="}"#,
    ),
    (
        "nimiq",
        r#"{"message":"share","blockHeader":"AA==","minerAddrProof":"AA==","extraDataProof":"AA=="}"#,
    ),
    (
        "nimiq",
        r#"{"message":"balance","balance":1,"confirmedBalance":1,"payoutRequestActive":false}"#,
    ),
    // Against a node.
    ("getwork", r#"{"method": "getwork", "params": [], "id":0}"#),
    (
        "getblocktemplate",
        r#"{"id": 0, "method": "getblocktemplate", "params": [{"capabilities": ["coinbasetxn", "workid"]}]}"#,
    ),
    ("getblocktemplate", r#"{"id":0,"method":"submitblock","params":["00"]}"#),
    (
        "getblocktemplate",
        r#"{"id":0,"error":null,"result":{"midstate":"00","data":"00","target":"ff"}}"#,
    ),
    (
        "getblocktemplate",
        r#"{"result":{"version":4,"previousblockhash":"00","coinbaseaux":{},"coinbasevalue":1},"error":null,"id":0}"#,
    ),
    (
        "monero-daemon",
        r#"{"id":4,"jsonrpc":"2.0","method":"getblocktemplate","params":{"wallet_address":"4","extra_nonce":"00"}}"#,
    ),
    (
        "monero-daemon",
        r#"{"id":4,"jsonrpc":"2.0","result":{"blocktemplate_blob":"10","difficulty":1,"status":"OK"}}"#,
    ),
    (
        "ethproxy",
        r#"{"id":0,"jsonrpc":"2.0","result":["0xHASH","0xHASH","0x0000000394427b08175efa9a9eb59b9123e2969bf19bf272b20787ed022fbe6c"]}"#,
    ),
    // Monero's variations.
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"me","pass":"p","mode":"self-select"}}"#,
    ),
    ("monero", r#"{"id":1,"method":"login","params":{"login":"me","pass":"p","agent":"xmr/1.0"}}"#),
    (
        "monero",
        r#"{"jsonrpc":"2.0","method":"job","params":{"job_id":"q","target":"b8","pool_wallet":"4","extra_nonce":"00"}}"#,
    ),
    ("monero", r#"{"id":3,"jsonrpc":"2.0","error":null,"result":{"status":"KEEPALIVED"}}"#),
    ("monero", r#"{"id":3,"result":{"job_id":"q","blob":"10","target":"b8"}}"#),
    (
        "ethereum-stratum",
        r#"{"method":"mining.set","params":{"epoch":"dc","target":"0112","algo":"ethash","extranonce":"af4c"}}"#,
    ),
    ("ethereum-stratum", r#"{"id":16,"method":"mining.hashrate","params":["500000","w-123"]}"#),
];

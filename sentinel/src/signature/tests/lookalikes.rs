//! What sounds like mining and is not: JSON of real services with the weak words in their roles, and
//! with the tells of a dialect in any role but their own.

use super::super::reading::read_all;
use super::BUILT_IN;
use super::lines::{HASH, WALLET};

/// Messages, each a stream of its own; several lines are one stream.
const LOOKALIKES: &[&str] = &[
    r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"user":"deploy","pass":"s3cret","agent":"ci-runner/4.2 (Linux x86_64)"}}"#,
    r#"{"id":1,"method":"login","params":{"login":"deploy","pass":"s3cret","agent":"ci-runner/4.2 (Linux x86_64)"}}"#,
    r#"{"id":1,"method":"login","params":{"login":"alice","password":"x"}}"#,
    r#"{"id":2,"jsonrpc":"2.0","method":"keepalive","params":{"id":"9f"}}"#,
    r#"{"method":"submit","job_id":"77","result":"f00"}"#,
    r#"{"id":1,"method":"submit","params":{"job_id":"7","nonce":"1","result":"done"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"submit","arguments":{"job_id":"7"}}}"#,
    r#"{"method":"job","params":{"job_id":"render-9","frames":120}}"#,
    r#"{"level":"info","text":"\"method\":\"mining.subscribe\"","params":[]}"#,
    r#"{"params":{"method":"mining.subscribe","id":1},"id":1}"#,
    r#"{"id":1,"methods":["mining.subscribe"],"params":[]}"#,
    r#"{"mining.subscribe":"method","id":1,"params":[]}"#,
    r#"{"method":"mining.subscribe"}"#,
    r#"{"method":"mining.subscribed","id":1}"#,
    r#"{"method":"xmining.subscribe","id":1}"#,
    r#"{"id":1,"method":"eth_blockNumber","params":[]}"#,
    r#"{"id":1,"jsonrpc":"2.0","method":"eth_subscribe","params":["newHeads"]}"#,
    r#"{"id":1,"result":["mining.notify"],"error":null}"#,
    r#"{"id":1,"result":{"login":"WALLET","x":["EthereumStratum/1.0.0"]}}"#,
    "mining.subscribe {\"id\":1,\"method\":\"mining.subscribe\"}",
    // A word of the envelope is missing, or stands elsewhere.
    r#"{"method":"mining.bye"}"#,
    r#"{"id":1,"method":"mining.start","params":{"dataset":"orders-2026"}}"#,
    r#"{"id":1,"method":"mining.status","params":[]}"#,
    r#"{"id":1,"method":"client.version","params":["2.9.2","0.10"]}"#,
    r#"{"id":1,"result":{"method":"mining.notify","params":["1"]}}"#,
    r#"{"id":1,"params":["mining.subscribe","EthereumStratum/1.0.0","NiceHash/1.0.0"],"method":"search"}"#,
    r#"{"id":1,"params":["kaspa:qq0123","xel:abc","cfx:aa","pool.example.org"],"method":"getBalances"}"#,
    // Electrum.
    r#"{"jsonrpc":"2.0","method":"server.version","params":["4.5.5","1.4"],"id":0}"#,
    r#"{"jsonrpc":"2.0","method":"blockchain.scripthash.subscribe","params":["HASH"],"id":3}"#,
    r#"{"id":7,"jsonrpc":"2.0","result":["HASH","HASH"]}"#,
    r#"{"jsonrpc":"2.0","method":"blockchain.headers.subscribe","params":[{"height":1,"hex":"00"}]}"#,
    r#"{"id":8,"jsonrpc":"2.0","method":"blockchain.transaction.broadcast","params":["0200HASHHASH"]}"#,
    // Bitcoin's node, asked by a wallet or an explorer.
    r#"{"jsonrpc":"1.0","id":"c","method":"getmininginfo","params":[]}"#,
    r#"{"jsonrpc":"1.0","id":"c","method":"getblockchaininfo","params":[]}"#,
    r#"{"jsonrpc":"1.0","id":"c","method":"getblock","params":["HASH",2]}"#,
    r#"{"result":{"hash":"HASH","confirmations":1,"bits":"1d00ffff","target":"HASH","previousblockhash":"HASH","nonce":1},"error":null,"id":"c"}"#,
    r#"{"result":{"blocks":9,"difficulty":1,"networkhashps":7e20,"pooledtx":3,"chain":"main"},"error":null,"id":"c"}"#,
    r#"{"jsonrpc":"1.0","id":"c","method":"sendrawtransaction","params":["0200HASH"]}"#,
    // Ethereum wallets and filters.
    r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x1ab1","data":"0x"},"latest"]}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0xHASHHASH"]}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"eth_mining","params":[]}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"eth_hashrate","params":[]}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"eth_getFilterChanges","params":["0x16"]}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":["0xHASH","0xHASH","0xHASH"]}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":["0x000000000000000000000000407d73d8a49eeb85d32cf465507dd71d507100c1"]}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":[{"topics":["0xHASH","0x000000000000000000000000407d73d8a49eeb85d32cf465507dd71d507100c1"],"data":"0x"}]}"#,
    r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x9c","result":{"nonce":"0x1","difficulty":"0x2","mixHash":"0xHASH"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":["0x407d73d8a49eeb85d32cf465507dd71d507100c1"]}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}"#,
    // Monero's wallet and node on the same path as mining.
    r#"{"jsonrpc":"2.0","id":"0","method":"get_balance","params":{"account_index":0}}"#,
    r#"{"jsonrpc":"2.0","id":"0","method":"get_block_count"}"#,
    r#"{"jsonrpc":"2.0","id":"0","method":"get_info"}"#,
    r#"{"jsonrpc":"2.0","id":"0","method":"transfer","params":{"destinations":[{"amount":1,"address":"WALLET"}],"priority":1}}"#,
    r#"{"jsonrpc":"2.0","id":"0","method":"validate_address","params":{"address":"WALLET"}}"#,
    r#"{"id":"0","jsonrpc":"2.0","result":{"blob":"0e0e","block_header":{"nonce":1},"status":"OK"}}"#,
    // Logins of other services.
    r#"{"jsonrpc":"2.0","method":"user.login","params":{"username":"Admin","password":"zabbix"},"id":1}"#,
    r#"{"id":1,"method":"login","params":["admin","x"]}"#,
    r#"{"id":1,"method":"login","params":{"user":"alice","pass":"x"}}"#,
    r#"{"id":1,"method":"login","params":{"login":"alice","pass":"hunter2","agent":"Mozilla/5.0","mode":"self-service"}}"#,
    r#"{"method":"login","api_key":"1bd3e1a8f2","id":17,"jsonrpc":"2.0"}"#,
    r#"{"method":"login","id":"login","params":{"api_key":"k"}}"#,
    r#"{"jsonrpc":"2.0","id":2,"result":{"status":"OK","id":"9f"}}"#,
    // Queues, renderers, CI: `job`, `submit`, `result`, `blob`.
    r#"{"method":"job","id":"77","input":"s3://bucket/scene-9.blend","difficulty":3}"#,
    r#"{"method":"job","id":"77","input":"d41d8cd98f00b204e9800998ecf8427e"}"#,
    r#"{"method":"result","id":"77","output":"report.pdf","nonce":"1"}"#,
    r#"{"method":"solution","output":"42"}"#,
    r#"{"result":{"job_id":"render-9","blob":"artifacts/9.tar","target":"x86_64"},"id":4}"#,
    r#"{"method":"job","params":{"job_id":"render-9","blob":"store://9","target":"gpu"}}"#,
    r#"{"id":4,"method":"submit","params":{"job_id":"7","nonce":"4f","result":"HASHHASH"}}"#,
    r#"{"jsonrpc":"2.0","id":9,"method":"submit_job","params":{"job_id":"7"}}"#,
    r#"{"method":"getjob","params":{"id":"7"},"id":1}"#,
    r#"{"method":"getJobTemplate","params":{"name":"cut"},"id":1}"#,
    r#"{"method":"status","params":null,"id":"0","jsonrpc":"2.0"}"#,
    r#"{"id":2,"jsonrpc":"2.0","method":"keepalived","params":{"vrrp":"VI_1"}}"#,
    // Envelopes of chats and pages.
    r#"{"type":"auth","params":{"token":"abc","user":null}}"#,
    r#"{"type":"authed","params":{"token":"tok_123"}}"#,
    r#"{"type":"auth","access_token":"ABCDEFGH"}"#,
    r#"{"type":"job","params":{"job_id":"render-9","frames":120}}"#,
    r#"{"type":"submit","params":{"job_id":"render-9","result":"done"}}"#,
    r#"{"type":"submit","params":{"hashes":["HASH"]}}"#,
    r#"{"method":"verify","params":{"site_key":"6Lc","response":"t"},"id":1}"#,
    r#"{"type":"hello","params":{"site_key":"6Lc"}}"#,
    r#"{"message":"register","name":"alice","address":"12 High Street"}"#,
    r#"{"message":"settings","theme":"dark","nonce":7}"#,
    r#"{"message":"share","url":"https://example.org/p/7","block":"b"}"#,
    r#"{"message":"balance","balance":12,"confirmedBalance":12}"#,
    r#"{"command":"message","identifier":"{\"channel\":\"RoomChannel\"}","data":"{}"}"#,
    r#"{"identifier":"job","job_id":"7","state":"running"}"#,
    r#"{"identifier":"handshake","login":"alice","version":8}"#,
    r#"{"op":2,"d":{"token":"t","properties":{"os":"linux"},"intents":513}}"#,
    r#"{"type":"message","channel":"C1","user":"U1","text":"mining.subscribe mining.notify","ts":"1.2"}"#,
    r#"{"id":1,"type":"auth","subscribe":["mining"],"nonce":"9"}"#,
    // Signatures and keys: Ergo's letters alone, or a point without them.
    r#"{"pk":"0278011ec0cf5feb92d61adb51dcb75876627ace6fd9446ab4cabc5313ab7b39a7","msg":"HASH","sig":"HASHHASH"}"#,
    r#"{"pk":"user-77","w":640,"h":480,"n":3,"d":1}"#,
    r#"{"w":640,"h":480,"n":3,"d":1,"b":2,"msg":"resize"}"#,
    // GraphQL, MCP, language servers, telemetry.
    r#"{"operationName":"Jobs","query":"query Jobs { job { id nonce target blob } }","variables":{"id":"7"}}"#,
    r#"{"id":"1","type":"subscribe","payload":{"query":"subscription { mining { job } }"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"mining.subscribe","arguments":{"method":"mining.subscribe"}}}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"textDocument/didChange","params":{"contentChanges":[{"text":"mining.notify"}]}}"#,
    r#"{"jsonrpc":"2.0","method":"$/progress","params":{"token":"t","value":{"kind":"report","message":"share"}}}"#,
    r#"{"id":1,"connect":{"token":"t","name":"js"}}"#,
    r#"{"id":2,"subscribe":{"channel":"grafana/dashboard/uid/mining.notify"}}"#,
    r#"{"topic":"rig/7/set_target","payload":"{\"method\":\"mining.set_target\",\"params\":[\"ff\"]}","qos":1}"#,
    r#"{"host":"rig7","short_message":"C> {\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}","level":6}"#,
    r#"{"timestamp":"2026-11-23","event_type":"alert","alert":{"signature":"ET POLICY Stratum"},"payload_printable":"{\"method\":\"login\",\"params\":{\"login\":\"4\",\"agent\":\"XMRig\"}}"}"#,
    r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"mining.submit"},"spec":{"template":{"spec":{"containers":[{"args":["--algo","rx/0"]}]}}}}"#,
    r#"{"method":"torrent-get","arguments":{"fields":["id","name"]},"tag":4}"#,
    r#"{"id":"qwer","jsonrpc":"2.0","method":"aria2.addUri","params":["token:s",["https://example.org/f"]]}"#,
];

/// Two messages, each with half of what a rule asks for, are not one message with both.
const HALVES: &[(&str, &str)] = &[
    (
        r#"{"id":1,"method":"login","params":{"user":"a"}}"#,
        r#"{"id":2,"params":{"login":"a","agent":"XMRig/6"}}"#,
    ),
    (r#"{"method":"mining.subscribe"}"#, r#"{"id":1,"params":[]}"#),
    (r#"{"type":"auth"}"#, r#"{"params":{"site_key":"k"}}"#),
    (r#"{"message":"register"}"#, r#"{"address":"NQ07 0000"}"#),
    (r#"{"method":"job","difficulty":1}"#, r#"{"input":"HASH"}"#),
    (r#"{"pk":"02ab"}"#, r#"{"w":"1","n":"2"}"#),
];

#[test]
fn what_only_sounds_like_mining_is_left_alone() {
    for line in LOOKALIKES {
        let line = line.replace("WALLET", WALLET).replace("HASH", HASH);
        let found = read_all(&BUILT_IN.signatures, [line.as_bytes()]);
        let rule = found.and_then(|found| BUILT_IN.catalogue.rule(found.rule));
        assert_eq!(rule, None, "{line}");
        if line.starts_with('{') {
            serde_json::from_str::<serde_json::Value>(&line)
                .unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}

#[test]
fn all_of_them_in_one_stream_are_left_alone() {
    let lines = LOOKALIKES.iter().filter(|line| line.starts_with('{'));
    let stream: Vec<String> =
        lines.map(|line| line.replace("WALLET", WALLET).replace("HASH", HASH)).collect();
    assert_eq!(read_all(&BUILT_IN.signatures, [stream.join("\n").as_bytes()]), None);
}

#[test]
fn halves_do_not_add_up() {
    for (one, other) in HALVES {
        for stream in
            [format!("{one}\n{other}\n"), format!("{other}\n{one}\n"), format!("[{one},{other}]")]
        {
            let stream = stream.replace("HASH", HASH);
            assert_eq!(read_all(&BUILT_IN.signatures, [stream.as_bytes()]), None, "{stream}");
        }
    }
}

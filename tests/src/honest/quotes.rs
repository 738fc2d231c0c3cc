//! Text that quotes mining requests without being one: what must never be cut.

/// A Bitcoin request as it stands in documentation.
pub(super) const V1: &str = r#"{"id": 1, "method": "mining.subscribe", "params": []}"#;
/// A Monero login as it stands in an incident report.
pub(super) const LOGIN: &str = r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"48x","pass":"x","agent":"XMRig/6.26.0"}}"#;

/// A page that shows requests, each inside other text.
pub(super) fn page() -> String {
    format!(
        "<!doctype html>\n<title>How miners speak</title>\n<p>The first line is \
         <code>{{\"method\":\"mining.subscribe\"}}</code>, in full <code>{V1}</code>;\n\
         Monero says <code>{LOGIN}</code> instead.\n"
    )
}

/// A page that shows requests on lines of their own.
pub(super) fn block_page() -> String {
    format!("<!doctype html>\n<pre>\n{V1}\n{LOGIN}\n</pre>\n")
}

/// A ticket whose text quotes requests.
pub(super) fn ticket(round: u32) -> String {
    let text = format!("host 7 sent {V1} and then\n{LOGIN}\nplease look");
    serde_json::json!({"ticket": round, "title": "suspicious traffic", "text": text}).to_string()
}

/// One line of a log whose message quotes a request.
pub(super) fn log_line(round: u32) -> String {
    let message = format!("dropped a packet that said {V1}; the next said {LOGIN}");
    serde_json::json!({"ts": round, "level": "info", "msg": message}).to_string()
}

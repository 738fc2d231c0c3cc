use super::*;

const POD: &str = "apiVersion: sentinel.dev/v1alpha1
kind: EgressPolicy
metadata: {name: web, namespace: shop}
spec:
  workload: {podSelector: {matchLabels: {app: web}}}
  mode: audit
  stratum: block
  egress:
    - toCIDRs: [10.0.0.0/8, 192.0.2.0/24]
      except: [10.66.0.0/16]
      ports:
        - {port: 443}
        - {port: 53, protocol: ANY}
        - {port: 8000, endPort: 8099}
        - {protocol: ICMP}
    - toFQDNs: [api.example.com, \"*.example.org\"]
      ports: [{port: 443}]
    - toCIDRs: [198.51.100.0/24]
      ports: [{protocol: ICMP}]
    - toCIDRs: [203.0.113.0/24]
  egressDeny:
    - toCIDRs: [10.1.0.0/16]
";

fn run(text: &str, target: Target) -> Exported {
    let (name, text) = ("p.yaml".to_owned(), text.to_owned());
    export(&[Source { name, text }], target).unwrap()
}

/// The one object, read again, as JSON.
fn object(exported: &Exported) -> serde_json::Value {
    serde_saphyr::from_str(exported.text.trim_start_matches("---\n")).unwrap_or_else(|error| {
        panic!("{error}\n{}", exported.text);
    })
}

fn lost(exported: &Exported) -> String {
    exported.lost.iter().map(|it| format!("{}: {}\n", it.place, it.what)).collect()
}

#[test]
fn a_network_policy_allows_what_it_can_and_says_what_it_cannot() {
    let exported = run(POD, Target::NetworkPolicy);
    let expected = serde_json::json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "policyTypes": ["Egress"],
            "egress": [
                {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.66.0.0/16", "10.1.0.0/16"]}},
                        {"ipBlock": {"cidr": "192.0.2.0/24"}}],
                 "ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 53},
                           {"protocol": "UDP", "port": 53}, {"protocol": "SCTP", "port": 53},
                           {"protocol": "TCP", "port": 8000, "endPort": 8099}]},
                {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]},
            ],
        },
    });
    assert_eq!(object(&exported), expected, "{}", exported.text);
    let lost = lost(&exported);
    let some = POD.replace("[10.1.0.0/16]", "[10.1.0.0/16]\n      ports: [{port: 443}]");
    assert!(self::lost(&run(&some, Target::NetworkPolicy)).contains("ALLOWS MORE"));
    for said in ["mode: audit", "stratum", "egressDeny", "api.example.com", "icmp"] {
        assert!(lost.contains(said), "{said} in\n{lost}");
        assert!(exported.text.contains(said), "{said} in\n{}", exported.text);
    }
}

#[test]
fn ciliums_object_has_names_and_denials() {
    let exported = run(POD, Target::Cilium);
    let object = object(&exported);
    assert_eq!(object["kind"], "CiliumNetworkPolicy");
    let spec = &object["spec"];
    assert_eq!(spec["endpointSelector"], serde_json::json!({"matchLabels": {"app": "web"}}));
    assert_eq!(spec["egress"].as_array().unwrap().len(), 3);
    assert_eq!(
        spec["egress"][1],
        serde_json::json!({
            "toFQDNs": [{"matchName": "api.example.com"}, {"matchPattern": "*.example.org"}],
            "toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}],
        })
    );
    assert_eq!(spec["egressDeny"][0]["toCIDRSet"][0]["cidr"], "10.1.0.0/16");
    assert!(spec.get("enableDefaultDeny").is_none());
    assert!(lost(&exported).contains("resolver"));
}

#[test]
fn what_allows_nothing_still_allows_nothing_and_denials_alone_isolate_nobody() {
    let head = "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {name: x}\nspec:\n  mode: enforce\n";
    let empty = object(&run(&format!("{head}  egress: []\n"), Target::Cilium));
    assert_eq!(empty["spec"]["egress"], serde_json::json!([{}]));
    assert_eq!(empty["kind"], "CiliumClusterwideNetworkPolicy");
    let text = format!(
        "{head}  egress:\n    - toCIDRs: [192.0.2.0/24]\n      ports: [{{protocol: ICMP}}]\n"
    );
    assert_eq!(object(&run(&text, Target::Cilium))["spec"]["egress"], serde_json::json!([{}]));
    let text = format!("{head}  egressDeny:\n    - toCIDRs: [192.0.2.0/24]\n");
    let deny = object(&run(&text, Target::Cilium));
    assert_eq!(deny["spec"]["enableDefaultDeny"], serde_json::json!({"egress": false}));
}

#[test]
fn what_kubernetes_does_not_know_is_left_out_with_the_reason() {
    let unit = POD.replace("podSelector: {matchLabels: {app: web}}", "systemdUnit: web.service");
    for target in [Target::NetworkPolicy, Target::Cilium] {
        let exported = run(&unit, target);
        assert!(
            exported
                .text
                .contains("# p.yaml:3: left out: Kubernetes has no objects for systemd units")
        );
        assert!(!exported.text.contains("apiVersion"), "{}", exported.text);
    }
    let node = POD.replace(", namespace: shop", "");
    assert!(lost(&run(&node, Target::NetworkPolicy)).contains("metadata.namespace"));
    let wrong = Source { name: "p.yaml".to_owned(), text: "kind: x\n".to_owned() };
    assert!(matches!(export(&[wrong], Target::Cilium), Err(ExportError::Invalid(_))));
}

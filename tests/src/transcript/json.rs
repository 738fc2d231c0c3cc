//! A JSON writer that keeps key order and writes on purpose what ordinary writers never would.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::variant::{Escapes, Spacing, Variant};

/// A JSON value whose members keep their order; keys may repeat.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Raw(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads a JSON text; what is none is later written as it stands.
    pub(super) fn parse(text: &str) -> Node {
        serde_json::from_str(text).unwrap_or_else(|_| Node::Raw(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Raw(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Raw(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Raw(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Raw(value.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Raw("null".to_owned()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Node::Map(map))
    }
}

/// Which string is being written, for escapes that only touch some.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Key,
    Method,
    Other,
}

/// Writes one request as the variant wants it, without a line end.
pub(super) fn render(node: &Node, variant: &Variant) -> String {
    let mut out = String::new();
    write(&mut out, node, variant, Role::Other, 0);
    out
}

fn write(out: &mut String, node: &Node, variant: &Variant, role: Role, depth: usize) {
    match node {
        Node::Raw(raw) => out.push_str(raw),
        Node::Text(text) => write_text(out, text, variant.escapes, role),
        Node::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(out, index, variant.spacing);
                write(out, item, variant, Role::Other, depth + 1);
            }
            out.push(']');
        }
        Node::Map(members) => write_map(out, members, variant, depth),
    }
}

fn write_map(out: &mut String, members: &[(String, Node)], variant: &Variant, depth: usize) {
    let mut members: Vec<&(String, Node)> = members.iter().collect();
    if variant.reversed {
        members.reverse();
    }
    let (edge, colon, _) = spaces(variant.spacing);
    out.push('{');
    out.push_str(edge);
    for (index, (key, value)) in members.into_iter().enumerate() {
        separate(out, index, variant.spacing);
        write_text(out, key, variant.escapes, Role::Key);
        out.push_str(colon);
        let method = depth == 0 && key == "method";
        write(out, value, variant, if method { Role::Method } else { Role::Other }, depth + 1);
    }
    out.push_str(edge);
    out.push('}');
}

fn separate(out: &mut String, index: usize, spacing: Spacing) {
    if index > 0 {
        out.push_str(spaces(spacing).2);
    }
}

/// Inside braces, between key and value, between items.
fn spaces(spacing: Spacing) -> (&'static str, &'static str, &'static str) {
    match spacing {
        Spacing::Compact => ("", ":", ","),
        Spacing::Python => ("", ": ", ", "),
        Spacing::Wide => (" \t ", "  :\t ", " \t,   "),
    }
}

fn write_text(out: &mut String, text: &str, escapes: Escapes, role: Role) {
    let last = text.chars().count().saturating_sub(1);
    out.push('"');
    for (index, character) in text.chars().enumerate() {
        let escape = match escapes {
            Escapes::None => false,
            Escapes::MethodChar => role == Role::Method && index == last,
            Escapes::Method => role == Role::Method,
            Escapes::Keys => role == Role::Key,
            Escapes::All => true,
        };
        match character {
            _ if escape => out.push_str(&format!("\\u{:04X}", u32::from(character))),
            '"' | '\\' => out.extend(['\\', character]),
            _ => out.push(character),
        }
    }
    out.push('"');
}

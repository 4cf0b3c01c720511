//! High availability as a stock master is told of it, and the transfer metadata server.

use std::net::SocketAddr;

use super::super::is_host_port;
use super::gflags::Given;
use super::{Surroundings, port};

/// What was said about etcd, as our coordinator; `None` when nothing was.
pub(super) fn coordinator(given: &mut Given, lacking: &mut Vec<String>) -> Option<String> {
    if given.value("enable_ha") != "true" {
        return None;
    }
    let backend = given.value("ha_backend_type").to_owned();
    if backend != "etcd" {
        lacking.push(format!("--ha_backend_type is `{backend}`: leaders are elected through etcd only"));
    }
    for flag in ["standfast_role", "standfast_peer"] {
        if let Some(value) = given.said(flag) {
            let text = format!("--{flag} is `{value}`: expected none beside --enable_ha, where etcd decides");
            given.wrong.push(text);
        }
    }
    if given.value("rpc_interface").is_empty() && matches!(given.value("rpc_address"), "0.0.0.0" | "::") {
        given.wrong.push(format!(
            "--rpc_address is `{}`: with --enable_ha expected an address that clients and the other node reach; \
             it is published in etcd",
            given.value("rpc_address")
        ));
    }
    // The newer flag counts, where it says something.
    let flag = if given.value("ha_backend_connstring").is_empty() {
        "etcd_endpoints"
    } else {
        "ha_backend_connstring"
    };
    let text = given.value(flag);
    let endpoints = || text.split([';', ',']).map(str::trim).filter(|endpoint| !endpoint.is_empty());
    let over_tls = endpoints().filter(|endpoint| endpoint.starts_with("https://")).count();
    if over_tls > 0 && over_tls < endpoints().count() {
        let text = format!("--{flag} is `{text}`: expected https:// before each endpoint, or before none");
        given.wrong.push(text);
        return None;
    }
    let members: Vec<&str> = endpoints().map(member).collect();
    if members.is_empty() || !members.iter().all(|member| is_host_port(member)) {
        let text =
            format!("--{flag} is `{text}`: with --enable_ha expected HOST:PORT, several separated by `;`");
        given.wrong.push(text);
        return None;
    }
    let scheme = if over_tls > 0 { "etcd+tls" } else { "etcd" };
    Some(format!("{scheme}://{}", members.join(",")))
}

/// `host:port` of one endpoint.
fn member(text: &str) -> &str {
    let bare = ["etcd://", "http://", "https://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    bare.unwrap_or(text).trim_end_matches('/')
}

/// The words of `serve` about the transfer metadata server.
pub(super) fn metadata_server(given: &mut Given, around: &impl Surroundings) -> Vec<String> {
    if given.value("enable_http_metadata_server") != "true" {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    let host = given.value("http_metadata_server_host");
    let ip = host.parse().ok().or_else(|| around.host(host));
    if ip.is_none() {
        wrong.push(format!("--http_metadata_server_host is `{host}`: it has no address on this machine"));
    }
    let port = port(given, "http_metadata_server_port", &mut wrong);
    let mut words: Vec<String> = ip
        .zip(port)
        .map(|(ip, port)| ["--transfer-metadata".to_owned(), SocketAddr::new(ip, port).to_string()])
        .into_iter()
        .flatten()
        .collect();
    if given.value("enable_metadata_cleanup_on_timeout") == "true" {
        words.push("--transfer-metadata-cleanup".to_owned());
    }
    given.wrong.extend(wrong);
    words
}

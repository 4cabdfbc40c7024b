//! What a cluster says of itself: the reply to `CLUSTER SLOTS`.

use deadpool_redis::redis::Value;

use crate::store::redis::access::Address;

/// Its masters and everybody's address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// In the order of their slots.
    pub(super) masters: Vec<Master>,
    pub(super) nodes: Vec<Address>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Master {
    /// The first and the last of each range.
    pub(super) slots: Vec<(u16, u16)>,
    /// If the cluster says where it listens.
    pub(super) address: Option<Address>,
}

impl Layout {
    /// Reads the reply of the server at `asked`, which may call itself, and others that share its
    /// host, by no name. `None` where it is none, or knows no master.
    pub(super) fn read(reply: &Value, asked: Option<&Address>) -> Option<Self> {
        let Value::Array(ranges) = reply else {
            return None;
        };
        let mut masters: Vec<(&Value, Master)> = Vec::new();
        let mut nodes = Vec::new();
        for range in ranges {
            let Value::Array(range) = range else {
                return None;
            };
            let [first, last, servers @ ..] = &range[..] else {
                return None;
            };
            let range = (number(first)?, number(last)?);
            let mut id_of_master = None;
            for (place, server) in servers.iter().enumerate() {
                let Value::Array(server) = server else {
                    return None;
                };
                let [host, port, id, ..] = &server[..] else {
                    return None;
                };
                let address = address(host, port, asked);
                if place == 0 {
                    id_of_master = Some((id, address.clone()));
                }
                nodes.extend(address);
            }
            let (id, address) = id_of_master?;
            match masters.iter_mut().find(|(other, _)| *other == id) {
                Some((_, master)) => master.slots.push(range),
                None => masters.push((
                    id,
                    Master {
                        slots: vec![range],
                        address,
                    },
                )),
            }
        }
        let mut masters: Vec<Master> = masters.into_iter().map(|(_, master)| master).collect();
        masters
            .iter_mut()
            .for_each(|master| master.slots.sort_unstable());
        masters.sort_unstable();
        nodes.sort_unstable();
        nodes.dedup();
        (!masters.is_empty()).then_some(Self { masters, nodes })
    }
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

fn address(host: &Value, port: &Value, asked: Option<&Address>) -> Option<Address> {
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        _ => String::new(),
    };
    let port = number(port).filter(|port| *port > 0)?;
    match &*host {
        // `?` stands for a name that is not set.
        "" | "?" => asked.map(|(host, _)| (host.clone(), port)),
        _ => Some((host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn server(host: Value, port: i64, id: &str) -> Value {
        Value::Array(vec![host, Value::Int(port), text(id)])
    }

    fn range(first: i64, last: i64, servers: Vec<Value>) -> Value {
        let mut range = vec![Value::Int(first), Value::Int(last)];
        range.extend(servers);
        Value::Array(range)
    }

    fn at(host: &str, port: u16) -> Address {
        (host.to_owned(), port)
    }

    #[test]
    fn ranges_are_put_together_by_master_and_all_servers_are_noted() {
        let a = || server(text("a"), 1, "id-a");
        let b = || server(text("b"), 2, "id-b");
        let reply = Value::Array(vec![
            range(8_000, 16_383, vec![a()]),
            range(0, 99, vec![a(), server(text("c"), 3, "id-c")]),
            range(100, 7_999, vec![b()]),
        ]);
        let layout = Layout::read(&reply, None).unwrap();
        assert_eq!(layout.nodes, [at("a", 1), at("b", 2), at("c", 3)]);
        assert_eq!(layout.masters[0].slots, [(0, 99), (8_000, 16_383)]);
        assert_eq!(layout.masters[0].address, Some(at("a", 1)));
        assert_eq!(layout.masters[1].slots, [(100, 7_999)]);
    }

    #[test]
    fn a_server_without_a_name_is_at_the_host_that_was_asked() {
        for host in [Value::Nil, text(""), text("?")] {
            let reply = Value::Array(vec![range(0, 16_383, vec![server(host, 2, "id")])]);
            let layout = Layout::read(&reply, Some(&at("asked", 1))).unwrap();
            assert_eq!(layout.masters[0].address, Some(at("asked", 2)));
            assert_eq!(Layout::read(&reply, None).unwrap().masters[0].address, None);
        }
    }

    #[test]
    fn what_names_no_master_is_no_layout() {
        let odd = Value::Array(vec![Value::Int(1)]);
        for reply in [Value::Nil, Value::Array(Vec::new()), odd] {
            assert_eq!(Layout::read(&reply, None), None);
        }
        let nobody = Value::Array(vec![range(0, 1, Vec::new())]);
        assert_eq!(Layout::read(&nobody, None), None);
    }
}

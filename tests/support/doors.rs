//! Both doors of an edge, asked alike.

use http::Method;

use super::{Answer, Client, Edge, H2};

/// One of the two doors; what is said to one is another URL to the cache than what is said to the other.
pub enum Door {
    First(Client),
    Second(H2),
}

pub fn doors(edge: &Edge) -> [Door; 2] {
    [Door::First(edge.connect()), Door::Second(H2::connect(edge.tls))]
}

impl Door {
    #[track_caller]
    pub fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        match self {
            Self::First(client) => {
                let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                client.send(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
                if method == "HEAD" { client.answer_to_head() } else { client.answer() }
            }
            Self::Second(h2) => h2.ask(Method::from_bytes(method.as_bytes()).unwrap(), path, fields, &[]).answer(),
        }
    }

    #[track_caller]
    pub fn get(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, fields)
    }
}

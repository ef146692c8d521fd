//! `second_path` of `[claim]`: another way to the other voters.

use super::claim::voter;
use super::problem::{Finding, Sink};
use super::section::Section;
use super::suggest::nearest;
use crate::claim::VoterId;
use crate::net::vote_socket::SecondPath;
use serde_spanned::Spanned;
use std::net::SocketAddr;

/// As written.
pub(super) struct Written {
    listen: Option<Spanned<VoterId>>,
    voters: Vec<(String, Spanned<VoterId>)>,
}

pub(super) fn read(section: &Section<'_>) -> Option<Written> {
    let inner = section.section("second_path")?;
    let written = Written {
        listen: inner.required("listen", "listen = \"10.1.0.1\", this host's own address there", voter),
        voters: inner.section("voters").map(|voters| voters.all(voter)).unwrap_or_default(),
    };
    if inner.raw("voters").is_none() {
        inner.missing("voters", "voters = { b = \"10.1.0.2\", w = \"10.1.0.3\" }");
    }
    inner.finish();
    Some(written)
}

impl Written {
    /// The path to those of `voters` that it names; `own`: where this host votes by the first.
    pub(super) fn judged(
        &self,
        own: VoterId,
        voters: &[(String, Spanned<VoterId>)],
        sink: &Sink,
    ) -> Option<SecondPath> {
        let listen = self.listen.as_ref()?;
        if listen.get_ref().address == own.address {
            let message = format!("{} is where this host votes by the first path", own.address);
            sink.add(Finding::error(&listen.span(), message).help("name its address on another interface"));
        }
        let place = |id: &VoterId| SocketAddr::new(id.address, id.port);
        let mut others = Vec::new();
        for (name, there) in &self.voters {
            let Some((_, voter)) = voters.iter().find(|(known, _)| known == name) else {
                let finding = Finding::error(&there.span(), format!("there is no voter \"{name}\""));
                let near = nearest(name, voters.iter().map(|(known, _)| known.as_str()));
                let help = near.map_or("name it in voters of [claim] as well".to_owned(), |near| {
                    format!("did you mean \"{near}\"?")
                });
                sink.add(finding.help(help));
                continue;
            };
            if voter.get_ref().address == there.get_ref().address {
                let message = format!("voter {name} is there by the first path");
                let finding = Finding::error(&there.span(), message).also(&voter.span(), "here");
                sink.add(finding.help("name its address on the other network"));
            }
            others.push((*voter.get_ref(), place(there.get_ref())));
        }
        Some(SecondPath { own: place(listen.get_ref()), others: others.into_iter().collect() })
    }
}

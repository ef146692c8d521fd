//! Every keyword of the table, put where it may stand: each must be read by somebody.

use super::keywords::{self, Block, Does};
use super::{Options, document};
use std::path::Path;

fn around(block: Block, line: &str) -> String {
    match block {
        Block::Top => line.to_owned(),
        Block::Global
        | Block::Script
        | Block::Process
        | Block::File
        | Block::Bfd
        | Block::Group
        | Block::Instance => {
            format!("{} name {{\n{line}\n}}", block.name())
        }
        Block::Authentication | Block::Hmac => {
            format!("vrrp_instance name {{\n{} {{\n{line}\n}}\n}}", block.name())
        }
    }
}

#[test]
fn every_keyword_is_read_or_told_of_as_the_table_says() {
    const BLOCKS: [Block; 10] = [
        Block::Top,
        Block::Global,
        Block::Script,
        Block::Process,
        Block::File,
        Block::Bfd,
        Block::Group,
        Block::Instance,
        Block::Authentication,
        Block::Hmac,
    ];
    let mut seen = 0;
    for keyword in BLOCKS.into_iter().flat_map(keywords::of) {
        let text = around(keyword.block, &format!("{} 1 1", keyword.name));
        let options = Options { vrrp_only: true, ..Options::default() };
        let (_, problems, _) = document(&text, Path::new("x.conf"), &options);
        let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let about = format!("{keyword:?}: {said:#?}");
        assert!(
            !said.iter().any(|line| line.contains("unknown keyword") || line.contains("is not read")),
            "{about}"
        );
        let effect =
            said.iter().any(|line| line.contains("known to keepalived, not done by Locum, effect: "));
        match keyword.does {
            Does::Later(_) | Does::Effect(_) | Does::Lvs => assert!(effect, "{about}"),
            Does::Instead(present) => assert!(said.iter().any(|line| line.contains(present)), "{about}"),
            Does::Done => {}
        }
        seen += 1;
    }
    assert!(seen > 250, "only {seen} keywords");
}

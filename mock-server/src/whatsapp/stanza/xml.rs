//! A stanza as text, short enough for a line of the journal, and without what is secret:
//! of bytes only the number is shown.

use std::fmt::Write as _;

use wacore_binary::{Node, NodeContent};

/// Of a longer list only the beginning is shown.
const SHOWN: usize = 6;

pub(in crate::whatsapp) fn xml(node: &Node) -> String {
    let mut text = String::new();
    // A string takes everything.
    write(&mut text, node).unwrap_or(());
    text
}

fn write(out: &mut String, node: &Node) -> std::fmt::Result {
    write!(out, "<{}", node.tag)?;
    for (name, value) in node.attrs.iter() {
        write!(out, " {name}=\"{}\"", value.as_str())?;
    }
    match &node.content {
        None => return write!(out, "/>"),
        Some(NodeContent::Bytes(bytes)) => write!(out, ">[{} bytes]", bytes.len())?,
        Some(NodeContent::String(text)) => write!(out, ">{text}")?,
        Some(NodeContent::Nodes(children)) => {
            write!(out, ">")?;
            for child in children.iter().take(SHOWN) {
                write(out, child)?;
            }
            if children.len() > SHOWN {
                write!(out, "… {} in all", children.len())?;
            }
        }
    }
    write!(out, "</{}>", node.tag)
}

#[cfg(test)]
mod tests {
    use wacore_binary::builder::NodeBuilder;

    use super::*;

    #[test]
    fn lists_are_cut_short_and_bytes_are_counted() {
        let key = || NodeBuilder::new("key").bytes([1, 2, 3]).build();
        let list = NodeBuilder::new("list")
            .attr("n", "9")
            .children((0..9).map(|_| key()));
        let keys = "<key>[3 bytes]</key>".repeat(6);
        assert_eq!(
            xml(&list.build()),
            format!("<list n=\"9\">{keys}… 9 in all</list>")
        );
    }
}

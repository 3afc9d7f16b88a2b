//! A name for a file of a client, on this machine.

/// The last piece of a path without what is dangerous in a name; `None` if nothing is left.
pub(super) fn safe_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|&c| !is_dangerous(c)).collect();
    let mut kept = kept.trim_matches(['.', ' ']);
    while kept.len() > NAME_BYTES_MAX {
        // The end has the extension, so the beginning goes.
        let mut chars = kept.chars();
        chars.next();
        kept = chars.as_str();
    }
    let kept = kept.trim_start_matches(['.', ' ']);
    (!kept.is_empty() && !is_device(kept)).then(|| kept.to_owned())
}

fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')
        // Characters that are not seen, or that change the direction of the text around them.
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}')
        || matches!(c, '\u{2060}'..='\u{206f}')
}

/// Whether Windows takes the name for a device, whatever its extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let is_port =
        |port: &str| stem.strip_prefix(port).is_some_and(|digit| digit.len() == 1 && digit != "0");
    matches!(&*stem, "con" | "prn" | "aux" | "nul") || is_port("com") || is_port("lpt")
}

/// The longest name. Arbitrary: file systems have names of 255 bytes, and the program may add
/// something.
const NAME_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_name_stays_in_its_folder() {
        let long = format!("{}.txt", "\u{e9}".repeat(200));
        let cases = [
            ("a.txt", Some("a.txt")),
            ("\u{4e2d}\u{6587}.pdf", Some("\u{4e2d}\u{6587}.pdf")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\temp\\x.doc", Some("x.doc")),
            ("/absolute/", None),
            ("..", None),
            (".htaccess", Some("htaccess")),
            (". .", None),
            ("", None),
            ("a\0b\r\n\"<>|?*:.txt", Some("ab.txt")),
            ("x\u{202e}fdp.exe", Some("xfdp.exe")),
            ("aux", None),
            ("COM1.txt", None),
            ("com10.txt", Some("com10.txt")),
            ("console.log", Some("console.log")),
        ];
        for (name, safe) in cases {
            assert_eq!(safe_name(name).as_deref(), safe, "{name:?}");
        }
        let short = safe_name(&long).unwrap();
        assert!(short.len() <= NAME_BYTES_MAX && short.ends_with("\u{e9}.txt"));
    }
}

//! Which media types become smaller when they are compressed.

/// Whether content of that media type, in small letters and without parameters, is usually text or
/// data that is not compressed yet.
pub(super) fn is_compressible_type(media_type: &str) -> bool {
    let is_text = media_type.starts_with("text/");
    let has_suffix =
        ["+json", "+xml", "+text", "+yaml"].iter().any(|end| media_type.ends_with(end));
    is_text || has_suffix || TYPES.contains(&media_type)
}

/// Types that are neither text nor end in a known suffix.
const TYPES: &[&str] = &[
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/ndjson",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-tar",
    "application/x-yaml",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compressed_and_what_is_compressed_is_not() {
        for media_type in [
            "text/html",
            "text/event-stream",
            "application/json",
            "application/problem+json",
            "image/svg+xml",
            "application/wasm",
        ] {
            assert!(is_compressible_type(media_type), "{media_type}");
        }
        for media_type in [
            "",
            "image/png",
            "image/jpeg",
            "video/mp4",
            "application/zip",
            "application/octet-stream",
        ] {
            assert!(!is_compressible_type(media_type), "{media_type}");
        }
    }
}

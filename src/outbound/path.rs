//! Ids in the path of a URL.

use reqwest::Url;

use crate::outcome::{Failure, FailureKind};

/// The longest id that may become a path segment, in bytes. The longest documented one has 36.
const LONGEST_SEGMENT: usize = 256;

/// The URL of `path` below `base`.
pub(super) fn below(base: &Url, path: &[&str]) -> Result<Url, Failure> {
    let unusable = |segment: &str| matches!(segment, "" | "." | "..") || segment.len() > LONGEST_SEGMENT;
    if path.iter().any(|segment| unusable(segment)) {
        return Err(Failure::new(FailureKind::Rejected, "unusable_id").detail("an id cannot stand in a path"));
    }
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(path),
        Err(()) => return Err(Failure::new(FailureKind::Rejected, "unusable_base_url")),
    };
    // The WHATWG standard leaves them as they are, RFC 3986 does not know them.
    if url.path().bytes().any(|byte| b"|^[]".contains(&byte)) {
        let path = url.path().replace('|', "%7C").replace('^', "%5E").replace('[', "%5B").replace(']', "%5D");
        url.set_path(&path);
    }
    Ok(url)
}

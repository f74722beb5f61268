//! Who works at the made-up organisation, and where they have accounts.

/// Leaves, and that is all.
pub(super) const LEE: &str = "lee@example.com";
/// Leaves while a Flashduty schedule names them and Instaply has no other representative.
pub(super) const DANA: &str = "dana@example.com";
/// Leaves next to neighbours; has no account at Cloudflare.
pub(super) const ANN: &str = "ann@example.com";
/// Leaves after the Cloudflare token was rotated.
pub(super) const MAX: &str = "max@example.com";
/// Leaves while Aerospike asks for patience.
pub(super) const KIM: &str = "kim@example.com";
/// Leaves while Stytch is down.
pub(super) const SAM: &str = "sam@example.com";
/// Stays: somebody forges their departure, then somebody asks what it would do.
pub(super) const PAT: &str = "pat@example.com";

/// Stay whatever happens: each contains an address that leaves, or looks like one.
pub(super) const NEIGHBOURS: [&str; 4] =
    ["joann@example.com", "ann@example.com.example.com", "ann+lee@example.com", "mary.lee@example.com"];

/// Everybody, in the order in which a listing shows them: the neighbours first, so that whoever takes the first
/// match of a search takes the wrong one.
pub(super) fn everybody() -> impl Iterator<Item = &'static str> {
    NEIGHBOURS.into_iter().chain([LEE, DANA, ANN, MAX, KIM, SAM, PAT])
}

/// Whether an account must be there when the story has ended.
pub(super) fn stays(provider: &str, email: &str) -> bool {
    match email {
        LEE | ANN | MAX | KIM | SAM => false,
        DANA => ["flashduty", "instaply"].contains(&provider),
        _ => true,
    }
}

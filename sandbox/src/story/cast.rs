//! The people of the made-up organization, and where they have accounts.

/// Leaves.
pub(super) const LEE: &str = "lee@example.com";
/// Leaves while a Flashduty schedule names them and Instaply has no other representative.
pub(super) const DANA: &str = "dana@example.com";
/// Leaves next to neighbors; has no account at Cloudflare.
pub(super) const ANN: &str = "ann@example.com";
/// Leaves after the Cloudflare token was rotated.
pub(super) const MAX: &str = "max@example.com";
/// Leaves while Aerospike limits the rate.
pub(super) const KIM: &str = "kim@example.com";
/// Leaves while Stytch is down.
pub(super) const SAM: &str = "sam@example.com";
/// Leaves, and the event has no e-mail address.
pub(super) const NOA: &str = "noa@example.com";
/// Leaves during a pause.
pub(super) const TOM: &str = "tom@example.com";
/// Left and came back: stays.
pub(super) const RIA: &str = "ria@example.com";
/// Leaves during a dry run, after a forged departure.
pub(super) const PAT: &str = "pat@example.com";

/// Leaves at an identity provider that provisions by SCIM.
pub(super) const EVE: &str = "eve@example.com";

const LEAVERS: [&str; 10] = [LEE, DANA, ANN, MAX, KIM, SAM, NOA, TOM, PAT, EVE];

/// Stay whatever happens: each contains an address that leaves, or looks like one.
pub(super) const NEIGHBORS: [&str; 4] =
    ["joann@example.com", "ann@example.com.example.com", "ann+lee@example.com", "mary.lee@example.com"];

/// Stay: an import reports all of them as leavers by mistake.
pub(super) const COLLEAGUES: [&str; 12] = [
    "colleague01@example.com",
    "colleague02@example.com",
    "colleague03@example.com",
    "colleague04@example.com",
    "colleague05@example.com",
    "colleague06@example.com",
    "colleague07@example.com",
    "colleague08@example.com",
    "colleague09@example.com",
    "colleague10@example.com",
    "colleague11@example.com",
    "colleague12@example.com",
];

/// Everybody, in the order of a provider's list: the neighbors first, so that the first match of a search is the wrong one.
pub(super) fn everybody() -> impl Iterator<Item = &'static str> {
    NEIGHBORS.into_iter().chain(LEAVERS).chain([RIA]).chain(COLLEAGUES)
}

/// Returns whether an account must be there when the story has ended.
pub(super) fn stays(email: &str) -> bool {
    !LEAVERS.contains(&email)
}

//! Mock services of the products' APIs.

pub mod aerospike_cloud;
pub mod cloudflare_access;
pub mod flashduty;
pub mod instaply;
pub mod stytch_b2b;

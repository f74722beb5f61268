//! offboard takes a leaver's access away from every SaaS product that single sign-on does not reach.
#![deny(missing_docs)]

//! AWS STS, as far as offboard uses it: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>.

use super::{ACCOUNT, signed_for};
use crate::mock::{Answer, Call, Service, Unknown};

/// Says who the caller is: always this user.
pub struct Sts {
    /// The user's name.
    pub user: &'static str,
}

impl Service for Sts {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        signed_for(call, "sts")?;
        let form = call.form()?;
        if form.get("Action").map(String::as_str) != Some("GetCallerIdentity") {
            return Err(Unknown("another action than GetCallerIdentity".into()));
        }
        let user = self.user;
        Ok(Answer::xml(
            200,
            format!(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::{ACCOUNT}:user/{user}</Arn><UserId>{user}</UserId><Account>{ACCOUNT}</Account>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>",
                call.request_id()
            ),
        ))
    }
}

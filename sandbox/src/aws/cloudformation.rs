//! AWS CloudFormation, as far as offboard uses it: <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html>.

use super::{ACCOUNT, REGION, signed_for};
use crate::mock::{Answer, Call, Service, Unknown};

/// One stack. Every other name is unknown.
pub struct CloudFormation {
    /// The stack's name.
    pub stack: &'static str,
    /// Its status.
    pub status: &'static str,
    /// Its outputs, by key.
    pub outputs: Vec<(&'static str, String)>,
}

impl Service for CloudFormation {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        signed_for(call, "cloudformation")?;
        let form = call.form()?;
        if form.get("Action").map(String::as_str) != Some("DescribeStacks") {
            return Err(Unknown("another action than DescribeStacks".into()));
        }
        let name = form.get("StackName").ok_or_else(|| Unknown("every stack is asked for".into()))?;
        let id = call.request_id();
        if name != self.stack {
            let error = format!(
                "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error><Type>Sender</Type>\
                 <Code>ValidationError</Code><Message>Stack with id {name} does not exist</Message></Error>\
                 <RequestId>{id}</RequestId></ErrorResponse>"
            );
            return Ok(Answer::xml(400, error));
        }
        let output = |(key, value): &(&str, String)| {
            format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
        };
        let outputs: String = self.outputs.iter().map(output).collect();
        let status = self.status;
        Ok(Answer::xml(
            200,
            format!(
                "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><DescribeStacksResult>\
             <Stacks><member><StackName>{name}</StackName>\
             <StackId>arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/{id}</StackId>\
             <CreationTime>2026-01-31T18:42:00Z</CreationTime><StackStatus>{status}</StackStatus>\
             <Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult>\
             <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></DescribeStacksResponse>"
            ),
        ))
    }
}

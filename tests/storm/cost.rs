//! What a storm costs: the public prices of us-east-1 in 2025, arm64, without free tier and tax.

/// What was used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Units {
    /// Calls of DynamoDB.
    pub calls: usize,
    /// Read and write units on demand.
    pub read: usize,
    pub written: usize,
    /// Requests of SQS, and of Lambda.
    pub messages: usize,
    pub invocations: usize,
    /// Milliseconds of Lambda.
    pub milliseconds: usize,
}

/// <https://aws.amazon.com/dynamodb/pricing/on-demand/>, a million units.
const READ: f64 = 0.125;
const WRITTEN: f64 = 0.625;
/// <https://aws.amazon.com/sqs/pricing/>, a million requests.
const MESSAGES: f64 = 0.40;
/// <https://aws.amazon.com/lambda/pricing/>, a million requests, and a GB-second.
const INVOCATIONS: f64 = 0.20;
const GIGABYTE_SECOND: f64 = 0.000_013_333_4;
/// The template's `MemorySize`.
const GIGABYTES: f64 = 0.25;

impl Units {
    /// Returns dollars: DynamoDB, SQS, Lambda.
    pub fn dollars(&self) -> [f64; 3] {
        let million = |count: usize| count as f64 / 1e6;
        let table = million(self.read) * READ + million(self.written) * WRITTEN;
        let seconds = self.milliseconds as f64 / 1e3;
        let function = million(self.invocations) * INVOCATIONS + seconds * GIGABYTES * GIGABYTE_SECOND;
        [table, million(self.messages) * MESSAGES, function]
    }
}

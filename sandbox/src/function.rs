//! The function as Lambda runs it: a process of its own that knows nothing but its environment.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use offboard::source::Source;
use serde_json::json;
use time::OffsetDateTime;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

use crate::{
    aws::{
        Aws,
        lambda_runtime::{RuntimeApi, Said},
    },
    gateway,
    mock::reachable,
};

/// How long a function may take to start.
const START: Duration = Duration::from_secs(10);

/// What of our own environment the function may see. Everything else stays out: a proxy, a profile of AWS, a
/// configuration of the machine's.
pub(crate) const INHERITED: [&str; 6] =
    ["PATH", "SystemRoot", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE", "AWS_LAMBDA_LOG_LEVEL"];

/// How a function is to be started.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Where the gateway listens.
    pub host: IpAddr,
    /// On which port; 0 for a free one.
    pub port: u16,
    /// The configuration file.
    pub config: &'a Path,
    /// Where AWS is.
    pub aws: &'a Aws,
    /// The mode, if not the configuration's.
    pub mode: Option<&'a str>,
    /// Whether its log goes to our standard error as well.
    pub show_log: bool,
}

/// A running function with a gateway in front. It ends when this is dropped.
pub struct Function {
    api: RuntimeApi,
    gateway: SocketAddr,
    log: Log,
    readers: [JoinHandle<()>; 2],
    watch: JoinHandle<()>,
}

impl Function {
    /// Starts it and waits until it asks for its first event.
    pub async fn start(start: Start<'_>) -> Result<Self, String> {
        let api = RuntimeApi::start().await.map_err(|error| format!("cannot listen: {error}"))?;
        let gateway = gateway::start(start.host, start.port, api.clone()).await;
        let gateway = gateway.map_err(|error| format!("cannot listen on {}:{}: {error}", start.host, start.port))?;
        let mut child = spawn(&start, api.address()).map_err(|error| format!("cannot start the function: {error}"))?;
        let log = Log::default();
        let readers =
            [log.follow(child.stdout.take(), start.show_log), log.follow(child.stderr.take(), start.show_log)];
        let watched = api.clone();
        let watch = tokio::spawn(async move {
            let ended = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
            watched.fail(&format!("the function has ended ({ended})"));
        });
        let function = Self { api, gateway, log, readers, watch };
        let ready = tokio::time::timeout(START, function.api.ready()).await;
        let ready = ready.unwrap_or_else(|_| Err(format!("not ready within {} s", START.as_secs())));
        match ready {
            Ok(()) => Ok(function),
            Err(why) => Err(format!("the function did not start: {why}\n{}", function.log.tail())),
        }
    }

    /// The runtime API, for others that invoke it.
    pub fn api(&self) -> &RuntimeApi {
        &self.api
    }

    /// Invokes it with the scheduled tick.
    pub async fn tick(&self) -> Said {
        tick(&self.api).await
    }

    /// The URL of the API.
    pub fn url(&self) -> String {
        format!("http://{}", reachable(self.gateway))
    }

    /// The URL of a source's webhook, or SCIM endpoint.
    pub fn endpoint(&self, source: &Source) -> String {
        self.url() + &source.protocol.path(&source.name)
    }

    /// Waits until the function ends by itself, which it should not.
    pub async fn ended(&mut self) {
        // Neither an abort nor a panic of the watching task is possible here, and both would mean the same.
        let _ = (&mut self.watch).await;
    }

    /// What the function has written so far.
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// The calls that the runtime API did not know.
    pub fn unknown(&self) -> Vec<String> {
        self.api.unknown()
    }

    /// Ends it and reads its log to the last line.
    pub async fn stop(&mut self) {
        self.watch.abort();
        for reader in &mut self.readers {
            // A reader that failed has nothing more to say.
            let _ = reader.await;
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // The task owns the process, and the process is killed with it.
        self.watch.abort();
    }
}

/// Invokes a function with the scheduled tick.
pub async fn tick(function: &RuntimeApi) -> Said {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos();
    function.invoke(format!("tick-{now}"), json!({ "tick": true })).await
}

fn spawn(start: &Start<'_>, api: SocketAddr) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("function").env_clear();
    command.envs(INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(start.aws.environment()).env("OFFBOARD_CONFIG", start.config);
    command.envs(start.mode.map(|mode| ("OFFBOARD_MODE", mode)));
    command.envs([
        ("AWS_LAMBDA_RUNTIME_API", api.to_string().as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", "offboard-sandbox"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn()
}

/// Everything that a function has written.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    /// The whole of it.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last 20 lines.
    pub fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn follow(&self, stream: Option<impl AsyncRead + Unpin + Send + 'static>, show: bool) -> JoinHandle<()> {
        let log = self.clone();
        tokio::spawn(async move {
            let Some(stream) = stream else { return };
            let mut lines = BufReader::new(stream).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                let line = String::from_utf8_lossy(&line);
                if show {
                    eprintln!("{line}");
                }
                let mut text = log.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
            }
        })
    }
}

//! A contestant's process: how it is started, what it costs.

use std::{
    fs,
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};

/// How long a process may take to end.
const ENDING: Duration = Duration::from_secs(10);

/// A contestant: a name, and how it is started.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) folder: PathBuf,
    /// What would be uploaded.
    pub(crate) zip: PathBuf,
}

/// What a process is held to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) cpu: Option<f64>,
    pub(crate) descriptors: Option<u64>,
}

/// A running process. It ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) started: Instant,
    group: Option<ControlGroup>,
}

impl Process {
    pub(crate) fn start(
        contestant: &Contestant,
        variables: &[(&str, String)],
        limits: Limits,
        log: &Path,
    ) -> Result<Self> {
        let group = limits.cpu.map(ControlGroup::new).transpose()?;
        let mut command = match (&group, limits.descriptors) {
            (None, None) => Command::new(&contestant.command[0]),
            (group, descriptors) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(CONFINED).arg(descriptors.map(|number| number.to_string()).unwrap_or_default());
                command.arg(group.as_ref().map(|group| group.0.join("cgroup.procs")).unwrap_or_default());
                command.arg(&contestant.command[0]);
                command
            }
        };
        let output = File::create(log).with_context(|| log.display().to_string())?;
        command.args(&contestant.command[1..]).current_dir(&contestant.folder).env_clear();
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", contestant.command[0]))?;
        Ok(Self { child, started, group })
    }

    /// CPU time of all its threads so far. Threads that have ended are not in it; none of the contestants ends any.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let mut nanoseconds = 0;
        for task in tasks {
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanoseconds += text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let kibibytes: u64 = peak.and_then(|number| number.trim().parse().ok()).context("no VmHWM")?;
        Ok(kibibytes * 1024)
    }

    /// Freezes it, as Lambda does between invocations.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(id, signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What it runs under may have something to write first.
        let _ = self.signal(Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < ENDING {
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A control group can be removed once it is empty.
        self.group.take();
    }
}

/// The first argument by which the driver confines itself and then becomes a contestant.
pub(crate) const CONFINED: &str = "confined";

/// Becomes another program with fewer descriptors, and in a control group: `confined DESCRIPTORS GROUP PROGRAM …`.
pub(crate) fn become_confined(arguments: &[String]) -> Result<()> {
    let [descriptors, group, program, rest @ ..] = arguments else { bail!("{CONFINED}: too few arguments") };
    if let Ok(number) = descriptors.parse() {
        setrlimit(Resource::Nofile, Rlimit { current: Some(number), maximum: Some(number) })?;
    }
    let mut command = Command::new(program);
    command.args(rest);
    // The last thing: what the driver itself needs is not counted.
    if !group.is_empty() {
        fs::write(group, std::process::id().to_string())?;
    }
    Err(command.exec().into())
}

/// A control group with a part of one core, in periods of 20 ms.
struct ControlGroup(PathBuf);

/// A period of the quota. Lambda's own is not documented; this is what has been observed there.
const PERIOD: u64 = 20_000;

impl ControlGroup {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn new(part: f64) -> Result<Self> {
        let quota = (PERIOD as f64 * part) as u64;
        let name = format!("offboard-bench-{}", std::process::id());
        let old = Path::new("/sys/fs/cgroup/cpu");
        let group = if old.is_dir() { old.join(name) } else { Path::new("/sys/fs/cgroup").join(name) };
        fs::create_dir_all(&group).with_context(|| format!("cannot make the control group {}", group.display()))?;
        let group = Self(group);
        if old.is_dir() {
            fs::write(group.0.join("cpu.cfs_period_us"), PERIOD.to_string())?;
            fs::write(group.0.join("cpu.cfs_quota_us"), quota.to_string())?;
        } else {
            fs::write(group.0.join("cpu.max"), format!("{quota} {PERIOD}"))?;
        }
        Ok(group)
    }

    /// Returns why no process can be held to a part of a core here.
    fn impossible() -> Option<String> {
        Self::new(0.5).err().map(|error| format!("{error:#}"))
    }
}

/// Returns why no process can be held to a part of a core here.
pub(crate) fn no_quota() -> Option<String> {
    ControlGroup::impossible()
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

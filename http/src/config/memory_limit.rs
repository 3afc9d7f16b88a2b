//! How much memory a server may use for its clients, if the program does not set a limit.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// A quarter of the memory that the process may use, as far as that is known.
///
/// A handler often makes a second value of the same size from a body in memory. The stacks of
/// active handlers and the program's own data need memory too.
pub(crate) fn default_bytes() -> u64 {
    let limit = |resource| getrlimit(resource).current;
    let limits = [limit(Resource::As), limit(Resource::Data), of_control_group(), of_machine()];
    limits.into_iter().flatten().min().map_or(u64::MAX, |bytes| bytes / 4)
}

/// The lowest limit of the process's control group and of the groups that contain it.
fn of_control_group() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().filter_map(|line| {
        // `0::/path` in version 2 of control groups, `4:memory:/path` in version 1.
        let (_, line) = line.split_once(':')?;
        let (kind, path) = line.split_once(':')?;
        let (root, name) = match kind {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        // In a container the path may be the host's: the root is then the container's own group.
        let mut paths: Vec<_> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        paths.push(path);
        let limit = |path: &&str| {
            let text = fs::read_to_string(format!("{root}{path}/{name}")).ok()?;
            text.trim().parse::<u64>().ok() // "max" means no limit
        };
        paths.iter().filter_map(limit).min()
    });
    limits.min()
}

fn of_machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

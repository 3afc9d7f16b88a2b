//! The effective settings of a server, to print and to compare.

use std::env;
use std::fmt::{self, Debug};
use std::time::Duration;

#[cfg(feature = "_tls")]
use straightline_tls::{TlsConfig, TlsSetting};

use super::address::Address;
use super::capacity::Capacity;
use super::descriptors::connections_for;
use super::server_config::Config;
use super::timeouts::{MinRate, Timeouts};
use crate::proto::Limits;

/// The effective settings of a server, from [`Server::settings`](crate::Server::settings).
///
/// `Display` writes one setting a line, with its value and its origin: a time as `15s`, a size in
/// bytes. No setting is a secret.
///
/// ```
/// use straightline::{Limits, Request, Server, SettingOrigin};
///
/// let server = Server::builder()
///     .bind("127.0.0.1:0")
///     .limits(Limits::default().with_body_bytes(1024))
///     .build(|_: &mut Request| "hi\n")?;
/// let settings = server.settings();
/// let body_bytes = settings.get("limits.body_bytes").unwrap();
/// assert_eq!((&*body_bytes.value, body_bytes.origin), ("1024", SettingOrigin::Program));
/// assert!(settings.to_string().contains("\ntimeouts.head = 15s (default)\n"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    all: Vec<Setting>,
}

/// One of the [`Settings`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The name, such as `timeouts.body.idle`: the names of the methods of
    /// [`ServerBuilder`](crate::ServerBuilder) and of the fields.
    pub name: &'static str,
    /// The value, as text.
    pub value: String,
    /// Where the value comes from.
    pub origin: SettingOrigin,
}

/// Where the value of a [`Setting`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingOrigin {
    /// It is the default, which may depend on the machine.
    Default,
    /// The program has chosen a value that differs from the default.
    Program,
    /// A variable of the environment.
    Environment,
}

impl Settings {
    /// The effective settings of a server with so many `workers` that listens on `local`, and that
    /// `is_quiet` about faults, or has observers.
    pub(crate) fn of(config: &Config, workers: usize, local: &[Address], is_quiet: bool) -> Self {
        // Each field is named, here and below, so that none is forgotten.
        let Config {
            workers: chosen_workers,
            limits,
            timeouts,
            capacity,
            on_disconnect,
            on_panic,
            ready_delay,
            drain_timeout,
            busy_limit,
            stuck_limit,
            all_stuck,
            replacements,
            stack_bytes,
            stack_usage,
            driver: _,
            send_buffer,
            receive_buffer,
            notsent_lowat,
            keepalive,
            proxies,
            #[cfg(feature = "_tls")]
            tls,
            logger,
            prints_panics,
            manager,
            descriptors,
            has_wrappers,
            rejection: _,
        } = config;
        let mut list = List { all: Vec::new() };
        let default = Config::default();
        for address in local {
            list.put_as("listen", address.to_string(), true);
        }
        list.put_as("workers", workers.to_string(), chosen_workers.is_some());
        list.put("stack_bytes", stack_bytes, &default.stack_bytes);
        list.put("stack_usage", stack_usage, &default.stack_usage);
        list.put_driver(config);
        list.put_limits(limits);
        list.put_timeouts(timeouts);
        list.put_capacity(capacity, descriptors.limit);
        list.put("descriptors", &number(descriptors.limit), &number(descriptors.limit));
        list.put("on_disconnect", on_disconnect, &default.on_disconnect);
        list.put("on_panic", on_panic, &default.on_panic);
        list.put("ready_delay", ready_delay, &default.ready_delay);
        list.put("drain_timeout", drain_timeout, &default.drain_timeout);
        list.put("busy_limit", busy_limit, &default.busy_limit);
        list.put("stuck_limit", stuck_limit, &default.stuck_limit);
        list.put("all_stuck", all_stuck, &default.all_stuck);
        list.put("replacements", replacements, &default.replacements);
        list.put("socket_buffers.send", send_buffer, &default.send_buffer);
        list.put("socket_buffers.receive", receive_buffer, &default.receive_buffer);
        list.put("notsent_lowat", notsent_lowat, &default.notsent_lowat);
        list.put("keepalive", keepalive, &default.keepalive);
        list.put_as("proxy_protocol", proxies.to_string(), *proxies != default.proxies);
        #[cfg(feature = "_tls")]
        list.put_tls(tls.as_ref());
        list.put("logger", &logger.is_some(), &false);
        list.put("quiet", &is_quiet, &false);
        list.put("wrap", has_wrappers, &false);
        list.put("print_panics", prints_panics, &default.prints_panics);
        list.put("systemd", &manager.is_some(), &false);
        Self { all: list.all }
    }

    /// All settings, in the order of their groups. Not a yield point.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.all.iter()
    }

    /// The setting of that name. Not a yield point.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.all.iter().find(|setting| setting.name == name)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all.iter().try_for_each(|setting| writeln!(f, "{setting}"))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin {
            SettingOrigin::Default => "default",
            SettingOrigin::Program => "set by the program",
            SettingOrigin::Environment => "set by the environment",
        };
        write!(f, "{} = {} ({origin})", self.name, self.value)
    }
}

struct List {
    all: Vec<Setting>,
}

impl List {
    fn put<T: PartialEq + Debug>(&mut self, name: &'static str, value: &T, default: &T) {
        self.put_as(name, text(value), value != default);
    }

    fn put_as(&mut self, name: &'static str, value: String, is_set: bool) {
        let origin = if is_set { SettingOrigin::Program } else { SettingOrigin::Default };
        self.all.push(Setting { name, value, origin });
    }

    fn put_driver(&mut self, config: &Config) {
        let variable = env::var("STRAIGHTLINE_DRIVER").ok();
        let (value, origin) = match (config.driver, variable) {
            (Some(kind), _) => (format!("{kind:?}"), SettingOrigin::Program),
            (None, Some(kind)) => (kind, SettingOrigin::Environment),
            (None, None) => ("the system's own".to_owned(), SettingOrigin::Default),
        };
        self.all.push(Setting { name: "driver", value, origin });
    }

    #[cfg(feature = "_tls")]
    fn put_tls(&mut self, tls: Option<&TlsConfig>) {
        self.put("tls", &tls.is_some(), &false);
        for TlsSetting { name, value, is_default, .. } in tls.iter().flat_map(|tls| tls.settings())
        {
            self.put_as(name, value, !is_default);
        }
    }

    fn put_limits(&mut self, limits: &Limits) {
        let default = Limits::default();
        let Limits {
            request_line_bytes,
            field_line_bytes,
            head_bytes,
            fields,
            body_bytes,
            chunk_extension_bytes,
            trailer_bytes,
            requests,
        } = *limits;
        self.put("limits.request_line_bytes", &request_line_bytes, &default.request_line_bytes);
        self.put("limits.field_line_bytes", &field_line_bytes, &default.field_line_bytes);
        self.put("limits.head_bytes", &head_bytes, &default.head_bytes);
        self.put("limits.fields", &fields, &default.fields);
        self.put("limits.body_bytes", &body_bytes, &default.body_bytes);
        let name = "limits.chunk_extension_bytes";
        self.put(name, &chunk_extension_bytes, &default.chunk_extension_bytes);
        self.put("limits.trailer_bytes", &trailer_bytes, &default.trailer_bytes);
        self.put("limits.requests", &requests, &default.requests);
    }

    fn put_timeouts(&mut self, timeouts: &Timeouts) {
        let default = Timeouts::default();
        let Timeouts { head, idle, handler, body, write } = *timeouts;
        self.put("timeouts.head", &head, &default.head);
        self.put("timeouts.idle", &idle, &default.idle);
        self.put("timeouts.handler", &handler, &default.handler);
        let names = ["timeouts.body.idle", "timeouts.body.bytes_per_second", "timeouts.body.grace"];
        self.put_rate(names, body, default.body);
        let names =
            ["timeouts.write.idle", "timeouts.write.bytes_per_second", "timeouts.write.grace"];
        self.put_rate(names, write, default.write);
    }

    fn put_rate(&mut self, names: [&'static str; 3], rate: MinRate, default: MinRate) {
        let MinRate { idle, bytes_per_second, grace } = rate;
        self.put(names[0], &idle, &default.idle);
        self.put(names[1], &bytes_per_second, &default.bytes_per_second);
        self.put(names[2], &grace, &default.grace);
    }

    fn put_capacity(&mut self, capacity: &Capacity, descriptors: Option<u64>) {
        let default = Capacity::default();
        let Capacity {
            connections,
            connections_per_peer,
            in_flight,
            overload_policy,
            memory_bytes,
            retry_after,
        } = *capacity;
        // The default follows from the limit of descriptors that was reached.
        self.put("capacity.connections", &connections, &connections_for(descriptors));
        let name = "capacity.connections_per_peer";
        self.put(name, &connections_per_peer, &default.connections_per_peer);
        self.put("capacity.in_flight", &in_flight, &default.in_flight);
        self.put("capacity.overload_policy", &overload_policy, &default.overload_policy);
        self.put("capacity.memory_bytes", &memory_bytes, &default.memory_bytes);
        self.put("capacity.retry_after", &retry_after, &default.retry_after);
    }
}

/// A number that may be without bound.
fn number(number: Option<u64>) -> u64 {
    number.unwrap_or(u64::MAX)
}

/// A value as text; the largest number and the longest time mean that there is no limit.
fn text(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let endless = [format!("{:?}", usize::MAX), format!("{:?}", u64::MAX)];
    if endless.contains(&text) || text == format!("{:?}", Duration::MAX) {
        return "no limit".to_owned();
    }
    match text.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => inner.to_owned(),
        None if text == "None" => "none".to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_server_has_default_settings_and_says_so() {
        let settings = Settings::of(&Config::default(), 3, &[], false);
        let is_default = |setting: &&Setting| setting.origin == SettingOrigin::Default;
        let others = settings.iter().filter(|setting| !is_default(setting));
        let others: Vec<_> = others.map(|setting| setting.name).collect();
        // The default number of connections depends on the limit of descriptors, which only a
        // server that is built asks for.
        assert!(others.iter().all(|name| ["driver", "capacity.connections"].contains(name)));
        let text = settings.to_string();
        for line in [
            "workers = 3 (default)",
            "limits.requests = no limit (default)",
            "timeouts.body.bytes_per_second = 240 (default)",
            "busy_limit = 100ms (default)",
            "socket_buffers.send = none (default)",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
    }

    #[test]
    fn what_is_set_is_told() {
        let config = Config {
            limits: Limits::default().with_fields(7),
            timeouts: Timeouts::default().with_head(Duration::MAX),
            capacity: Capacity::default().with_connections(9),
            stuck_limit: None,
            ..Config::default()
        };
        let settings = Settings::of(&config, 1, &[Address::Unix("/x".into())], true);
        for (name, value) in [
            ("limits.fields", "7"),
            ("timeouts.head", "no limit"),
            ("capacity.connections", "9"),
            ("stuck_limit", "none"),
            ("listen", "unix:/x"),
            ("quiet", "true"),
        ] {
            let setting = settings.get(name).expect("a setting");
            assert_eq!((&*setting.value, setting.origin), (value, SettingOrigin::Program));
        }
        assert_eq!(settings.get("limits.stars"), None);
    }
}

//! A directory as a handler: its files under their names, and nothing else of the machine.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use http::{HeaderValue, Method, StatusCode, header};
use rustix::io::Errno;

use super::beneath::Directory;
use super::media_type;
use super::name::{Name, NoName};
use super::ranged::Ranged;
use super::variants::{self, Coding};
use crate::message::{IntoResponse, Problem, Request, Response};
use crate::server::Handler;
use crate::web::original_path::original_path;

/// Serves the files of a directory: a [`Handler`], alone or below a path of a router.
///
/// | request | response |
/// |---|---|
/// | a file | 200; [206, 304, 412, 416](Ranged) by the request's conditions and its `Range` |
/// | a folder, with a slash at the end of the path | the file `index.html` in it, or 404 |
/// | a folder, without it | 301 to the same path with a slash; the query is kept |
/// | another method than GET and HEAD | 405 |
/// | a name that is not there, or begins with a dot | 404 |
/// | a file that the process may not read | 403 |
/// | a path with a malformed percent-encoding | 400 |
/// | no descriptor or no memory is left | 503 |
///
/// A path is a list of percent-encoded file names, which are bytes. `..` and encoded slashes are
/// names that no file has. Each name is opened relative to the directory's descriptor, on Linux
/// with `openat2` and `RESOLVE_BENEATH`: no path leads out of the directory, and neither does a
/// symbolic link. A link that stays inside is followed. Only regular files are served; a FIFO, a
/// socket or a device is a 404, and never stops the thread.
///
/// The media type comes from the extension, and text gets `charset=utf-8`. A file has an `ETag` and
/// a `Last-Modified`. If there are files `NAME.br`, `NAME.zst` or `NAME.gz` beside the file `NAME`,
/// they are its compressed variants, for clients that accept them: a variant has its own `ETag` and
/// ranges. A program that changes the file has to change its variants too: times are not compared,
/// because many tools do not keep them.
///
/// Where possible, the system sends a file without a copy through the program. If the file becomes
/// shorter meanwhile, the client sees that the body has ended early. So write a new file under
/// another name, and rename it.
///
/// The directory is opened once, by [`new`](Self::new). If its path then names another directory,
/// as after a deployment that changes a link, the files are still those of the first one.
///
/// # Blocking
///
/// Files are opened and read on the shard's thread, which is fast while their system has them in
/// memory. On a network's file system, or on a slow disk with rarely used files, other requests of
/// the shard wait meanwhile: run such a server with more
/// [`workers`](crate::ServerBuilder::workers), or read the files with
/// [`sched::offload`](straightline_sched::offload).
///
/// ```
/// use straightline::Server;
/// use straightline::web::StaticFiles;
///
/// # let public = std::env::temp_dir();
/// let files = StaticFiles::new(public).with_cache_control("max-age=60");
/// let server = Server::builder().bind("127.0.0.1:0").build(files)?;
/// # drop(server);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct StaticFiles {
    directory: Result<Directory, NotOpened>,
    /// Empty, or begins with one slash and does not end with one.
    prefix: String,
    index: String,
    fallback: Option<String>,
    not_found: Option<String>,
    cache_control: Option<HeaderValue>,
    shows_dotfiles: bool,
    follows_symlinks: bool,
    has_variants: bool,
}

/// The directory cannot be opened.
#[derive(Debug)]
struct NotOpened {
    path: PathBuf,
    error: io::Error,
}

/// Why there is no file to send.
enum Miss {
    NotFound,
    Malformed,
    /// The system's error, which is not about the name.
    System(Errno),
    /// The path of a folder does not end with a slash.
    NoSlash,
}

impl StaticFiles {
    /// The files below `root`. If it cannot be opened, [`check`](Handler::check) returns the error,
    /// and so does the `build` of the server; every request is a 500 then.
    ///
    /// Not a yield point.
    pub fn new(root: impl AsRef<Path>) -> Self {
        let path = root.as_ref();
        let not_opened = |error| NotOpened { path: path.to_owned(), error };
        Self {
            directory: Directory::open(path).map_err(not_opened),
            prefix: String::new(),
            index: "index.html".to_owned(),
            fallback: None,
            not_found: None,
            cache_control: None,
            shows_dotfiles: false,
            follows_symlinks: true,
            has_variants: true,
        }
    }

    /// The files appear below this path, as in `/assets` for `/assets/logo.svg`. Other paths are a
    /// 404. Default: below `/`. Not for files below a router's `mount`, which removes the prefix.
    ///
    /// ```
    /// use straightline::web::StaticFiles;
    /// use straightline::{Request, StatusCode};
    ///
    /// # let public = std::env::temp_dir();
    /// let files = StaticFiles::new(public).with_prefix("/assets");
    /// let request = Request::builder().target("/assets?a=b").build()?;
    /// let response = files.respond(&request);
    /// assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
    /// assert_eq!(response.headers().get("location"), Some("/assets/?a=b"));
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        self.prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        self
    }

    /// The file that stands for its folder. Default: `index.html`.
    pub fn with_index(mut self, name: impl Into<String>) -> Self {
        self.index = name.into();
        self
    }

    /// The file, by its name below the root, that is sent where there is no other, with status 200:
    /// the page of a program that runs in the browser, and reads the path there. Default: none.
    ///
    /// ```
    /// use straightline::web::StaticFiles;
    ///
    /// let page = StaticFiles::new("dist").with_fallback("index.html");
    /// ```
    pub fn with_fallback(mut self, name: impl Into<String>) -> Self {
        self.fallback = Some(name.into());
        self
    }

    /// The file, by its name below the root, that is the body of a 404. Default: a line of text.
    pub fn with_not_found(mut self, name: impl Into<String>) -> Self {
        self.not_found = Some(name.into());
        self
    }

    /// The `Cache-Control` of all files, as in `public, max-age=3600`. Default: none, so a browser
    /// decides by the age of a file for how long it does not ask again. `no-cache` lets it ask each
    /// time, which a 304 answers.
    ///
    /// # Panics
    ///
    /// If it is not a header value.
    #[track_caller]
    pub fn with_cache_control(mut self, value: &'static str) -> Self {
        self.cache_control = Some(HeaderValue::from_static(value));
        self
    }

    /// Whether files and folders whose names begin with a dot are served, besides `.well-known`.
    /// The name in the path counts: a symbolic link with another name may lead to one. Default:
    /// false.
    pub fn with_dotfiles(mut self, are_shown: bool) -> Self {
        self.shows_dotfiles = are_shown;
        self
    }

    /// Whether symbolic links that stay below the root are followed. Links that leave it never are.
    /// Default: true.
    pub fn with_symlinks(mut self, are_followed: bool) -> Self {
        self.follows_symlinks = are_followed;
        self
    }

    /// Whether compressed files are variants of the file beside them. Then every file has
    /// `Vary: accept-encoding`. Default: true.
    pub fn with_variants(mut self, are_sent: bool) -> Self {
        self.has_variants = are_sent;
        self
    }

    /// The response to the request. What a [`Handler`] does, for a handler that does more:
    ///
    /// ```
    /// use straightline::web::StaticFiles;
    /// use straightline::{Request, Response, Server, StatusCode};
    ///
    /// # let downloads = std::env::temp_dir();
    /// let files = StaticFiles::new(downloads);
    /// let members_only = move |request: &mut Request| {
    ///     match request.headers().get("authorization") {
    ///         Some("Bearer swordfish") => files.respond(request),
    ///         _ => Response::new(StatusCode::UNAUTHORIZED).header("www-authenticate", "Bearer"),
    ///     }
    /// };
    /// Server::builder().bind("127.0.0.1:0").build(members_only)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// Not a yield point.
    pub fn respond(&self, request: &Request) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Response::method_not_allowed(&[Method::GET, Method::HEAD]);
        }
        let directory = match &self.directory {
            Ok(directory) => directory,
            Err(not_opened) => return not_opened.to_error().into_response(),
        };
        let Some(path) = self.below_prefix(request.path()) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let name = Name::decode(path, self.shows_dotfiles).map_err(Miss::from);
        let found = name.and_then(|name| self.find(directory, request, name));
        let mut response = match found {
            Ok(response) => response,
            Err(Miss::NotFound) => self.instead(directory, request),
            Err(Miss::NoSlash) => redirect(request),
            Err(Miss::Malformed) => StatusCode::BAD_REQUEST.into_response(),
            Err(Miss::System(errno)) => failed(errno),
        };
        let nosniff = HeaderValue::from_static("nosniff");
        response.append_header(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    }

    fn below_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&*self.prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    fn find(&self, directory: &Directory, request: &Request, name: Name) -> Result<Response, Miss> {
        let is_folder = name.is_folder();
        if is_folder && request.path() == self.prefix {
            return Err(Miss::NoSlash); // the root
        }
        let name = if is_folder { name.join(&self.index) } else { name };
        let (file, metadata) = self.open(directory, name.as_bytes())?;
        if metadata.is_file() {
            return Ok(self.represent(directory, request, name.as_bytes(), file, &metadata));
        }
        if metadata.is_dir() && !is_folder {
            return Err(Miss::NoSlash);
        }
        Err(Miss::NotFound)
    }

    fn open(&self, directory: &Directory, name: &[u8]) -> Result<(File, Metadata), Miss> {
        let file = directory.open_file(name, self.follows_symlinks)?;
        let metadata = file
            .metadata()
            .map_err(|error| Miss::System(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        Ok((file, metadata))
    }

    /// The response for a file, or for the variant that the client prefers.
    fn represent(
        &self,
        directory: &Directory,
        request: &Request,
        name: &[u8],
        file: File,
        metadata: &Metadata,
    ) -> Response {
        let content_type = media_type::of_name(name);
        let (ranged, coding) = match self.variant(directory, request, name) {
            Some((file, metadata, coding)) => {
                (Ranged::regular(file, &metadata, coding.suffix), Some(coding))
            }
            None => (Ranged::regular(file, metadata, ""), None),
        };
        let ranged = if coding.is_some() || self.shares_date(directory, request, name) {
            ranged.sharing_date()
        } else {
            ranged
        };
        let mut response = ranged.with_content_type(content_type).respond(request);
        let status = response.status();
        if status.is_success()
            && let Some(coding) = coding
        {
            let coding = HeaderValue::from_static(coding.name);
            response.append_header(header::CONTENT_ENCODING, coding);
        }
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            if self.has_variants {
                response.append_header(header::VARY, VARY);
            }
            if let Some(cache_control) = &self.cache_control {
                response.append_header(header::CACHE_CONTROL, cache_control.clone());
            }
        }
        response
    }

    fn variant(
        &self,
        directory: &Directory,
        request: &Request,
        name: &[u8],
    ) -> Option<(File, Metadata, Coding)> {
        if !self.has_variants {
            return None;
        }
        variants::accepted(request.headers()).find_map(|coding| {
            let name = [name, coding.suffix.as_bytes()].concat();
            let (file, metadata) = self.open(directory, &name).ok()?;
            metadata.is_file().then_some((file, metadata, coding))
        })
    }

    /// Whether the client wants a range by a date that variants of the file may have as well: to
    /// compress a file usually keeps its date.
    fn shares_date(&self, directory: &Directory, request: &Request, name: &[u8]) -> bool {
        self.has_variants
            && request.headers().contains(header::IF_RANGE)
            && variants::CODINGS.iter().any(|coding| {
                let name = [name, coding.suffix.as_bytes()].concat();
                self.open(directory, &name).is_ok()
            })
    }

    /// The response if there is no such file.
    fn instead(&self, directory: &Directory, request: &Request) -> Response {
        if let Some(name) = self.fallback.as_ref().map(String::as_bytes)
            && let Ok((file, metadata)) = self.open(directory, name)
            && metadata.is_file()
        {
            return self.represent(directory, request, name, file, &metadata);
        }
        if let Some(name) = self.not_found.as_ref().map(String::as_bytes)
            && let Ok((file, metadata)) = self.open(directory, name)
            && metadata.is_file()
        {
            let page = Ranged::regular(file, &metadata, "");
            let page = page.with_content_type(media_type::of_name(name)).whole();
            return page.with_status(StatusCode::NOT_FOUND);
        }
        StatusCode::NOT_FOUND.into_response()
    }
}

impl<'r> Handler<'r> for StaticFiles {
    type Response = Response;

    fn handle(&self, request: &'r mut Request) -> Response {
        self.respond(request)
    }

    fn check(&self) -> io::Result<()> {
        self.directory.as_ref().map(drop).map_err(NotOpened::to_error)
    }
}

impl NotOpened {
    fn to_error(&self) -> io::Error {
        let Self { path, error } = self;
        io::Error::new(
            error.kind(),
            format!("cannot serve the files of {}: {error}", path.display()),
        )
    }
}

impl From<NoName> for Miss {
    fn from(reason: NoName) -> Self {
        match reason {
            NoName::Malformed => Self::Malformed,
            NoName::Refused => Self::NotFound,
        }
    }
}

impl From<Errno> for Miss {
    fn from(errno: Errno) -> Self {
        if NO_FILE.contains(&errno) { Self::NotFound } else { Self::System(errno) }
    }
}

/// A redirect to the path of the request with a slash at its end. The path is written anew: it
/// begins with one slash, and a browser cannot take what follows for a host.
fn redirect(request: &Request) -> Response {
    let Ok(name) = Name::decode(original_path(request), true) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut place = name.to_folder_path();
    if let Some(query) = request.query() {
        place.extend(["?", query]);
    }
    let mut response = StatusCode::MOVED_PERMANENTLY.into_response();
    match response.try_set_header(header::LOCATION, place) {
        Ok(()) => response,
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The response for an error of the system that is not about the name.
fn failed(errno: Errno) -> Response {
    let error = io::Error::from(errno);
    match errno {
        Errno::ACCESS | Errno::PERM => StatusCode::FORBIDDEN.into_response(),
        // There will be descriptors and memory when other requests are done.
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
                .with_source(error)
                .into_response()
        }
        _ => error.into_response(),
    }
}

impl fmt::Debug for StaticFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticFiles")
            .field("directory", &self.directory)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The errors of an open that say that no file has this name: it is not there, it leads out of the
/// directory or in a circle, no file may be called so, or it is a socket or a device.
const NO_FILE: &[Errno] = &[
    Errno::NOENT,
    Errno::NOTDIR,
    Errno::NAMETOOLONG,
    Errno::XDEV,
    Errno::LOOP,
    Errno::MLINK,
    Errno::INVAL,
    Errno::ILSEQ,
    Errno::ISDIR,
    Errno::NXIO,
    Errno::NODEV,
    Errno::OPNOTSUPP,
];

const VARY: HeaderValue = HeaderValue::from_static("accept-encoding");

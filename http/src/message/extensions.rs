//! Values that middleware attaches to a request, by their type.

use std::any::{Any, TypeId};
use std::fmt;

/// Values of a request that handlers and wrappers share, at most one of each type: for example the
/// user that a wrapper has authenticated, for the handler behind it.
///
/// The values need not be `Send`, because a request never leaves its thread. They are dropped with
/// the request.
///
/// ```
/// use straightline::{IntoResponse, Next, Request, Response, StatusCode};
///
/// struct User(String);
///
/// fn authenticated(request: &mut Request, next: Next<'_>) -> Response {
///     let Some(name) = request.headers().get("x-user").map(str::to_owned) else {
///         return StatusCode::UNAUTHORIZED.into_response();
///     };
///     request.extensions_mut().insert(User(name));
///     next.run(request)
/// }
///
/// fn hello(request: &mut Request) -> String {
///     let user = request.extensions().get::<User>().expect("behind `authenticated`");
///     format!("hello, {}\n", user.0)
/// }
///
/// let mut request = Request::builder().header("x-user", "ada").build()?;
/// let handler = |request: &mut Request| hello(request).into_response();
/// let response = authenticated(&mut request, Next::new(&handler));
/// assert_eq!(response.body().as_bytes(), Some(&b"hello, ada\n"[..]));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Default)]
pub struct Extensions {
    /// A few, so a search is faster than a map. Boxed, because most requests have none.
    #[allow(clippy::box_collection)] // one word, in each request
    values: Option<Box<Vec<Entry>>>,
}

type Entry = (TypeId, Box<dyn Any>);

impl Extensions {
    /// Adds a value; returns the one of the same type that was there before.
    pub fn insert<T: 'static>(&mut self, value: T) -> Option<T> {
        let former = self.remove();
        self.values.get_or_insert_default().push((TypeId::of::<T>(), Box::new(value)));
        former
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_none()
    }

    /// The value of that type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let values = self.values.as_ref()?;
        let (_, value) = values.iter().find(|(kind, _)| *kind == TypeId::of::<T>())?;
        value.downcast_ref()
    }

    /// The value of that type, to be changed.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        let values = self.values.as_mut()?;
        let (_, value) = values.iter_mut().find(|(kind, _)| *kind == TypeId::of::<T>())?;
        value.downcast_mut()
    }

    /// Takes the value of that type out.
    pub fn remove<T: 'static>(&mut self) -> Option<T> {
        let values = self.values.as_mut()?;
        let at = values.iter().position(|(kind, _)| *kind == TypeId::of::<T>())?;
        values.swap_remove(at).1.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.values.as_ref().map_or(0, |values| values.len());
        f.debug_struct("Extensions").field("values", &count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let mut extensions = Extensions::default();
        assert_eq!(extensions.get::<u32>(), None);
        assert_eq!(extensions.remove::<u32>(), None);
        assert_eq!(extensions.insert(1_u32), None);
        assert_eq!(extensions.insert("text"), None);
        assert_eq!(extensions.insert(2_u32), Some(1));
        if let Some(number) = extensions.get_mut::<u32>() {
            *number += 1;
        }
        assert_eq!((extensions.get(), extensions.get()), (Some(&3_u32), Some(&"text")));
        assert_eq!(extensions.remove::<u32>(), Some(3));
        assert_eq!((extensions.get::<u32>(), extensions.get()), (None, Some(&"text")));
    }
}
